// SPDX-License-Identifier: BSD-2-Clause
//
// What: kernel timers with an interval, whose expirations are counted by the kernel (timerfd).
// Contract: 0 or an errno, a descriptor or -errno; the caller's errno is left alone.
// Ownership: the caller discards the descriptor.
#pragma once

#include <cstdint>
#include <ctime>

namespace quay::host {

int interval_timer(clockid_t clock) noexcept;
int interval_timer_set(int timer, bool absolute, const itimerspec& value, itimerspec* old) noexcept;
int interval_timer_get(int timer, itimerspec& value) noexcept;
// Expirations since the last call, 0 when there was none.
std::uint64_t interval_timer_take(int timer) noexcept;

}  // namespace quay::host
