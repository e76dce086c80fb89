// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_TIMER.
// Contract: semantics/kqueue.md 5.7 (TIMER) and 7 rows 24-27: units, absolute times, limits, what
//           EV_ADD of a running timer does. Periods are absolute multiples: no drift.
#include <sys/event.h>

#include <cerrno>

#include "kqueue/filters/filters.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {
namespace {

using core::note;
using core::slot_index;
namespace state = core::state;

constexpr std::int64_t kTick = 1000000;  // where a system counts ticks: 1 ms
// Who waits for a whole second looks at it with time(), whose clock moves with the kernel's tick.
constexpr std::int64_t kTimeLags = 10000000;
constexpr std::int64_t kFarthest = INT64_MAX / 2;
constexpr std::uint32_t kUnits = NOTE_SECONDS | NOTE_MSECONDS | NOTE_USECONDS | NOTE_NSECONDS;

std::int64_t unit_of(std::uint32_t fflags) noexcept {
  if (fflags & NOTE_SECONDS) return 1000000000;
  if (fflags & NOTE_USECONDS) return 1000;
  if (fflags & NOTE_NSECONDS) return 1;
  return 1000000;
}

std::int64_t saturating_multiply(std::int64_t a, std::int64_t unit) noexcept {
  std::int64_t r = 0;
  if (__builtin_mul_overflow(a, unit, &r) || r > kFarthest) return a < 0 ? -kFarthest : kFarthest;
  return r;
}

class timer_filter_type final : public filter {
 public:
  constexpr timer_filter_type() noexcept : filter(false, false) {}

  [[gnu::flatten]] int attach(queue& q, slot_index i, note& n) noexcept override
      QUAY_REQUIRES(q.lock()) {
    const dialect& d = q.rules();
    if (const int error = check(d, n.sfflags, n.sdata); error != 0) return error;
    const bool wall = absolute(d, n);
    if (!q.reserve_timer_locked(wall)) return ENOMEM;
    if (!q.owner().take_callout(d)) return ENOMEM;
    if (!wall) n.flags |= EV_CLEAR;
    n.data = 0;
    n.status |= state::kClock;
    start(q, d, i, n, wall);
    return 0;
  }

  [[gnu::flatten]] void detach(queue& q, slot_index i, note& n) noexcept override
      QUAY_REQUIRES(q.lock()) {
    q.stop_timer_locked(i, n.timer.wall != 0);
    q.owner().return_callout(q.rules());
  }

  bool event(queue&, slot_index, note& n) noexcept override {
    return n.data != 0 || (n.status & state::kFailed);
  }

  int touch(queue& q, slot_index i, note& n, core::event& change) noexcept override
      QUAY_REQUIRES(q.lock()) {
    const dialect& d = q.rules();
    const bool adds = (change.flags & EV_ADD) != 0;
    if (!(d.has_keep_udata && (change.flags & EV_KEEPUDATA))) n.udata = change.udata;
    if (!adds) {
      // Only DragonFly takes the period of a change that merely enables or disables.
      if (d.plain_modify_sets_period) {
        n.sfflags = change.fflags;
        n.sdata = change.data;
      }
      return 0;
    }
    if (d.bad_timer_update != bad_update::unchecked) {
      const int error = check(d, change.fflags, change.data);
      if (error != 0) return refuse_update(q, i, n, error);
    }
    n.sfflags = change.fflags;
    n.sdata = change.data;
    if (d.restart == timer_restart::restarts) {
      q.stop_timer_locked(i, n.timer.wall != 0);
      q.retire_locked(i);
      n.data = 0;
      n.status &= static_cast<std::uint16_t>(~state::kFailed);
      const bool wall = absolute(d, n);
      if (d.restart_replaces_flags) {
        n.flags = change.flags;
        if (!wall) n.flags |= EV_CLEAR;
      }
      if (!q.reserve_timer_locked(wall)) return ENOMEM;
      start(q, d, i, n, wall);
    }
    return 0;
  }

  int evaluate(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (event(q, i, n)) q.activate_locked(i);
    return 0;
  }
  void enabled(queue&, slot_index, note&) noexcept override {}

  void expired(queue& q, slot_index i, note& n, std::int64_t deadline,
               std::int64_t now) noexcept override QUAY_REQUIRES(q.lock()) {
    if ((n.flags & EV_ONESHOT) || n.timer.wall != 0) {
      ++n.data;
      q.activate_locked(i);
      return;
    }
    const std::int64_t period = period_of(q.rules(), n);
    // The expiry that was due, and those that would have followed it by now. The period counted
    // with is the one in force: a changed one takes effect from this expiry on.
    const std::int64_t more = (now - deadline) / period;
    n.data += 1 + more;
    q.activate_locked(i);
    q.start_timer_locked(i, deadline + (more + 1) * period, false);
  }

 private:
  static bool absolute(const dialect& d, const note& n) noexcept {
    return d.timer_units && (n.sfflags & NOTE_ABSTIME);
  }

  static int check(const dialect& d, std::uint32_t fflags, std::int64_t data) noexcept {
    if (d.timer_units && (fflags & ~(kUnits | NOTE_ABSTIME)) != 0) return EINVAL;
    const bool abs = d.timer_units && (fflags & NOTE_ABSTIME);
    if (data < 0 && d.negative == timer_negative::refused) return EINVAL;
    if (data == 0 && !abs && d.zero == timer_zero::refused) return EINVAL;
    return 0;
  }

  static int refuse_update(queue& q, slot_index i, note& n, int error) noexcept
      QUAY_REQUIRES(q.lock()) {
    switch (q.rules().bad_timer_update) {
      case bad_update::refused_stopped:
        q.stop_timer_locked(i, n.timer.wall != 0);
        return error;
      case bad_update::error_in_note:
        q.stop_timer_locked(i, n.timer.wall != 0);
        n.data = error;
        n.status |= state::kFailed;
        return 0;
      default:
        return error;
    }
  }

  // Nanoseconds, at least 1.
  static std::int64_t period_of(const dialect& d, const note& n) noexcept {
    const std::int64_t unit = d.timer_units ? unit_of(n.sfflags) : 1000000;
    if (n.sdata > 0) return saturating_multiply(n.sdata, unit);
    if (n.sdata == 0 && d.zero == timer_zero::one_unit) return unit;
    return kTick;
  }

  static void start(queue& q, const dialect& d, slot_index i, note& n, bool wall) noexcept
      QUAY_REQUIRES(q.lock()) {
    n.timer.wall = wall ? 1 : 0;
    if (wall) {
      const std::int64_t due = saturating_multiply(n.sdata, unit_of(n.sfflags));
      q.start_timer_locked(i, due + ((n.sfflags & NOTE_SECONDS) != 0 ? kTimeLags : 0), true);
      return;
    }
    const bool at_once = n.sdata == 0 && (n.flags & EV_ONESHOT) && d.zero == timer_zero::one_unit;
    const std::int64_t first = at_once ? 0 : period_of(d, n);
    q.start_timer_locked(i, q.os().monotonic() + first, false);
  }
};

}  // namespace

namespace {
constinit timer_filter_type instance;
}  // namespace
constinit filter& timer_filter = instance;

}  // namespace quay::kqueue
