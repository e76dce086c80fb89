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

// In the words of the boundary; null stays null.
class boundary_time {
 public:
  explicit boundary_time(const timespec* t) noexcept : given_(t != nullptr) {
    if (given_) value_ = {t->tv_sec, t->tv_nsec};
  }
  explicit boundary_time(const timeval* t) noexcept : given_(t != nullptr) {
    if (!given_) return;
    constexpr std::int64_t kSecond = 1'000'000;
    value_ = {t->tv_sec + t->tv_usec / kSecond, t->tv_usec % kSecond * 1000};
  }
  const quay_hook_time* get() const noexcept { return given_ ? &value_ : nullptr; }

 private:
  quay_hook_time value_{};
  bool given_;
};

}  // namespace quay::hooks
