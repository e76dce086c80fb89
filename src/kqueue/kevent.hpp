// SPDX-License-Identifier: BSD-2-Clause
//
// What: one call of kevent(): arguments, changes, posted errors and receipts, the scan. A template,
//       so that each face gets a function of its own that knows its layout of struct kevent and
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
#include "kqueue/kfilter.hpp"
#include "kqueue/queue.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {

struct layout {
  std::size_t size;
  void (*load)(const void* from, core::event& to);
  void (*store)(void* to, const core::event& from);
};

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

template <const layout& Shape>
class call {
 public:
  // `seen`: what finds_nothing() saw.
  call(system& sys, int fd, const lists& io, const core::queue::glance* seen) noexcept
      : sys_(sys), os_(sys.os()), fd_(fd), io_(io), seen_(seen) {}

  // kOnlyChanges: there is no room for events. Then the changes are made in this very function: below
  // them may be a system call, after which every return is mispredicted.
  template <bool kOnlyChanges>
  [[gnu::always_inline]] outcome run(queue* q, const timespec* timeout) {
    if (q == nullptr) q = sys_.adopt(fd_);
    if (timeout != nullptr && os_.readable_prefix(timeout, sizeof *timeout) < sizeof *timeout) {
      return fail(q == nullptr && fd_ < 0 ? EBADF : EFAULT);
    }
    if (q == nullptr) return fail(EBADF);
    const dialect& d = q->rules();
    timespec left{};
    if (timeout != nullptr) left = *timeout;
    const bool valid = d.timeout == timeout_check::none ||
                       (left.tv_sec >= 0 && left.tv_nsec >= 0 && left.tv_nsec < kSecond);
    if (!valid && d.timeout == timeout_check::early) return fail(EINVAL);
    if (io_.change_count < 0 || io_.event_count < 0) {
      if (d.refuses_negative_counts) return fail(EINVAL);
      io_.change_count = std::max(io_.change_count, 0);
      io_.event_count = std::max(io_.event_count, 0);
    }
    if (!sys_.hooked() && vanished(*q)) return fail(EBADF);

    for (int done = 0; done < io_.change_count; done += kBatch) {
      if (!(kOnlyChanges ? apply_here(*q, done) : apply_batch(*q, done))) return end_;
    }
    if (posted_ > 0) return {posted_, 0};
    if (io_.event_count == 0) {
      return io_.change_count > 0 || still_there(*q) ? outcome{0, 0} : fail(EBADF);
    }
    if (!valid) return fail(EINVAL);
    return scan(*q, timeout != nullptr ? &left : nullptr);
  }

 private:
  static constexpr int kBatch = 8;  // KQ_NEVENTS of the seeds
  static constexpr std::int64_t kSecond = 1000000000;

  // Cold, so that what leads to it is kept out of the way of what succeeds.
  [[gnu::cold]] static outcome fail(int error) noexcept { return {-1, error}; }
  [[gnu::cold]] bool stop(outcome with) noexcept {
    end_ = with;
    return false;
  }

  // Unhooked: nobody told us of a close, so the number is looked at. A private queue is used on
  // the promise that its owner ends it with quay_close().
  [[gnu::cold]] bool vanished(queue& q) noexcept {
    if (!q.pollable() || os_.is_open(fd_)) return false;
    sys_.end_queue(fd_);
    return true;
  }

  bool still_there(queue& q) noexcept {
    core::guard hold(q.lock());
    return q.matches_locked(fd_);
  }

  // Whether the first `n` entries of the eventlist can be written.
  bool writable(int n) noexcept {
    if (n <= writable_) return true;
    const std::size_t bytes = static_cast<std::size_t>(n) * Shape.size;
    const std::size_t good = os_.writable_prefix(io_.events, bytes);
    if (good == bytes) {
      writable_ = n;
      return true;
    }
    writable_ = static_cast<int>(good / Shape.size);
    return n <= writable_;
  }

  // Apart, so that a call without changes does not pay for their place on the stack.
  [[gnu::noinline]] bool apply_batch(queue& q, int done) noexcept { return apply_here(q, done); }
  [[gnu::always_inline]] bool apply_here(queue& q, int done) noexcept {
    const int n = std::min(kBatch, io_.change_count - done);
    const char* from =
        static_cast<const char*>(io_.changes) + static_cast<std::size_t>(done) * Shape.size;
    const std::size_t bytes = static_cast<std::size_t>(n) * Shape.size;
    if (os_.readable_prefix(from, bytes) < bytes) return stop(fail(EFAULT));
    core::event batch[kBatch];
    for (int k = 0; k < n; ++k) {
      Shape.load(from + static_cast<std::size_t>(k) * Shape.size, batch[k]);
    }
    if (io_.event_count > 0) writable(std::min(io_.event_count, posted_ + n));

    core::queue::section hold(q);
    if (!q.matches_locked(fd_)) return stop(fail(EBADF));
    if (done == 0) q.count_call();
    for (int k = 0; k < n; ++k) {
      core::event& change = batch[k];
      if (q.rules().skips_filter_zero && change.filter == 0) continue;
      const bool receipt = (change.flags & EV_RECEIPT) != 0;
      const int error = q.apply_locked(change);
      // A filter of the program's may have closed the queue.
      if (change.filter > 0 && !q.matches_locked(fd_)) return stop(fail(EBADF));
      if (error == 0 && !receipt) continue;
      if (!post(q.rules(), change, error)) return false;
    }
    q.settle_bell_locked();
    return true;
  }

