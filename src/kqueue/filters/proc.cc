// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_PROC: a process's end, forks and execs, and those of its descendants; and
//       EVFILT_PROCDESC, the end of a process that is held by a descriptor.
// Contract: semantics/kqueue.md 5.6, 5.11 and 7 rows 18-22.
// Invariants:
//   1. A note holds its process by a descriptor, so that a number that is used again is never
//      mistaken for it. Only a followed child that was gone before it could be opened, or could not
//      be for lack of descriptors, is known by its record of process events alone.
//   2. A note that asks for forks, execs or children has `follows` set and holds the queue's source
//      of process events.
//   3. Nobody's child is ever reaped here.
// Locking: the queue's mutex, as for every source.
#include <sys/event.h>

#include <cerrno>
#include <utility>

#include "kqueue/filters/descriptor.hpp"
#include "kqueue/filters/filters.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {
namespace {

using core::note;
using core::slot_index;

constexpr std::uint32_t kFollowed = NOTE_FORK | NOTE_EXEC | NOTE_TRACK;

// The note's process, or its descriptor's, has ended. False: there is nothing to tell of it.
bool note_end(const dialect& d, note& n, int status) noexcept {
  n.flags |= EV_EOF | EV_ONESHOT;
  if (d.eof_has_nodata) n.flags |= EV_NODATA;
  const bool asked = (n.sfflags & NOTE_EXIT) != 0;
  if (asked) n.fflags |= NOTE_EXIT;
  if (d.exit == exit_data::status || (d.exit == exit_data::status_if_asked && asked)) {
    n.data = status;
  }
  return n.fflags != 0 || !d.unasked_exit_is_dropped;
}

class proc_filter_type final : public filter {
 public:
  constexpr proc_filter_type() noexcept : filter(false, false) {}

  int attach(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    const dialect& d = q.rules();
    const bool child = (n.flags & EV_FLAG1) != 0;
    n.flags &= static_cast<std::uint16_t>(~EV_FLAG1);
    n.flags |= EV_CLEAR;
    const auto pid = static_cast<std::int64_t>(n.ident);
    // What was recorded before this note is not its business.
    n.process = {-1, 0, false, true, false};
    if (!child) q.take_process_events_locked();
    n.process = {-1, 0, false, false, false};
    if (const int error = follow(q, n); error != 0) return error;
    const int error = hold(q, i, n, pid, child);
    if (error != 0) {
      detach(q, i, n);
      return error;
    }
    if (child && !d.child_event_apart) {
      n.fflags |= NOTE_CHILD;
      n.data = n.sdata;
      q.activate_locked(i);
    }
    return 0;
  }

  void detach(queue& q, slot_index, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (n.process.descriptor >= 0) q.unwatch_end_locked(std::exchange(n.process.descriptor, -1));
    if (std::exchange(n.process.follows, false)) q.unfollow_processes_locked();
  }

  bool event(queue&, slot_index, note& n) noexcept override {
    return n.fflags != 0 || n.process.ended;
  }

  int touch(queue& q, slot_index, note& n, core::event& change) noexcept override
      QUAY_REQUIRES(q.lock()) {
    if (!(q.rules().has_keep_udata && (change.flags & EV_KEEPUDATA))) n.udata = change.udata;
    // What happened up to now was asked for by the request up to now, and may be the note's end.
    const std::uint32_t life = n.generation;
    if (n.process.follows) q.take_process_events_locked();
    if (n.generation != life) return ENOENT;
    n.sfflags = change.fflags;
    n.sdata = change.data;
    return follow(q, n);
  }

  int evaluate(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (event(q, i, n)) q.activate_locked(i);
    return 0;
  }
  void enabled(queue&, slot_index, note&) noexcept override {}

