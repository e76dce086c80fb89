// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_USER, as those see it who work on user events without a virtual call: registration and
//       scan, for a trigger and its delivery are a few instructions.
// Contract: semantics/kqueue.md 5.8 and 7 rows 30, 50-52, 55; seed dragonfly-kern_event.c.
// Invariants: the note's fflags (24 bits) and data are the event's state; kTriggered is the
//             trigger. The scan zeroes nothing of a user note: what a delivery clears is said here.
// Locking: the queue's mutex, as for every source.
#pragma once

#include <sys/event.h>

#include "kqueue/filters/filters.hpp"

namespace quay::kqueue {

class user_filter_type final : public filter {
 public:
  constexpr user_filter_type() noexcept : filter(on_descriptor(), has_delivery(), lets_go()) {}
  // What the base says of any filter, known where the type is.
  static constexpr bool on_descriptor() noexcept { return false; }
  static constexpr bool has_delivery() noexcept { return true; }
  static constexpr bool lets_go() noexcept { return false; }

  int attach(queue& q, core::slot_index i, core::note& n) noexcept override QUAY_REQUIRES(q.lock());
  void detach(queue& q, core::slot_index, core::note&) noexcept override QUAY_REQUIRES(q.lock());

  bool event(queue&, core::slot_index, core::note& n) noexcept override {
    return (n.status & core::state::kTriggered) != 0;
  }

  int touch(queue& q, core::slot_index, core::note& n, core::event& change) noexcept override
      QUAY_REQUIRES(q.lock()) {
    const dialect& d = q.rules();
    if (change.fflags & NOTE_TRIGGER) set_trigger(n, true);
    n.fflags = apply_op(n.fflags, change.fflags);
    change.fflags &= NOTE_FFLAGSMASK;  // as a receipt shows it
    const bool takes = !d.user_values_need_add || (change.flags & EV_ADD);
    if (takes) n.data = change.data;
    const bool keeps_udata = d.has_keep_udata && (change.flags & EV_KEEPUDATA);
    if (takes && d.user_takes_udata && !keeps_udata) n.udata = change.udata;
    if (change.flags & EV_CLEAR) {
      set_trigger(n, false);
      if (d.user_clear_change_zeroes_data) n.data = 0;
    }
    return 0;
  }

  int evaluate(queue& q, core::slot_index i, core::note& n) noexcept override
      QUAY_REQUIRES(q.lock()) {
    if (event(q, i, n)) q.activate_locked(i, n);
    return 0;
  }
  void enabled(queue&, core::slot_index, core::note&) noexcept override {}

  void deliver(queue& q, core::slot_index, core::note& n, core::event& out) noexcept override
      QUAY_REQUIRES(q.lock()) {
    const dialect& d = q.rules();
    if ((n.flags & EV_ONESHOT) && d.user_oneshot_reports_zero) {
      out.fflags = 0;
      out.data = 0;
    }
    if (!(n.flags & EV_CLEAR)) return;
    set_trigger(n, false);
    if (d.user_clears_values) {
      n.fflags = 0;
      n.data = 0;
    }
  }

 private:
  static void set_trigger(core::note& n, bool on) noexcept {
    n.status &= static_cast<std::uint16_t>(~core::state::kTriggered);
    if (on) n.status |= core::state::kTriggered;
  }
  static std::uint32_t apply_op(std::uint32_t value, std::uint32_t word) noexcept {
    const std::uint32_t operand = word & NOTE_FFLAGSMASK;
    switch (word & NOTE_FFCTRLMASK) {
      case NOTE_FFAND:
        return value & operand;
      case NOTE_FFOR:
        return value | operand;
      case NOTE_FFCOPY:
        return operand;
      default:
        return value;
    }
  }
};

extern user_filter_type user_filter;

}  // namespace quay::kqueue
