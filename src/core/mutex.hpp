// SPDX-License-Identifier: BSD-2-Clause
//
// What: the one mutex of the library, with its rank, and the annotations Clang checks it by.
// Invariants:
//   1. word_ is 0 (free) or 1 (held). asleep_ is 1 while somebody may be parked and nobody is on the way to
//      wake him: who is woken sets it again before he tries, for the others.
//   2. Giving a mutex back is a store and a look at asleep_, without a barrier between: who goes to sleep has the
//      kernel execute one in every thread (docs/decisions/0011).
//   3. A mutex is never freed while a thread may be giving it back: asleep_ is looked at, and written, after word_.
//   4. A thread's mark counts the mutexes it holds or is about to take, and other stretches between
//      enter_library() and leave_library(). While it is above zero, handlers of watched signals
//      wait (host/signal_handler.cc), and any other handler that interrupts it can see that waiting
//      for a mutex might never end, and puts its work off (owe_work).
//   5. A thread takes mutexes in rising rank only (debug builds assert it):
//        making (10): of objects made at first use
//          └─ registry (20)
//               └─ queue (30)
//                    └─ arena (40)
//        aio (50): the engine's, under none of the above but making
//          └─ worker (60): what a pool of aio workers has to do
// Locking: nothing that can block is called while one is held; parking is the host's (process.cc).
#pragma once

#include <sys/single_threaded.h>

#include <atomic>
#include <cstdint>

#include "core/processor.hpp"

#if defined(__clang__)
#define QUAY_CAPABILITY(x) __attribute__((capability(x)))
#define QUAY_SCOPED_CAPABILITY __attribute__((scoped_lockable))
#define QUAY_GUARDED_BY(x) __attribute__((guarded_by(x)))
#define QUAY_ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define QUAY_RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
#define QUAY_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define QUAY_TRY_ACQUIRE(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define QUAY_NO_ANALYSIS __attribute__((no_thread_safety_analysis))
#define QUAY_RETURN_CAPABILITY(x) __attribute__((lock_returned(x)))
#else
#define QUAY_CAPABILITY(x)
#define QUAY_SCOPED_CAPABILITY
#define QUAY_GUARDED_BY(x)
#define QUAY_ACQUIRE(...)
#define QUAY_RELEASE(...)
#define QUAY_REQUIRES(...)
#define QUAY_TRY_ACQUIRE(...)
#define QUAY_NO_ANALYSIS
#define QUAY_RETURN_CAPABILITY(x)
#endif

namespace quay::core {

enum class rank : std::uint8_t {
  making = 10,
  registry = 20,
  queue = 30,
  arena = 40,
  aio = 50,
  worker = 60,
};
inline constexpr std::uint8_t kRanks = 6;

// Defined by the host layer: sleep while word == expected, for 20 ms at most or for ever; wake one sleeper.
enum class nap : std::uint8_t { brief, sound };
void park(std::atomic<std::uint32_t>& word, std::uint32_t expected, nap = nap::sound) noexcept;
[[gnu::cold]] void unpark(std::atomic<std::uint32_t>& word) noexcept;
// Every running thread of this address space has executed a full barrier when this returns true.
[[gnu::cold]] bool barrier_in_own_threads() noexcept;
bool many_cpus() noexcept;

// How a thread spins for a lock: it looks away for twice as long each time, for each look takes the
// holder's cache line away, and gives up when it has waited about as long as it takes to be woken.
class backoff {
 public:
  // False: no more looking, park.
  bool look_away() noexcept {
    if (left_ <= 0) return false;
    left_ -= pauses_;
    for (int i = 0; i < pauses_; ++i) pause();
    if (pauses_ < kLongest) pauses_ *= 2;
    return true;
  }

 private:
  static constexpr int kLongest = 128;
  static constexpr int kMost = 1024;  // of some 20 ns each
  int left_ = many_cpus() ? kMost : 0;
  int pauses_ = 1;
};

namespace detail {

// What a thread remembers of its mutexes. A signal handler of the same thread looks and leaves its debt
// here, no other thread does: plain, for then one instruction counts, and fences say where in the code.
struct thread_mark {
  std::uint32_t held;
  bool owes;
  std::uint8_t highest_rank;  // debug builds: rank of the innermost mutex held, 0 = none
  std::uint8_t depth[kRanks];
  bool forking;            // see ranks_wait_for_fork()
  std::uint32_t quiet;     // interruptions by signals that the program ignores
  std::uint64_t deferred;  // signals whose handlers wait until the count is zero; with owes

