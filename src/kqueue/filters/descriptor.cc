// SPDX-License-Identifier: BSD-2-Clause
//
// What: the common half of the descriptor filters; see descriptor.hpp.
#include "kqueue/filters/descriptor.hpp"

#include <quay/quay.h>
#include <sys/event.h>

#include <cerrno>

#include "kqueue/system.hpp"

namespace quay::kqueue {

using core::interest;
using core::note;
using core::object;
using core::slot_index;

namespace {
// Re-check intervals for conditions without an edge (microseconds): short while it is likely to
// change soon, bounded so that a stuck peer costs next to nothing.
constexpr std::uint32_t kFirstCheck = 500;
constexpr std::uint32_t kLastCheck = 20000;
}  // namespace

core::direction queue::direction_of(const note& n) noexcept {
  switch (n.filter) {
    case EVFILT_READ:
      return core::kIn;
    case EVFILT_WRITE:
      return core::kOut;
    default:
      return core::kOther;
  }
}

core::demand queue::demand_of(const note& n) const noexcept {
  core::demand d{0, (n.status & core::state::kDisabled) == 0, (n.flags & EV_CLEAR) != 0};
  switch (n.filter) {
    case EVFILT_READ:
      d.events = EPOLLIN | EPOLLRDHUP;
      if (rules().has_oob && (n.sfflags & NOTE_OOB)) d.events = EPOLLPRI;
      break;
    case EVFILT_WRITE:
      d.events = EPOLLOUT;
      break;
    case EVFILT_EXCEPT:
      d.events = EPOLLPRI;
      break;
    default:
      break;
  }
  // The kernel's level says "something"; with a low-water mark only arrivals are worth a look.
  if ((n.sfflags & NOTE_LOWAT) && (n.filter == EVFILT_READ || n.filter == EVFILT_WRITE)) {
    d.edge = true;
  }
  return d;
}

void descriptor_filter::examine(queue& q, interest& it) noexcept {
  if (it.kind != object::unknown) return;
  core::object_facts facts{object::other, true, true, 0};
  q.os().examine(it.descriptor, facts);
  it.kind = facts.kind;
  it.readable = facts.readable;
  it.writable = facts.writable;
  it.identity = facts.identity;
}

int descriptor_filter::attach(queue& q, slot_index i) noexcept {
  interest& it = q.interest_of_note_locked(i);
  if (q.owner().queue_at(it.descriptor) != nullptr) it.kind = object::kqueue;
  if (it.kind == object::kqueue) {
    const int error = accept(q, i);
    if (error != 0) return error;
    if (it.descriptor == q.descriptor()) return 0;  // accepted, and never ready
  }
  const core::direction d = queue::direction_of(q.at(i));
  const int error = q.arm_locked(q.at(i).descriptor.interest, d, true);
  if (error != EPERM) return error;
  it.kind = object::unknown;
  examine(q, it);
  if (const int refusal = accept(q, i); refusal != 0) return refusal;
  return evaluate(q, i);
}

void descriptor_filter::detach(queue& q, slot_index i) noexcept { q.stop_timer_locked(i, false); }

int descriptor_filter::touch(queue& q, slot_index i, core::event& change) noexcept {
  note& n = q.at(i);
  n.sfflags = change.fflags;
  n.sdata = change.data;
  if (!(q.rules().has_keep_udata && (change.flags & EV_KEEPUDATA))) n.udata = change.udata;
  return 0;
}

int descriptor_filter::evaluate(queue& q, slot_index i) noexcept {
  const interest& it = q.interest_of_note_locked(i);
  if (it.pollable) {
    if (it.kind == object::kqueue && it.descriptor == q.descriptor()) return 0;
    return q.arm_locked(q.at(i).descriptor.interest, queue::direction_of(q.at(i)), true);
  }
  if (event(q, i)) q.activate_locked(i);
  return 0;
}

void descriptor_filter::enabled(queue& q, slot_index i) noexcept {
  const interest& it = q.interest_of_note_locked(i);
  if (it.pollable) {
    q.arm_locked(q.at(i).descriptor.interest, queue::direction_of(q.at(i)), false);
  } else if (!(q.at(i).flags & EV_CLEAR)) {
    evaluate(q, i);
  }
}

void descriptor_filter::deliver(queue&, slot_index, core::event&) noexcept {}

void descriptor_filter::expired(queue& q, slot_index i, std::int64_t, std::int64_t) noexcept {
  if (event(q, i)) q.activate_locked(i);
}

bool descriptor_filter::reported_again(queue& q, slot_index i) noexcept {
  const interest& it = q.interest_of_note_locked(i);
  const interest::registration& r = it.dir[queue::direction_of(q.at(i))];
  return it.pollable && r.armed != 0 && (r.armed & static_cast<std::uint32_t>(EPOLLET)) == 0;
}

std::uint32_t descriptor_filter::events_now(queue& q, slot_index i) noexcept {
  const note& n = q.at(i);
  if (q.fresh_locked(n)) return n.descriptor.reported;
  return q.os().poll_now(q.interest_of_note_locked(i).descriptor, q.demand_of(n).events);
}

void descriptor_filter::check_again(queue& q, slot_index i) noexcept {
  note& n = q.at(i);
  if (n.heap_place != 0 || !q.reserve_timer_locked(false)) return;
  const std::uint32_t next = n.descriptor.backoff * 2;
  n.descriptor.backoff = next < kFirstCheck ? kFirstCheck : next < kLastCheck ? next : kLastCheck;
  q.start_timer_locked(i, q.os().monotonic() + n.descriptor.backoff * std::int64_t{1000}, false);
}

void descriptor_filter::mark_eof(queue& q, note& n, bool eof, bool drained,
                                 bool both_ways) noexcept {
  const dialect& d = q.rules();
  std::uint16_t all = EV_EOF;
  if (d.eof_has_nodata) all |= EV_NODATA;
  if (d.eof_has_hup) all |= EV_HUP;
  n.flags &= static_cast<std::uint16_t>(~all);
  if (!eof) return;
  n.flags |= EV_EOF;
  if (d.eof_has_nodata && drained) n.flags |= EV_NODATA;
  if (d.eof_has_hup && both_ways) n.flags |= EV_HUP;
}

}  // namespace quay::kqueue
