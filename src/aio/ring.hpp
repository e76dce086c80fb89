// SPDX-License-Identifier: BSD-2-Clause
//
// What: performs requests by io_uring, from one thread that submits and collects them all.
// Contract: a thread of the program would do it without a hand-over, but the kernel remembers every
//           thread that uses a ring and finishes work in it: its epoll_wait() would end with EINTR
//           for no signal, even when another thread closes the ring, and its exit would cancel its
//           requests. So the thread opens, uses and closes the ring by itself.
// Invariants:
//   1. The thread and the ring exist while there is work, and for a second after.
//   2. asleep_ is set while the thread sleeps in the ring and nobody has woken it.
//   3. A request that the kernel has seen holds its file: the number may be closed.
//   4. begin() returns after the ring and the bell have got their numbers: the program may close the
//      request's own number at once, and must not find it given to them when the request is read.
// Ownership: the ring and its bell are the thread's, from work() to its end.
// Locking: lock_ (rank worker) guards the queues and the flags.
// Wakeups: who begins a request that starts the thread sleeps on opening_. The thread is woken by the
//          doorbell of queues (core::host::ring), on a set that the ring polls: to ring on a number
//          that the program has closed and used again does no harm.
#pragma once

#include "aio/backend.hpp"
#include "core/catalogue.hpp"
#include "core/mutex.hpp"
#include "host/io_ring.hpp"

namespace quay::aio {

class ring final : public backend {
 public:
  explicit ring(client& who) noexcept : client_(who) {}

  bool begin(request& r) noexcept override;
  bool withdraw(request& r) noexcept override;
  interruption interrupt(std::uintptr_t token) noexcept override;
  void show(core::catalogue::description& d) const noexcept QUAY_NO_ANALYSIS {
    d.add("ring_running", running_).add("ring_forbidden", forbidden_);
    d.add("ring_entries", under_way_);
  }
  void before_fork() noexcept override QUAY_NO_ANALYSIS { lock_.lock(); }
  void after_fork_in_parent() noexcept override QUAY_NO_ANALYSIS { lock_.unlock(); }
  void after_fork_in_child() noexcept override;

 private:
  // Lives on the stack of whoever waits for the answer.
  struct question {
    std::uintptr_t token;
    question* next;
    std::atomic<std::uint32_t> answer;      // an interruption, or kAsked
    interruption yes = interruption::none;  // the thread's: what it is if the kernel agrees
  };
  static constexpr std::uint32_t kAsked = ~std::uint32_t{0};

  static constexpr std::uint32_t kSettled = 0;
  static constexpr std::uint32_t kOpening = 1;

  static void* run(void* self);
  void work() noexcept;
  void opened() noexcept;
  // True: the request is the caller's again.
  bool give_up(request& r) noexcept;
  // False: there is no ring to be had, now or (then it is not asked for again) ever.
  bool open() noexcept;
  bool wake_locked() noexcept QUAY_REQUIRES(lock_);
  void await_bell() noexcept;
  // Hands queued requests and questions to the kernel; what it does not take stays queued.
  int submit_locked() noexcept QUAY_REQUIRES(lock_);
  void settle(const host::io_ring::result& c) noexcept;
  static void answer(question& q, interruption what) noexcept;
  // Without a ring: gives away what the kernel was never told of.
  void decline_all() noexcept;
  bool stop_if_idle() noexcept;

  client& client_;
  core::mutex lock_{core::rank::worker};
  host::io_ring ring_;
  job_queue jobs_ QUAY_GUARDED_BY(lock_);
  question* questions_ QUAY_GUARDED_BY(lock_) = nullptr;
  bool running_ QUAY_GUARDED_BY(lock_) = false;
  bool asleep_ QUAY_GUARDED_BY(lock_) = false;
  bool lost_ QUAY_GUARDED_BY(lock_) = false;       // there is no ring, or the program closed it
  bool forbidden_ QUAY_GUARDED_BY(lock_) = false;  // the kernel refuses rings to this process
  std::atomic<std::uint32_t> opening_{kSettled};   // a thread was asked for, and has not opened yet
  std::atomic<int> bell_{-1};
  bool bell_awaited_ = false;  // the thread's: the ring polls the bell
  int under_way_ = 0;          // the thread's: entries in the kernel, but for the bell's
};

}  // namespace quay::aio
