// SPDX-License-Identifier: BSD-2-Clause
//
// What: kernel timers with an interval; see timers.hpp.
#include "host/timers.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include "host/errno_guard.hpp"
#include "host/plain_calls.hpp"

namespace quay::host {

int interval_timer(clockid_t clock) noexcept {
  errno_guard keep;
  const int fd = timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK);
  return fd >= 0 ? fd : -errno;
}

int interval_timer_set(int timer, bool absolute, const itimerspec& value,
                       itimerspec* old) noexcept {
  errno_guard keep;
  return error_of(timerfd_settime(timer, absolute ? TFD_TIMER_ABSTIME : 0, &value, old));
}

int interval_timer_get(int timer, itimerspec& value) noexcept {
  errno_guard keep;
  return error_of(timerfd_gettime(timer, &value));
}

std::uint64_t interval_timer_take(int timer) noexcept {
  errno_guard keep;
  std::uint64_t n = 0;
  return plain::read(timer, &n, sizeof n) == sizeof n ? n : 0;
}

}  // namespace quay::host
