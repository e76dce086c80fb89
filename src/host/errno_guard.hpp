// SPDX-License-Identifier: BSD-2-Clause
//
// What: the library leaves the caller's errno alone unless it reports failure through it.
#pragma once

#include <cerrno>

namespace quay::host {

class errno_guard {
 public:
  errno_guard() noexcept : saved_(errno) {}
  ~errno_guard() { errno = saved_; }
  errno_guard(const errno_guard&) = delete;
  errno_guard& operator=(const errno_guard&) = delete;

 private:
  const int saved_;
};

// The errno of a call that returned `result`, 0 for success.
inline int error_of(int result) noexcept { return result < 0 ? errno : 0; }

}  // namespace quay::host
