// SPDX-License-Identifier: BSD-2-Clause
//
// What: one call of kevent(): arguments, changes, posted errors and receipts, the scan. A template,
//       so that each face gets a function of its own for its layout of struct kevent and
//       that no call stands between the system call and the program.
// Contract: semantics/kqueue.md section 2. Memory of the caller is asked about before it is
//           touched, and before an event is taken off the queue: a bad list loses nothing.
// Locking: takes the queue's mutex for each batch of changes and for the scan. A cancelled thread
//          is unwound through here: nothing between the face and the wait is noexcept.
#pragma once

#include <sys/event.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <ctime>

#include "core/note.hpp"
#include "core/own_stack.hpp"
#include "kqueue/kfilter.hpp"
#include "kqueue/queue.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {

struct lists {
  const void* changes;
  int change_count;
  void* events;
  int event_count;
};

// What the call returns: entries filled, or -1 with an errno (0: errno stays as it is).
struct outcome {
  int value;
  int error;
};

// Which lists a call has: each kind gets a function of its own, in which nothing is asked about the other.
enum class work { changes, events, both };

template <class Layout, work What>
class call {
 public:
  // `seen`: what finds_nothing() saw.
  call(system& sys, int fd, const lists& io, const core::queue::glance* seen) noexcept
      : sys_(sys), fd_(fd), io_(io), seen_(seen) {}

  // A change alone, and events alone, are worked on in this very function: below them may be a system
  // call, after which every return is mispredicted. What is cold takes what it needs as arguments, so
  // that there this object need not be in memory.
  [[gnu::always_inline]] outcome run(queue* q, const timespec* timeout) {
    if (q == nullptr) q = sys_.adopt(fd_);
    if (timeout != nullptr && !stack_.reads(sys_.os(), timeout, sizeof *timeout)) {
      return fail(q == nullptr && fd_ < 0 ? EBADF : EFAULT);
    }
    if (q == nullptr) return fail(EBADF);
    const dialect& d = q->rules();
    const patience left(timeout);
    const bool valid = left.valid || d.timeout == timeout_check::none;
    if (!valid && d.timeout == timeout_check::early) return fail(EINVAL);
    if (io_.change_count < 0 || io_.event_count < 0) {
      if (d.refuses_negative_counts) return fail(EINVAL);
      io_.change_count = std::max(io_.change_count, 0);
      io_.event_count = std::max(io_.event_count, 0);
    }
    if (!sys_.hooked() && vanished(sys_, *q, fd_)) return fail(EBADF);

    if constexpr (What != work::events) {
      if constexpr (What == work::changes) {
        if (io_.change_count > 1) return apply_all(sys_, *q, fd_, io_);
        if (io_.change_count == 1 && !apply<1>(*q, 0)) return end_;
      } else {
        for (int done = 0; done < io_.change_count; done += kBatch) {
          if (!apply_batch(*q, done)) return end_;
        }
        if (posted_ > 0) return {posted_, 0};
      }
    }
    if (What == work::changes || io_.event_count == 0) {
      if (io_.change_count == 0 && !still_there(*q, fd_)) [[unlikely]]
        return fail(EBADF);
      return {0, 0};
    }
    if constexpr (What != work::changes) {
      if (!valid) return fail(EINVAL);
      return What == work::events ? scan_here(*q, left) : scan(*q, left);
    }
  }

 private:
  static constexpr int kBatch = 8;  // KQ_NEVENTS of the seeds
  static constexpr std::int64_t kSecond = 1000000000;

  // How long the caller would wait.
  struct patience {
    [[gnu::always_inline]] explicit patience(const timespec* timeout) noexcept {
      if (timeout == nullptr) return;
      bounded = true;
      seconds = timeout->tv_sec;
      ns = timeout->tv_nsec;
      if ((seconds | ns) == 0) return;
      valid = seconds >= 0 && ns >= 0 && ns < kSecond;
      over = seconds < 0 || (seconds == 0 && ns <= 0);
    }
    std::int64_t seconds = 0;
    std::int64_t ns = 0;
    bool bounded = false;
    bool valid = true;
    bool over = true;  // and bounded: the call does not wait at all
  };

