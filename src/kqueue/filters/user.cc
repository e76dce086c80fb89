// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_USER.
// Contract: semantics/kqueue.md 5.8 and 7 rows 30, 50-52, 55; seed dragonfly-kern_event.c.
// Invariants: the note's fflags (24 bits) and data are the event's state; kTriggered is the
//             trigger. The scan zeroes nothing of a user note: what a delivery clears is said here.
#include <sys/event.h>

#include <cerrno>

#include "kqueue/filters/filters.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {
namespace {

using core::note;
using core::slot_index;
namespace state = core::state;

void set_trigger(note& n, bool on) noexcept {
  n.status &= static_cast<std::uint16_t>(~state::kTriggered);
  if (on) n.status |= state::kTriggered;
}

std::uint32_t apply_op(std::uint32_t value, std::uint32_t word) noexcept {
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

class user_filter_type final : public filter {
 public:
  constexpr user_filter_type() noexcept : filter(false, true) {}

  int attach(queue& q, slot_index i) noexcept override QUAY_REQUIRES(q.lock()) {
    note& n = q.at(i);
    if (!q.owner().take_user_event(q.rules())) return ENOMEM;
    const std::uint32_t word = n.sfflags;
    bool fires = (word & NOTE_TRIGGER) != 0;
    switch (q.rules().creation) {
      case user_creation::applies_op:
        n.fflags = apply_op(0, word);
        break;
      case user_creation::stores_raw:
        n.fflags = word & NOTE_FFLAGSMASK;
        fires = false;
        break;
      case user_creation::stores_low:
        n.fflags = word & NOTE_FFLAGSMASK;
        break;
    }
    n.data = n.sdata;
    set_trigger(n, fires);
    q.add_poster_locked();
    return evaluate(q, i);
  }

  void detach(queue& q, slot_index) noexcept override QUAY_REQUIRES(q.lock()) {
    q.remove_poster_locked();
    q.owner().return_user_event(q.rules());
  }

  bool event(queue& q, slot_index i) noexcept override QUAY_REQUIRES(q.lock()) {
    return (q.at(i).status & state::kTriggered) != 0;
  }

  int touch(queue& q, slot_index i, core::event& change) noexcept override QUAY_REQUIRES(q.lock()) {
    note& n = q.at(i);
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

  int evaluate(queue& q, slot_index i) noexcept override QUAY_REQUIRES(q.lock()) {
    if (event(q, i)) q.activate_locked(i);
    return 0;
  }
  void enabled(queue&, slot_index) noexcept override {}

  void deliver(queue& q, slot_index i, core::event& out) noexcept override QUAY_REQUIRES(q.lock()) {
    note& n = q.at(i);
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
};

}  // namespace

namespace {
constinit user_filter_type instance;
}  // namespace
constinit filter& user_filter = instance;

}  // namespace quay::kqueue
