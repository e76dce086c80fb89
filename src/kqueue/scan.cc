// SPDX-License-Identifier: BSD-2-Clause
//
// What: collecting and delivering: reports of the kernel become active notes, active notes become
//       events.
// Contract: semantics/kqueue.md section 4.
// Invariants: a note is delivered at most once by one scan: what is queued during the scan lies
//             behind the count taken at its start.
// Locking: the queue's mutex throughout (released only inside sleep_locked).
#include <sys/event.h>

#include <bit>
#include <cerrno>

#include "kqueue/filters/filters.hpp"
#include "kqueue/filters/user.hpp"
#include "kqueue/queue.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {

using core::interest;
using core::kNil;
using core::note;
using core::slot_index;
namespace state = core::state;

// --- what the kernel reports ----------------------------------------------------------------------

bool queue::wants_edges(const note& n) noexcept {
  if (n.flags & EV_CLEAR) return true;
  return (n.sfflags & NOTE_LOWAT) && (n.filter == EVFILT_READ || n.filter == EVFILT_WRITE);
}

core::mask queue::wanted_locked(const interest& it, core::direction d) noexcept {
  core::mask m;
  for (slot_index i = it.first; i != kNil; i = at(i).link) {
    const note& n = at(i);
    if (n.dir != d) continue;
    m = core::combine(m, {n.descriptor.asks, !(n.status & state::kDisabled), wants_edges(n)});
  }
  return m;
}

[[gnu::always_inline]] inline core::event queue::event_of_locked(const note& n,
                                                                 bool wide) noexcept {
  core::event e;
  e.ident = n.ident;
  e.udata = n.udata;
  e.data = n.data;
  e.fflags = n.fflags;
  e.filter = n.filter;
  e.flags = n.flags;
  if (wide) {
    for (int k = 0; k < 4; ++k)
      e.ext[k] = n.ext != kNil ? system_.ext_blocks().at(n.ext).value[k] : 0;
  }
  return e;
}

// What delivery takes from a note. False: it stays as it is.
inline bool queue::consume_locked(note& n) noexcept {
  const bool clear = (n.flags & EV_CLEAR) != 0;
  const bool dispatch = (n.flags & EV_DISPATCH) && !(clear && rules().clear_overrides_dispatch);
  if (clear && n.filter != EVFILT_USER) {
    n.data = 0;
    n.fflags = 0;
  }
  if (dispatch) n.status |= state::kDisabled;
  return clear || dispatch;
}

// A note alone on its interest, at rest, and what is reported is all there is to say of it: its event needs no place in the
// list, if nothing waits there. What remains a level is reported again, also to a second look of the same call.
inline bool queue::tell_at_once_locked(const interest& it, core::direction d, std::uint32_t events,
                                       sink& out) noexcept {
  if (it.first == kNil) return false;
  note& n = at(it.first);
  constexpr std::uint16_t kMore = EV_CLEAR | EV_ONESHOT | EV_EOF | EV_NODATA | EV_HUP;
  if ((n.flags & kMore) != 0 || n.link != kNil || n.dir != d) return false;
  if (out.earlier > 0 && out.holds(n.ident, n.filter)) return true;
  if (!ready_locked().empty() || out.filled >= out.room) return false;
  const bool repeats = (it.dir[d].armed & static_cast<std::uint32_t>(EPOLLET)) == 0;
  if (n.status != 0 || !repeats || !filter_of(n).is_plain_event(*this, it, n, events)) return false;
  out.put(event_of_locked(n, out.wide));
  count_told_locked();
  ++delivered_;
  n.misses = 0;
  consume_locked(n);
  return true;
}

bool queue::on_report_locked(slot_index on, core::direction d, std::uint32_t events,
                             core::event_list* to) noexcept {
  const interest& it = interest_at(on);
  if (to != nullptr && tell_at_once_locked(it, d, events, static_cast<sink&>(*to))) return true;
  bool wanted = false;
  for (slot_index i = it.first; i != kNil; i = at(i).link) {
    note& n = at(i);
    if (n.dir != d || (events & (n.descriptor.asks | EPOLLERR | EPOLLHUP)) == 0) continue;
    n.descriptor.reported = events;
    n.descriptor.epoch = epoch();
    if (n.status & state::kDisabled) {
      // An edge will not be reported again: remember it for the day the note is enabled.
      if (wants_edges(n) || it.dir[d].edge) n.status |= state::kActive;
      continue;
    }
    wanted = true;
    activate_locked(i, n);
  }
  return wanted;
}

void queue::on_expiry_locked(slot_index i, std::int64_t deadline, std::int64_t now) noexcept {
  note& n = at(i);
  filter_of(n).expired(*this, i, n, deadline, now);
}

