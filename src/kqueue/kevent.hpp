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
  [[gnu::always_inline]] call(system& sys, int fd, const lists& io) noexcept
      : sys_(sys), fd_(fd), io_(io) {}

  // Events alone are worked on in this very function: below them may be a system call, after which every
  // return is mispredicted. What is cold takes what it needs as arguments, so that there this object
  // need not be in memory.
  [[gnu::always_inline]] outcome run(queue* q, const timespec* timeout) {
    if (q == nullptr) q = sys_.adopt(fd_);
    if (timeout != nullptr && !stack_.reads(sys_.os(), timeout, sizeof *timeout)) {
      return fail(q == nullptr && fd_ < 0 ? EBADF : EFAULT);
    }
    if (q == nullptr) return fail(EBADF);
    const dialect& d = q->rules();
    const patience left = timeout == nullptr ? patience{false, 0, 0}
                                             : patience{true, timeout->tv_sec, timeout->tv_nsec};
    const bool valid = left.valid() || d.timeout == timeout_check::none;
    if (!valid && d.timeout == timeout_check::early) return fail(EINVAL);
    if (io_.change_count < 0 || io_.event_count < 0) {
      if (d.refuses_negative_counts) return fail(EINVAL);
      io_.change_count = std::max(io_.change_count, 0);
      io_.event_count = std::max(io_.event_count, 0);
    }
    if (!sys_.hooked() && vanished(sys_, *q, fd_)) return fail(EBADF);

    if constexpr (What != work::events) {
      for (int done = 0; done < io_.change_count; done += kBatch) {
        if (!apply_batch(*q, done)) return end_;
      }
      if (posted_ > 0) return {posted_, 0};
    }
    if (What == work::changes || io_.event_count == 0) {
      if (io_.change_count == 0 && !still_there(*q, fd_)) [[unlikely]]
        return fail(EBADF);
      return {0, 0};
    }
    if constexpr (What != work::changes) {
      if (!valid) return fail(EINVAL);
      if constexpr (What == work::events) {
        return scan_here(*q, left, nullptr);
      } else {
        return scan(*q, left);
      }
    }
  }

  // The one change of a call without room for events.
  [[gnu::always_inline]] outcome change(queue& q) noexcept {
    const Layout* const from = static_cast<const Layout*>(io_.changes);
    if (!stack_.reads(sys_.os(), from, sizeof *from)) return fail(EFAULT);
    core::event entry;
    load(*from, entry);
    const bool receipt = (entry.flags & EV_RECEIPT) != 0;
    int error = 0;
    {
      core::queue::section hold(q);
      error = change_locked(q, fd_, entry);
    }
    // No error and no filter: a change that the dialect passes over.
    if (error == 0 && (!receipt || entry.filter == 0)) [[likely]]
      return {0, 0};
    return no_room(q.rules(), error);
  }

  // The rest of a call that polls(), in which nothing can be wrong any more but the eventlist. `seen`: what
  // finds_nothing() saw.
  [[gnu::always_inline]] outcome poll(queue& q, const core::queue::glance* seen) {
    return scan_here(q, {true, 0, 0}, seen);
  }

 private:
  static constexpr int kBatch = 8;  // KQ_NEVENTS of the seeds
  static constexpr std::int64_t kSecond = 1000000000;

  // How long the caller would wait.
  struct patience {
    bool bounded;
    std::int64_t seconds;  // where bounded
    std::int64_t ns;
    bool valid() const noexcept { return !bounded || (seconds >= 0 && ns >= 0 && ns < kSecond); }
    // The call does not wait at all.
    bool over() const noexcept { return bounded && (seconds < 0 || (seconds == 0 && ns <= 0)); }
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
    const std::uint32_t life = q.life();
    if (!q.pollable() || sys.os().is_open(fd)) return false;
    sys.end_unseen(fd, q, life);
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

  [[gnu::noinline]] bool apply_batch(queue& q, int done) noexcept {
    const int n = std::min(kBatch, io_.change_count - done);
    const Layout* const from = static_cast<const Layout*>(io_.changes) + done;
    const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(Layout);
    if (!stack_.reads(sys_.os(), from, bytes)) return stop(fail(EFAULT));
    core::event batch[kBatch];
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

  [[gnu::always_inline]] static int change_locked(queue& q, int fd, core::event& entry) noexcept
      QUAY_REQUIRES(q.lock()) {
    if (!q.matches_locked(fd)) return EBADF;
    q.count_call();
    if (q.rules().skips_filter_zero && entry.filter == 0) return 0;
    const int error = q.apply_locked(entry);
    // A filter of the program's may have closed the queue.
    if (entry.filter > 0 && !q.matches_locked(fd)) return EBADF;
    q.settle_bell_locked();
    return error;
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

  [[gnu::noinline]] outcome scan(queue& q, const patience& left) {
    return scan_here(q, left, nullptr);
  }
  [[gnu::always_inline]] outcome scan_here(queue& q, const patience& left,
                                           const core::queue::glance* seen) {
    if (What == work::events || io_.change_count == 0) q.count_call();
    const bool poll = left.over();

    // No more entries than notes can be filled: no more need be asked about.
    const int most =
        std::min(io_.event_count, static_cast<int>(std::max<std::uint32_t>(q.note_count(), 1)));
    const bool all = writable(most);
    std::int64_t deadline = core::queue::kNever;
    if (left.bounded && !poll) deadline = deadline_of(sys_.os(), q.rules(), left.seconds, left.ns);

    sink out{{}, io_.events, kIsWide<Layout>, most};
    int error = 0;
    std::uint32_t life = 0;
    if (!poll && most > 1) q.gather_stream(most);
    {
      core::queue::section hold(q);
      if (!q.matches_locked(fd_)) return fail(EBADF);
      life = q.life();
      if (!all) {
        q.take_glance_locked(seen, most, nullptr);
        error = scan_short_list(sys_.os(), q, out, writable_, poll, deadline);
      } else {
        error = poll ? q.collect_locked(out, seen) : q.wait_locked(out, deadline);
      }
    }
    if (error == 0) return {out.filled, 0};
    return failed(sys_, q, fd_, life, error);
  }

  [[gnu::cold]] static outcome failed(system& sys, queue& q, int fd, std::uint32_t life,
                                      int error) noexcept {
    if (error != EBADF && error != EINVAL) return fail(error);
    sys.end_unseen(fd, q, life);  // unless it was told, and this is only how we hear of it
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

  static std::int64_t deadline_of(core::host& os, const dialect& d, std::int64_t seconds,
                                  std::int64_t ns) noexcept {
    if (d.longest_timeout_s != 0 && seconds > d.longest_timeout_s) {
      if (d.infinite_beyond_longest) return core::queue::kNever;
      seconds = d.longest_timeout_s;
    }
    std::int64_t deadline = 0;
    if (__builtin_mul_overflow(seconds, kSecond, &deadline) ||
        __builtin_add_overflow(deadline, ns, &deadline) ||
        __builtin_add_overflow(deadline, os.monotonic(), &deadline)) {
      return core::queue::kNever;
    }
    return deadline;
  }

  system& sys_;
  const int fd_;
  lists io_;
  const core::own_stack stack_;
  int posted_ = 0;
  int writable_ = 0;  // leading entries of the eventlist known to be writable
  outcome end_{0, 0};
};

// At the end of a call, also when the thread is cancelled in its wait.
struct dropping {
  dropping() = default;
  dropping(const dropping&) = delete;
  dropping& operator=(const dropping&) = delete;
  ~dropping() { run_detaches(); }
};

// `found`: what queue_at(fd) says. A cancellation point when there is room for events.
template <class Layout, work What>
[[gnu::always_inline]] inline outcome kevent(system& sys, queue* found, int fd, const lists& io,
                                             const timespec* timeout) {
  const dropping at_the_end;
  return call<Layout, What>(sys, fd, io).run(found, timeout);
}

// One change, no room for events, no time limit: what most calls that change something are.
template <class Layout>
[[gnu::always_inline]] inline outcome change(system& sys, queue& q, int fd, const void* entry) {
  const dropping at_the_end;
  return call<Layout, work::changes>(sys, fd, {entry, 1, nullptr, 0}).change(q);
}

// Whether a call without changes only looks what there is, and is one of those that most calls are.
[[gnu::always_inline]] inline bool polls(system& sys, int room, const timespec* timeout) noexcept {
  return timeout != nullptr && room > 0 && sys.hooked() &&
         core::own_stack().reads(sys.os(), timeout, sizeof *timeout) &&
         (timeout->tv_sec | timeout->tv_nsec) == 0;
}

// Whether such a call finds nothing: then it has cost one look at the kernel and hardly more. Worth a try
// when q.worth_a_glance(). A function of its own would be one more return after a system call (decision 0006).
[[gnu::always_inline]] inline bool finds_nothing(queue& q, int room,
                                                 core::queue::glance& seen) noexcept {
  if (q.nothing_at(seen, room)) [[likely]] {
    q.count_call();
    return true;
  }
  return false;
}

// The rest of it.
template <class Layout>
[[gnu::always_inline]] inline outcome poll(system& sys, queue& q, int fd, void* events, int room,
                                           const core::queue::glance* seen) {
  const dropping at_the_end;
  return call<Layout, work::events>(sys, fd, {nullptr, 0, events, room}).poll(q, seen);
}

}  // namespace quay::kqueue