  // Cold, so that what leads to it is kept out of the way of what succeeds.
  [[gnu::cold]] static outcome fail(int error) noexcept { return {-1, error}; }
  bool stop(outcome with) noexcept {
    end_ = with;
    return false;
  }

  // Unhooked: nobody told us of a close, so the number is looked at. A private queue is used on
  // the promise that its owner ends it with quay_close().
  [[gnu::cold]] static bool vanished(system& sys, queue& q, int fd) noexcept {
    if (!q.pollable() || sys.os().is_open(fd)) return false;
    sys.end_queue(fd);
    return true;
  }

  [[gnu::cold]] static bool still_there(queue& q, int fd) noexcept {
    core::guard hold(q.lock());
    return q.matches_locked(fd);
  }

  // Whether the first `n` entries of the eventlist can be written.
  [[gnu::always_inline]] bool writable(int n) noexcept {
    if (n <= writable_) return true;
    const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(Layout);
    if (stack_.known_writable(io_.events, bytes)) {
      writable_ = n;
    } else {
      writable_ = static_cast<int>(sys_.os().writable_prefix(io_.events, bytes) / sizeof(Layout));
    }
    return n <= writable_;
  }

  [[gnu::noinline]] bool apply_batch(queue& q, int done) noexcept { return apply<kBatch>(q, done); }
  // Several changes, and no room for events.
  [[gnu::noinline]] static outcome apply_all(system& sys, queue& q, int fd, lists io) noexcept {
    call changes(sys, fd, io, nullptr);
    for (int done = 0; done < io.change_count; done += kBatch) {
      if (!changes.template apply<kBatch>(q, done)) return changes.end_;
    }
    return {0, 0};
  }
  // The next `Most` changes.
  template <int Most>
  [[gnu::always_inline]] bool apply(queue& q, int done) noexcept {
    const int n = Most == 1 ? 1 : std::min(Most, io_.change_count - done);
    const Layout* const from = static_cast<const Layout*>(io_.changes) + done;
    const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(Layout);
    if (!stack_.reads(sys_.os(), from, bytes)) return stop(fail(EFAULT));
    core::event batch[Most];
    for (int k = 0; k < n; ++k) load(from[k], batch[k]);
    if (What == work::both && io_.event_count > 0) writable(std::min(io_.event_count, posted_ + n));

    core::queue::section hold(q);
    if (!q.matches_locked(fd_)) return stop(fail(EBADF));
    if (done == 0) q.count_call();
    const dialect& d = q.rules();
    for (int k = 0; k < n; ++k) {
      core::event& change = batch[k];
      if (d.skips_filter_zero && change.filter == 0) continue;
      const bool receipt = (change.flags & EV_RECEIPT) != 0;
      const int error = q.apply_locked(change);
      // A filter of the program's may have closed the queue.
      if (change.filter > 0 && !q.matches_locked(fd_)) return stop(fail(EBADF));
      if (error == 0 && !receipt) continue;
      if (What == work::changes || posted_ >= io_.event_count) return stop(no_room(d, error));
      if (!post(d, change, error)) return false;
    }
    q.settle_bell_locked();
    return true;
  }

  [[gnu::cold]] static outcome no_room(const dialect& d, int error) noexcept {
    if (error != 0) return {-1, error};
    return d.receipt_without_room == room_lacking::fails ? outcome{-1, 0} : outcome{0, 0};
  }

  [[gnu::cold]] bool post(const dialect& d, core::event& entry, int error) noexcept {
    if (posted_ >= writable_)
      return stop(fail(d.post_fault_is_efault || error == 0 ? EFAULT : error));
    entry.flags = EV_ERROR;
    entry.data = error;
    store(static_cast<Layout*>(io_.events)[posted_], entry);
    ++posted_;
    return true;
  }