void queue::on_signals_locked() noexcept {
  for (std::uint64_t left = signals_locked(); left != 0; left &= left - 1) {
    const auto number = static_cast<std::uintptr_t>(std::countr_zero(left)) + 1;
    const slot_index i = idents_.find(EVFILT_SIGNAL, number);
    if (i != kNil) signal_filter.evaluate(*this, i, at(i));
  }
}

void queue::on_file_event_locked(slot_index on, std::uint32_t what, bool parent) noexcept {
  for (slot_index i = interest_at(on).first; i != kNil; i = at(i).link) {
    note& n = at(i);
    filter_of(n).file_event(*this, i, n, what, parent);
  }
}

void queue::on_changed_locked(int fd, bool writing) noexcept {
  const slot_index on = interest_of_locked(fd);
  if (on == kNil) return;
  for (slot_index i = interest_at(on).first; i != kNil; i = at(i).link) {
    note& n = at(i);
    if ((n.dir == core::kOut) != writing) continue;
    // An edge that finds nothing is no event: the note says so itself when it is scanned.
    filter& f = filter_of(n);
    if (!f.lets_go() && f.event(*this, i, n)) activate_locked(i);
  }
}

// --- scanning -------------------------------------------------------------------------------------

// The kernel's level says ready, the filter says no (a low-water mark, a socket that was never
// connected, the wrong end of a pipe): twice in a row means that the level is of no use, and the
// registration turns to edges.
void queue::denied_locked(slot_index i) noexcept {
  note& n = at(i);
  if (!filter_of(n).on_descriptor()) return;
  const slot_index on = n.descriptor.interest;
  const auto d = static_cast<core::direction>(n.dir);
  interest::registration& r = interest_at(on).dir[d];
  if (!fresh_locked(n) || r.armed == 0 || r.edge) return;
  if (++n.misses < 2) return;
  r.edge = true;
  arm_locked(on, d, false);
}

template <class Filter>
inline bool queue::deliver_locked(slot_index i, note& n, Filter& f, sink& out) noexcept {
  core::event e = event_of_locked(n, out.wide);
  if (n.status & state::kFailed) e.flags |= EV_ERROR;
  if (f.has_delivery()) f.deliver(*this, i, n, e);
  out.put(e);
  ++delivered_;
  n.misses = 0;

  if (n.flags & EV_ONESHOT) {
    // In a hooked process the registration stays: a one-shot note is usually added again.
    drop_locked(i, env().hooked);
    return false;
  }
  if (consume_locked(n)) {
    n.status &= static_cast<std::uint16_t>(~state::kActive);
    return false;
  }
  if (f.on_descriptor() && kernel_repeats_locked(n)) {
    n.status &= static_cast<std::uint16_t>(~state::kActive);
  } else {
    ready_locked().append(i, n);
  }
  return true;
}

template <class Filter>
inline bool queue::serve_locked(slot_index i, note& n, Filter& f, sink& out) noexcept {
  if (f.on_descriptor() && !env().hooked && !fresh_locked(n) &&
      identify_locked(n.descriptor.interest) != 0) {
    core::bump(env().count.stale_dropped);
    on_vanished_locked(n.descriptor.interest);
    return false;
  }
  const bool ask = !(n.status & state::kForced) && (f.on_descriptor() || !(n.flags & EV_ONESHOT));
  const std::uint32_t life = n.generation;
  const bool denied = ask && !f.event(*this, i, n);
  if (f.lets_go()) {
    if (closed_locked()) return false;
    // Dropped, or disabled, while the queue was let go.
    if (env().notes.find(i, life & core::token::kGenerationMask) == nullptr) return false;
    if (n.status & state::kDisabled) return false;
    // Queued anew meanwhile: a level is told now; an edge that came is looked at again.
    if (!denied && (n.status & state::kQueued) && !(n.flags & EV_CLEAR)) {
      ready_locked().remove(i);
    }
  }
  if (denied) {
    n.status &= static_cast<std::uint16_t>(~state::kActive);
    denied_locked(i);
    return false;
  }
  return deliver_locked(i, n, f, out);
}

inline void queue::scan_locked(sink& out) noexcept {
  bool put_back = false;
  ready_locked().fetch_ahead();
  for (std::uint32_t left = ready_locked().count(); left > 0 && out.filled < out.room; --left) {
    const slot_index i = ready_locked().take_first();
    if (i == kNil) break;  // a filter's event function took notes off the list
    note& n = at(i);
    if (n.status & state::kDisabled) continue;  // active stays: enabling queues it again
    const bool stays = n.filter == EVFILT_USER ? serve_locked(i, n, user_filter, out)
                                               : serve_locked(i, n, filter_of(n), out);
    if (closed_locked()) return;  // while a filter of the program's was asked
    put_back = stays || put_back;
  }
  occupied_locked(put_back || !ready_locked().empty());
}