  [[gnu::cold]] void settle() noexcept;
};
// initial-exec: one add from the thread pointer, no call, usable in signal handlers; constinit: no
// question at every use whether it was constructed.
extern constinit thread_local thread_mark this_thread_mark
    __attribute__((tls_model("initial-exec")));

}  // namespace detail

// Both nest.
inline void enter_library() noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  ++detail::this_thread_mark.held;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}
[[gnu::always_inline]] inline void leave_library() noexcept {
  detail::thread_mark& mark = detail::this_thread_mark;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  --mark.held;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (mark.owes && mark.held == 0) mark.settle();
}
// Whether this thread is between the two, where a mutex is held or about to be taken: seen by a
// signal handler, taking one might wait for ever.
inline bool holds_mutex() noexcept { return detail::this_thread_mark.held != 0; }
// In a handler that interrupts the library there are more.
inline bool holds_one_mutex() noexcept { return detail::this_thread_mark.held == 1; }
// A signal handler's work is due as soon as this thread holds no mutex: pay_debts() is called, and
// run_deferred_handlers().
inline void owe_work() noexcept { detail::this_thread_mark.owes = true; }
void pay_debts() noexcept;              // descriptors.cc: closes that were put off
void run_deferred_handlers() noexcept;  // the host layer's: lets the handlers run that waited
// In a child of fork, after its mutexes were reset.
void holds_nothing() noexcept;
// A thread that forks takes every lock, system by system in the order in which they were made: while
// it does, ranks are not asserted. No system calls another under its locks, so that is no deadlock.
void ranks_wait_for_fork(bool yes) noexcept;

// A process that has never had a second thread needs no locked instruction.
inline bool alone() noexcept { return __libc_single_threaded != 0; }

// An address that differs between threads: the cheapest thread identity there is.
const void* this_thread() noexcept;

class QUAY_CAPABILITY("mutex") mutex {
 public:
  explicit constexpr mutex(rank r) noexcept : rank_(r) {}
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  [[gnu::always_inline]] void lock() noexcept QUAY_ACQUIRE() {
    check_rank();
    enter_library();
    if (alone() && word_.load(std::memory_order_relaxed) == 0) {
      word_.store(1, std::memory_order_relaxed);
      taken();
      return;
    }
    if (!try_take()) lock_slowly();
    taken();
  }
  bool try_lock() noexcept QUAY_TRY_ACQUIRE(true) {
    enter_library();
    if (!try_take()) {
      leave_library();
      return false;
    }
    taken();
    return true;
  }
  [[gnu::always_inline]] void unlock() noexcept QUAY_RELEASE() {
    released();
    word_.store(0, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_relaxed) != 0) wake_one();
    leave_library();
  }
  // A child of fork starts with every mutex free, whoever held it in the parent; its thread then
  // says holds_nothing().
  void reset_after_fork() noexcept QUAY_NO_ANALYSIS {
    word_.store(0, std::memory_order_relaxed);
    asleep_.store(0, std::memory_order_relaxed);
#ifndef NDEBUG
    owner_.store(nullptr, std::memory_order_relaxed);
#endif
  }

 private:
  bool try_take() noexcept {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, 1, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  [[gnu::cold]] void lock_slowly() noexcept;
  [[gnu::cold]] void wake_one() noexcept;
  void check_rank() const noexcept;
  void taken() noexcept;
  void released() noexcept;

  std::atomic<std::uint32_t> word_{0};
  std::atomic<std::uint32_t> asleep_{0};
  [[maybe_unused]] const rank rank_;  // for the order check of debug builds
#ifndef NDEBUG
  std::atomic<const void*> owner_{nullptr};  // relaxed: read by the owner itself only
#endif
};

class QUAY_SCOPED_CAPABILITY guard {
 public:
  explicit guard(mutex& m) noexcept QUAY_ACQUIRE(m) : mutex_(m) { m.lock(); }
  ~guard() QUAY_RELEASE() { mutex_.unlock(); }
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;

 private:
  mutex& mutex_;
};

inline const void* this_thread() noexcept { return &detail::this_thread_mark; }

#ifdef NDEBUG
inline void mutex::check_rank() const noexcept {}
inline void mutex::taken() noexcept {}
inline void mutex::released() noexcept {}
#endif

}  // namespace quay::core