  [[gnu::noinline]] outcome scan(queue& q, const patience& left) { return scan_here(q, left); }
  [[gnu::always_inline]] outcome scan_here(queue& q, const patience& left) {
    if (What == work::events || io_.change_count == 0) q.count_call();
    const bool poll = left.bounded && left.over;

    // No more entries than notes can be filled: no more need be asked about.
    const int most =
        std::min(io_.event_count, static_cast<int>(std::max<std::uint32_t>(q.note_count(), 1)));
    const bool all = writable(most);
    std::int64_t deadline = core::queue::kNever;
    if (left.bounded && !poll) deadline = deadline_of(sys_.os(), q.rules(), left);

    sink out{io_.events, kIsWide<Layout>, most, 0};
    int error = 0;
    std::uint32_t life = 0;
    if (!poll && most > 1) q.gather_stream(most);
    {
      core::queue::section hold(q);
      if (!q.matches_locked(fd_)) return fail(EBADF);
      life = q.life();
      if (!all) {
        q.take_glance_locked(seen_, most);
        error = scan_short_list(sys_.os(), q, out, writable_, poll, deadline);
      } else {
        error = poll ? q.collect_locked(out, seen_) : q.wait_locked(out, deadline);
      }
    }
    if (error == 0) return {out.filled, 0};
    return failed(sys_, q, fd_, life, error);
  }

  [[gnu::cold]] static outcome failed(system& sys, queue& q, int fd, std::uint32_t life,
                                      int error) noexcept {
    if (error != EBADF && error != EINVAL) return fail(error);
    // The descriptor is not the queue's any more. Who was told of that has ended the queue, whose
    // number may mean another by now.
    if (q.life() == life && sys.is_queue(fd, q)) sys.end_queue(fd);
    return fail(EBADF);
  }

  // Only the first entries of the list can be written: EFAULT as soon as there are more events than
  // those, all of which stay queued.
  [[gnu::cold]] static int scan_short_list(core::host& os, queue& q, sink& out, int writable,
                                           bool poll, std::int64_t deadline)
      QUAY_REQUIRES(q.lock()) {
    out.room = writable;
    for (;;) {
      const std::uint32_t pending = q.pending_locked();
      if (pending > static_cast<std::uint32_t>(writable)) return EFAULT;
      if (pending > 0) {
        const int error = q.collect_locked(out, nullptr);
        if (error != 0 || out.filled > 0) return error;
      }
      if (poll || (deadline != core::queue::kNever && os.monotonic() >= deadline)) return 0;
      const int error = q.sleep_locked(deadline, 1);
      if (error != 0) return error;
    }
  }

  static std::int64_t deadline_of(core::host& os, const dialect& d, const patience& left) noexcept {
    std::int64_t seconds = left.seconds;
    if (d.longest_timeout_s != 0 && seconds > d.longest_timeout_s) {
      if (d.infinite_beyond_longest) return core::queue::kNever;
      seconds = d.longest_timeout_s;
    }
    std::int64_t ns = 0;
    if (__builtin_mul_overflow(seconds, kSecond, &ns) || __builtin_add_overflow(ns, left.ns, &ns) ||
        __builtin_add_overflow(ns, os.monotonic(), &ns)) {
      return core::queue::kNever;
    }
    return ns;
  }

  system& sys_;
  const int fd_;
  lists io_;
  const core::queue::glance* const seen_;
  const core::own_stack stack_;
  int posted_ = 0;
  int writable_ = 0;  // leading entries of the eventlist known to be writable
  outcome end_{0, 0};
};

// `found`: what queue_at(fd) says; `seen`: what finds_nothing() saw, if it was asked. A cancellation
// point when there is room for events.
template <class Layout, work What>
[[gnu::always_inline]] inline outcome kevent(system& sys, queue* found, int fd, const lists& io,
                                             const timespec* timeout,
                                             const core::queue::glance* seen = nullptr) {
  // Also when the thread is cancelled in its wait.
  struct at_the_end {
    ~at_the_end() { run_detaches(); }
  } dropped;
  return call<Layout, What>(sys, fd, io, seen).run(found, timeout);
}

// Whether a call without changes, with room for events, only looks and finds nothing: then it has
// cost one look at the kernel and hardly more. Worth a try when q.worth_a_glance().
// A function of its own would be one more return after a system call (decision 0006).
[[gnu::always_inline]] inline bool finds_nothing(system& sys, queue& q, int room,
                                                 const timespec* timeout,
                                                 core::queue::glance& seen) noexcept {
  if (!sys.hooked() || room <= 0) return false;
  if (!core::own_stack().reads(sys.os(), timeout, sizeof *timeout)) return false;
  if ((timeout->tv_sec | timeout->tv_nsec) != 0 || !q.nothing_at(seen, room)) return false;
  q.count_call();
  return true;
}

}  // namespace quay::kqueue