// A level that the kernel holds too needs no place in the list: it is reported again. But watchers of
// the queue are told how long the list is, as the kernels keep it.
bool queue::kernel_repeats_locked(const note& n) noexcept {
  const std::uint32_t armed = interest_at(n.descriptor.interest).dir[n.dir].armed;
  return !watched_locked() && armed != 0 && (armed & static_cast<std::uint32_t>(EPOLLET)) == 0;
}

int queue::collect_locked(sink& out, const glance* g) noexcept {
  expire_locked();
  take_counted_signals_locked();
  if (take_glance_locked(g, out.room, &out) && kernel_may_know_locked() &&
      !leave_kernel_locked(out.room)) {
    // What is queued already may turn out void, so the kernel is asked for a full list. Notes that
    // find no room stay queued and are looked at again by the next scan.
    int error = harvest_locked(out.room - out.filled, &out);
    if (error == 0) error = visit_locked();
    if (error != 0) return error;
    take_signals_locked();
  }
  scan_locked(out);
  if (out.filled > 0) return 0;
  if (closed_locked()) return EBADF;  // while a filter of the program's was asked
  found_nothing_locked();
  return 0;
}

int queue::wait_locked(sink& out, std::int64_t deadline) {
  // What is ready already costs no sleep; but an idle queue asks the kernel once, not twice.
  expire_locked();
  take_signals_locked();
  if (!ready_locked().empty()) {
    const int error = collect_locked(out, nullptr);
    if (error != 0 || out.filled > 0) return error;
  }
  for (;;) {
    int error = sleep_locked(deadline, out.room, &out);
    if (error == 0) error = visit_locked();
    if (error != 0 && error != EINTR) return error;
    expire_locked();
    take_signals_locked();
    if (!ready_locked().empty()) scan_locked(out);
    if (out.filled > 0) return 0;
    if (error != 0) return error;
    if (deadline != kNever && os().monotonic() >= deadline) return 0;
  }
}

// What has come since the last scan, if nothing had before: looking twice would ring the bell
// twice, and its sound calls here.
void queue::expect_edge_locked() noexcept {
  if (edge_awaited_locked()) pending_locked();
}

void queue::on_edge() noexcept {
  const long owner = sigio_owner_.load(std::memory_order_relaxed);
  if (owner != 0) os().send_sigio(owner, false);
}

// --- queues that watch queues ---------------------------------------------------------------------

int queue::visit_locked() noexcept {
  for (std::int64_t n = news_.next(0); n >= 0; n = news_.next(static_cast<std::uint32_t>(n) + 1)) {
    news_.erase(static_cast<std::uint32_t>(n));
    {
      const interlude visiting(*this);
      system_.look_into(static_cast<std::uint32_t>(n));
    }
    if (closed_locked()) return EBADF;
  }
  return 0;
}

void queue::watched_queues_locked(queue_set& out) noexcept {
  each_interest_locked([&](slot_index on) QUAY_NO_ANALYSIS {
    const interest& it = interest_at(on);
    if (it.kind != core::object::kqueue || it.first == kNil) return;
    const queue* inner = system_.queue_at(it.descriptor);
    if (inner != nullptr && inner != this) out.insert(inner->number());
  });
}

void queue::on_hail_locked(queue& inner) noexcept {
  // The queue's first number is the usual one; duplicates must be searched for.
  slot_index on = interest_of_locked(inner.descriptor());
  const auto is_on_inner = [&](slot_index i) QUAY_NO_ANALYSIS {
    const interest& it = interest_at(i);
    return it.kind == core::object::kqueue && system_.queue_at(it.descriptor) == &inner;
  };
  const auto activate_all = [&](slot_index of) QUAY_NO_ANALYSIS {
    for (slot_index i = interest_at(of).first; i != kNil; i = at(i).link) activate_locked(i);
  };
  if (on != kNil && is_on_inner(on)) {
    activate_all(on);
  } else {
    each_interest_locked([&](slot_index i) QUAY_NO_ANALYSIS {
      if (is_on_inner(i)) activate_all(i);
    });
  }
}

void queue::run_errands(bool rewire, bool hail) noexcept {
  if (rewire) system_.rewire(*this);
  if (hail) system_.hail(*this);
}

std::uint32_t queue::pending_locked() noexcept {
  expire_locked();
  if (kernel_may_know_locked() && harvest_locked(kReports) == 0) visit_locked();
  take_signals_locked();
  return ready_locked().count();
}

}  // namespace quay::kqueue
