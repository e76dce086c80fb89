// SPDX-License-Identifier: BSD-2-Clause
//
// What: what libquay answers, in libc's words; and libc's times in the words of the boundary.
#pragma once

#include <sys/time.h>
#include <time.h>

#include <cerrno>
#include <cstdint>

#include "faces/hook_points.hpp"

namespace quay::hooks {

constexpr long kAskLibc = QUAY_HOOK_PASS;

// Ours, if `result` says so; else what libc's call returns, which may be a point of cancellation.
template <class Libc>
auto settle(long result, Libc libc) -> decltype(libc()) {
  if (result == kAskLibc) return libc();
  if (result >= 0) return static_cast<decltype(libc())>(result);
  errno = static_cast<int>(-result);
  return -1;
}

// A program's time in the words of the boundary; none stays none.
class boundary_time {
 public:
  boundary_time() = default;
  boundary_time(std::int64_t seconds, std::int64_t nanoseconds) noexcept
      : value_{seconds, nanoseconds}, given_(true) {}
  const quay_hook_time* get() const noexcept { return given_ ? &value_ : nullptr; }

 private:
  quay_hook_time value_{};
  bool given_ = false;
};

// Static, because `timespec` and `timeval` name other types in wide_times.cc than elsewhere.
static inline boundary_time in_boundary_words(const timespec* t) noexcept {
  return t != nullptr ? boundary_time(t->tv_sec, t->tv_nsec) : boundary_time();
}
static inline boundary_time in_boundary_words(const timeval* t) noexcept {
  return t != nullptr ? boundary_time(t->tv_sec, std::int64_t{t->tv_usec} * 1000) : boundary_time();
}

}  // namespace quay::hooks