  [[gnu::cold]] bool post(const dialect& d, core::event& entry, int error) noexcept {
    if (posted_ >= io_.event_count) {
      if (error != 0) return stop(fail(error));
      return stop(d.receipt_without_room == room_lacking::fails ? outcome{-1, 0} : outcome{0, 0});
    }
    if (posted_ >= writable_)
      return stop(fail(d.post_fault_is_efault || error == 0 ? EFAULT : error));
    entry.flags = EV_ERROR;
    entry.data = error;
    Shape.store(static_cast<char*>(io_.events) + static_cast<std::size_t>(posted_) * Shape.size,
                entry);
    ++posted_;
    return true;
  }

  outcome scan(queue& q, const timespec* left) {
    if (io_.change_count == 0) q.count_call();
    const bool poll =
        left != nullptr && (left->tv_sec < 0 || (left->tv_sec == 0 && left->tv_nsec <= 0));

    // No more entries than notes can be filled: no more need be asked about.
    const int most =
        std::min(io_.event_count, static_cast<int>(std::max<std::uint32_t>(q.note_count(), 1)));
    const bool all = writable(most);
    std::int64_t deadline = core::queue::kNever;
    if (left != nullptr && !poll) deadline = deadline_of(q.rules(), *left);

    sink out{Shape.store, static_cast<char*>(io_.events), Shape.size, most, 0};
    int error = 0;
    std::uint32_t life = 0;
    {
      core::queue::section hold(q);
      if (!q.matches_locked(fd_)) return fail(EBADF);
      life = q.life();
      if (!all) {
        q.take_glance_locked(seen_, most);
        error = scan_short_list(q, out, poll, deadline);
      } else {
        error = poll ? q.collect_locked(out, seen_) : q.wait_locked(out, deadline);
      }
    }
    if (error == 0) return {out.filled, 0};
    if (error != EBADF && error != EINVAL) return fail(error);
    // The descriptor is not the queue's any more. Who was told of that has ended the queue, whose
    // number may mean another by now.
    if (q.life() == life && sys_.is_queue(fd_, q)) sys_.end_queue(fd_);
    return fail(EBADF);
  }

  // Only the first entries of the list can be written: EFAULT as soon as there are more events than
  // those, all of which stay queued.
  [[gnu::cold]] int scan_short_list(queue& q, sink& out, bool poll, std::int64_t deadline)
      QUAY_REQUIRES(q.lock()) {
    out.room = writable_;
    for (;;) {
      const std::uint32_t pending = q.pending_locked();
      if (pending > static_cast<std::uint32_t>(writable_)) return EFAULT;
      if (pending > 0) {
        const int error = q.collect_locked(out, nullptr);
        if (error != 0 || out.filled > 0) return error;
      }
      if (poll || (deadline != core::queue::kNever && os_.monotonic() >= deadline)) return 0;
      const int error = q.sleep_locked(deadline, 1);
      if (error != 0) return error;
    }
  }

  std::int64_t deadline_of(const dialect& d, const timespec& left) noexcept {
    std::int64_t seconds = left.tv_sec;
    if (d.longest_timeout_s != 0 && seconds > d.longest_timeout_s) {
      if (d.infinite_beyond_longest) return core::queue::kNever;
      seconds = d.longest_timeout_s;
    }
    std::int64_t ns = 0;
    if (__builtin_mul_overflow(seconds, kSecond, &ns) ||
        __builtin_add_overflow(ns, std::int64_t{left.tv_nsec}, &ns) ||
        __builtin_add_overflow(ns, os_.monotonic(), &ns)) {
      return core::queue::kNever;
    }
    return ns;
  }

  system& sys_;
  core::host& os_;
  const int fd_;
  lists io_;
  const core::queue::glance* const seen_;
  int posted_ = 0;
  int writable_ = 0;  // leading entries of the eventlist known to be writable
  outcome end_{0, 0};
};

// `found`: what queue_at(fd) says; `seen`: what finds_nothing() saw, if it was asked. A cancellation
// point when there is room for events.
template <const layout& Shape, bool kOnlyChanges = false>
[[gnu::always_inline]] inline outcome kevent(system& sys, queue* found, int fd, const lists& io,
                                             const timespec* timeout,
                                             const core::queue::glance* seen = nullptr) {
  // Also when the thread is cancelled in its wait.
  struct at_the_end {
    ~at_the_end() { run_detaches(); }
  } dropped;
  return call<Shape>(sys, fd, io, seen).template run<kOnlyChanges>(found, timeout);
}

// Whether a call without changes, with room for events, only looks and finds nothing: then it has
// cost one look at the kernel and hardly more. Worth a try when q.worth_a_glance().
inline bool finds_nothing(system& sys, queue& q, int room, const timespec* timeout,
                          core::queue::glance& seen) noexcept {
  if (!sys.hooked() || room <= 0) return false;
  if (sys.os().readable_prefix(timeout, sizeof *timeout) < sizeof *timeout) return false;
  if (timeout->tv_sec != 0 || timeout->tv_nsec != 0 || !q.nothing_at(seen, room)) return false;
  q.count_call();
  return true;
}

}  // namespace quay::kqueue