  bool process_event(queue& q, slot_index i, note& n,
                     const core::process_event& e) noexcept override QUAY_REQUIRES(q.lock()) {
    using kind = core::process_event::kind;
    if (n.process.ended) return true;
    switch (e.what) {
      case kind::forked:
        if (!n.process.left) tell(q, i, n, NOTE_FORK);
        return true;
      case kind::executed:
        if (!n.process.left) tell(q, i, n, NOTE_EXEC);
        return true;
      case kind::ended:
        // Later records of the number are another's. The process may still have threads: whether it
        // is over, its descriptor knows.
        n.process.left = true;
        n.process.status = e.status;
        return n.process.descriptor >= 0 ? process_end(q, i, n) : end(q, i, n);
      case kind::lost:
        if (n.process.follows) tell(q, i, n, NOTE_FORK | NOTE_EXEC);
        if ((n.sfflags & NOTE_TRACK) != 0) {
          n.fflags |= NOTE_TRACKERR;
          q.activate_locked(i);
        }
        return n.process.descriptor >= 0 || find_again(q, i, n);
    }
    return true;
  }

  bool process_end(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (n.process.ended || n.process.descriptor < 0 ||
        !q.os().process_ended(n.process.descriptor)) {
      return true;
    }
    return end(q, i, n);
  }

 private:
  static int follow(queue& q, note& n) noexcept QUAY_REQUIRES(q.lock()) {
    const bool wanted = (n.sfflags & kFollowed) != 0;
    if (wanted == n.process.follows) return 0;
    if (wanted) {
      if (const int error = q.follow_processes_locked(); error != 0) return error;
    } else {
      q.unfollow_processes_locked();
    }
    n.process.follows = wanted;
    return 0;
  }

  static int hold(queue& q, slot_index i, note& n, std::int64_t pid, bool child) noexcept
      QUAY_REQUIRES(q.lock()) {
    const dialect& d = q.rules();
    const int process = q.os().process_open(pid);
    if (process < 0) return child ? 0 : -process;
    int error = 0;
    if (!child && d.proc_needs_permission && !q.os().may_signal(pid)) error = EACCES;
    const bool over = q.os().process_ended(process);
    if (!child && over && (!d.zombies_can_be_watched || (n.sfflags & NOTE_EXIT) == 0)) {
      error = ESRCH;
    }
    if (error == 0) error = q.watch_end_locked(i, process);
    if (error != 0) {
      q.os().discard(process);
      return error;
    }
    n.process.descriptor = process;
    if (over && !child) end(q, i, n);
    return 0;
  }

  // A followed child that is held by nothing, and whose end may be among the records that were lost.
  static bool find_again(queue& q, slot_index i, note& n) noexcept QUAY_REQUIRES(q.lock()) {
    const auto pid = static_cast<std::int64_t>(n.ident);
    const int process = q.os().process_open(pid);
    if (process == -ESRCH) return end(q, i, n);
    if (process >= 0 && q.watch_end_locked(i, process) == 0) {
      n.process.descriptor = process;
    } else if (process >= 0) {
      q.os().discard(process);
    }
    return true;
  }

  static bool end(queue& q, slot_index i, note& n) noexcept QUAY_REQUIRES(q.lock()) {
    int status = n.process.status;
    if (n.process.descriptor >= 0) {
      int told = 0;
      if (q.os().process_status(n.process.descriptor, static_cast<std::int64_t>(n.ident), told)) {
        status = told;
      }
      q.unwatch_end_locked(std::exchange(n.process.descriptor, -1));
    }
    n.process.ended = true;
    if (!note_end(q.rules(), n, status)) return false;
    q.activate_locked(i);
    return true;
  }

