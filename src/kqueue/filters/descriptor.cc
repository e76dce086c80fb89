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
// Re-check intervals for conditions without an edge: short while it is likely to change soon
// (0.5 ms), bounded so that a stuck peer costs next to nothing (20 ms).
constexpr std::int64_t kCheckUnit = 16000;  // ns
constexpr unsigned kFirstCheck = 31;
constexpr unsigned kLastCheck = 1250;

// An owner's edges are of whatever direction: see descriptor_owner::kernel_hints.
constexpr std::uint16_t kOwnersEdges = EPOLLIN | EPOLLOUT;
}  // namespace

// What a descriptor note is about, decided by its filter and its request.
static void settle_question(const queue& q, note& n) noexcept {
  switch (n.filter) {
    case EVFILT_READ:
      n.dir = core::kIn;
      n.descriptor.asks = EPOLLIN | EPOLLRDHUP;
      if (q.rules().has_oob && (n.sfflags & NOTE_OOB)) n.descriptor.asks = EPOLLPRI;
      break;
    case EVFILT_WRITE:
      n.dir = core::kOut;
      n.descriptor.asks = EPOLLOUT;
      break;
    case EVFILT_PROCDESC:
      n.dir = core::kIn;
      n.descriptor.asks = EPOLLIN;
      break;
    case EVFILT_EXCEPT:
      n.dir = core::kOther;
      n.descriptor.asks = EPOLLPRI;
      break;
    default:
      n.dir = core::kOther;
      n.descriptor.asks = 0;
      break;
  }
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

[[gnu::flatten]] int descriptor_filter::attach(queue& q, slot_index i, note& n) noexcept {
  settle_question(q, n);
  interest& it = q.interest_of_note_locked(n);
  const bool nobodys = q.owner().is_nobodys(it.descriptor);
  if (!nobodys && q.owner().queue_at(it.descriptor) != nullptr && q.os().is_set(it.descriptor)) {
    it.kind = object::kqueue;
  }
  if (it.kind == object::kqueue) {
    const int error = accept(q, n);
    if (error != 0) return error;
    if (q.owner().is_queue(it.descriptor, q)) return 0;  // accepted, and never ready
    it.pollable = false;  // the kernel sees no count; see nesting.hpp
    q.rewire_later_locked();
    return evaluate(q, i, n);
  }
  const core::direction d = static_cast<core::direction>(n.dir);
  core::observation seen;
  if (!nobodys && q.owner().observe_other(it.descriptor, d == core::kOut, seen)) {
    it.kind = object::owned;
    it.dir[d].edge = true;
    n.descriptor.asks |= kOwnersEdges;
    if (seen.ready) q.activate_locked(i);
  }
  const int error = q.arm_locked(n.descriptor.interest, d, true);
  if (error != EPERM) return error;
  it.kind = object::unknown;
  examine(q, it);
  if (const int refusal = accept(q, n); refusal != 0) return refusal;
  return evaluate(q, i, n);
}

void descriptor_filter::detach(queue& q, slot_index i, note& n) noexcept {
  q.stop_timer_locked(i, false);
  if (q.interest_of_note_locked(n).kind == object::kqueue) q.rewire_later_locked();
}

int descriptor_filter::touch(queue& q, slot_index, note& n, core::event& change) noexcept {
  n.sfflags = change.fflags;
  n.sdata = change.data;
  settle_question(q, n);
  if (q.interest_of_note_locked(n).kind == object::owned) n.descriptor.asks |= kOwnersEdges;
  if (!(q.rules().has_keep_udata && (change.flags & EV_KEEPUDATA))) n.udata = change.udata;
  return 0;
}

int descriptor_filter::evaluate(queue& q, slot_index i, note& n) noexcept {
  const interest& it = q.interest_of_note_locked(n);
  if (it.pollable) {
    if (it.kind == object::kqueue && q.owner().is_queue(it.descriptor, q)) return 0;
    if (it.kind == object::owned && observed(q, n)) q.activate_locked(i);
    // A level that is disabled wants nothing more of the kernel; enabling it sees for itself.
    const bool idle = (n.status & core::state::kDisabled) != 0 && !queue::wants_edges(n);
    if (idle && it.dir[n.dir].armed != 0) return 0;
    return q.arm_locked(n.descriptor.interest, static_cast<core::direction>(n.dir), true);
  }
  if (event(q, i, n)) q.activate_locked(i);
  return 0;
}

void descriptor_filter::enabled(queue& q, slot_index i, note& n) noexcept {
  const interest& it = q.interest_of_note_locked(n);
  const bool kernel_knows = it.pollable && it.kind != object::owned;
  if (kernel_knows) {
    q.arm_locked(n.descriptor.interest, static_cast<core::direction>(n.dir), false);
  } else if (!(n.flags & EV_CLEAR)) {
    evaluate(q, i, n);
  }
}

void descriptor_filter::expired(queue& q, slot_index i, note& n, std::int64_t,
                                std::int64_t) noexcept {
  if (event(q, i, n)) q.activate_locked(i);
}

void descriptor_filter::check_again(queue& q, slot_index i, note& n) noexcept {
  if (core::timer_heap::running(n) || !q.reserve_timer_locked(false)) return;
  const unsigned next = n.descriptor.backoff * 2u;
  n.descriptor.backoff = static_cast<std::uint16_t>(next < kFirstCheck  ? kFirstCheck
                                                    : next < kLastCheck ? next
                                                                        : kLastCheck);
  q.start_timer_locked(i, q.os().monotonic() + n.descriptor.backoff * kCheckUnit, false);
}

bool descriptor_filter::observed(queue& q, note& n) noexcept {
  core::observation now;
  const interest& it = q.interest_of_note_locked(n);
  if (!q.owner().observe_other(it.descriptor, n.dir == core::kOut, now)) return false;
  n.data = now.data;
  n.fflags = now.fflags;
  mark_eof(q, n, now.eof, now.data == 0, false);
  if (now.last) n.flags |= EV_ONESHOT;
  return now.eof || now.ready;  // the owner's threshold: NOTE_LOWAT is for what the kernel has
}

void descriptor_filter::change_eof(queue& q, note& n, bool eof, bool drained,
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