  static void tell(queue& q, slot_index i, note& n, std::uint32_t bits) noexcept
      QUAY_REQUIRES(q.lock()) {
    if ((n.sfflags & bits) == 0) return;
    n.fflags |= n.sfflags & bits;
    q.activate_locked(i);
  }
};

// The first event of a followed child where it stands apart: a one-shot note that nobody registers.
class child_filter_type final : public filter {
 public:
  constexpr child_filter_type() noexcept : filter(false, true) {}
  int attach(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    n.flags &= static_cast<std::uint16_t>(~EV_FLAG1);
    n.flags |= EV_CLEAR | EV_ONESHOT;
    n.fflags = NOTE_CHILD;
    n.data = n.sdata;
    q.activate_locked(i);
    return 0;
  }
  void detach(queue&, slot_index, note&) noexcept override {}
  bool event(queue&, slot_index, note&) noexcept override { return true; }
  int touch(queue&, slot_index, note&, core::event&) noexcept override { return 0; }
  int evaluate(queue&, slot_index, note&) noexcept override { return 0; }
  void enabled(queue&, slot_index, note&) noexcept override {}
  void deliver(queue&, slot_index, note&, core::event& out) noexcept override {
    out.filter = EVFILT_PROC;
  }
};

class procdesc_filter_type final : public descriptor_filter {
 public:
  constexpr procdesc_filter_type() noexcept : descriptor_filter(false) {}

  int attach(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    const int fd = q.interest_of_note_locked(n).descriptor;
    if (!q.os().is_open(fd)) return EBADF;
    if (!q.os().is_process(fd)) return q.rules().unsupported_filter;
    n.flags |= EV_CLEAR;
    return descriptor_filter::attach(q, i, n);
  }

  bool event(queue& q, slot_index, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    const int fd = q.interest_of_note_locked(n).descriptor;
    if (!q.os().process_ended(fd)) return false;
    int status = 0;
    q.os().process_status(fd, 0, status);
    return note_end(q.rules(), n, status);
  }

 protected:
  int accept(queue& q, note&) noexcept override QUAY_REQUIRES(q.lock()) {
    return q.rules().unsupported_filter;
  }
};

constinit proc_filter_type proc_instance;
constinit child_filter_type child_instance;
constinit procdesc_filter_type procdesc_instance;

}  // namespace

constinit filter& proc_filter = proc_instance;
constinit filter& child_filter = child_instance;
constinit filter& procdesc_filter = procdesc_instance;

// --- the queue's part -----------------------------------------------------------------------------

void queue::on_process_end_locked(slot_index i) noexcept {
  note& n = at(i);
  if (!filter_of(n).process_end(*this, i, n)) drop_locked(i, false);
}

void queue::on_process_event_locked(const core::process_event& e) noexcept {
  using kind = core::process_event::kind;
  if (e.what == kind::lost) {
    for (slot_index i = idents_.first(); i != core::kNil;) {
      const slot_index following = idents_.next(i);
      if (at(i).filter == EVFILT_PROC && !proc_filter.process_event(*this, i, at(i), e)) {
        drop_locked(i, false);
      }
      i = following;
    }
    return;
  }
  const slot_index i = idents_.find(EVFILT_PROC, static_cast<std::uintptr_t>(e.pid));
  if (i == core::kNil) return;
  note& n = at(i);
  const bool tracks = e.what == kind::forked && (n.sfflags & NOTE_TRACK) != 0 && !n.process.ended &&
                      !n.process.left;
  if (!proc_filter.process_event(*this, i, n, e)) {
    drop_locked(i, false);
  } else if (tracks && follow_child_locked(i, e.child) != 0) {
    n.fflags |= NOTE_TRACKERR;
    activate_locked(i);
  }
}

int queue::follow_child_locked(slot_index parent, std::int64_t pid) noexcept {
  const note& p = at(parent);
  core::event change{};
  change.ident = static_cast<std::uintptr_t>(pid);
  change.udata = p.udata;
  change.data = static_cast<std::int64_t>(p.ident);
  change.fflags = p.sfflags;
  change.filter = EVFILT_PROC;
  change.flags = static_cast<std::uint16_t>(p.flags & ~(EV_DISABLE | EV_DELETE)) | EV_ADD |
                 EV_ENABLE | EV_FLAG1;
  const slot_index known = idents_.find(EVFILT_PROC, change.ident);
  if (known != core::kNil) return modify_locked(known, change, change.flags, proc_filter);
  if (rules().child_event_apart) {
    core::event first = change;
    first.filter = kChildFilter;
    first.fflags = 0;
    if (const int error = create_locked(first, child_filter); error != 0) return error;
  }
  return create_locked(change, proc_filter);
}

}  // namespace quay::kqueue
