// SPDX-License-Identifier: BSD-2-Clause
//
// What: a lock word in memory that several processes share, which the death of its holder frees.
// Contract: the kernel's robust futexes. While a thread takes, holds and gives back the word, the
//           word is the pending operation of the robust list that libc registered for the thread:
//           when the thread ends (by kill, exec or exit) the kernel marks the word and wakes a
//           waiter.
// Invariants:
//   1. word is 0 or the holder's thread number, with FUTEX_WAITERS while somebody may sleep, or
//      FUTEX_OWNER_DIED when the kernel found its holder dead.
//   2. A thread holds at most one such lock that the kernel knows of; a second one taken under it
//      hides the first until it is given back (only the closing and the passing of a pipe do so; a waiter then
//      finds the dead by asking whether the thread number still exists).
// Locking: leaf: nothing is locked and nothing blocks under it, but for another shared_mutex. Its
//          holder is inside the library (core::enter_library): handlers of watched signals wait.
#pragma once

#include <linux/futex.h>

#include <atomic>
#include <cstdint>

#include "core/mutex.hpp"

namespace quay::host {

// What a thread needs to be found dead: its number, and where the kernel looks.
struct thread_identity {
  std::uint32_t number;  // 0: not yet known
  void** pending;        // the robust list's pending operation, or something that nobody reads
  long offset;           // from a list entry to its word
};
extern constinit thread_local thread_identity this_thread_identity
    __attribute__((tls_model("initial-exec")));
[[gnu::cold]] void learn_thread_identity() noexcept;
inline std::uint32_t thread_number() noexcept {
  if (this_thread_identity.number == 0) [[unlikely]]
    learn_thread_identity();
  return this_thread_identity.number;
}
bool thread_exists(std::uint32_t number) noexcept;
// The word with which this thread's death would have to be told; what was declared before comes back,
// and goes back with declare_pending() when the word is free again. thread_number() was called before.
[[gnu::always_inline]] inline void* declare_pending(void* operation) noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  void* volatile& pending = *const_cast<void* volatile*>(this_thread_identity.pending);
  void* const before = pending;
  pending = operation;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return before;
}
[[gnu::always_inline]] inline void* declare_word(std::atomic<std::uint32_t>& word) noexcept {
  return declare_pending(reinterpret_cast<char*>(&word) - this_thread_identity.offset);
}
// Sleepers look again after so long: sections are a copy long at most, and a holder that is away for
// longer may have died in a way that the kernel could not mark.
inline constexpr long kDoubt = 50'000'000;  // ns
// A child of fork is a new thread.
inline void forget_thread_identity() noexcept { this_thread_identity.number = 0; }

class QUAY_CAPABILITY("shared") shared_mutex {
 public:
  // `inherited`: the last holder died holding it, and the caller puts things right; `ours`: this very
  // thread holds it, in a frame below a signal handler, and nothing was taken.
  enum class outcome : std::uint8_t { taken, inherited, ours };

  shared_mutex() = default;
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;

  // `outer`, the thread's pending operation before (an outer lock's, or libc's own), is to be given
  // back to unlock().
  [[gnu::always_inline]] outcome lock(void*& outer) noexcept QUAY_NO_ANALYSIS {
    core::enter_library();
    const std::uint32_t number = thread_number();
    outer = declare_word(word_);
    if (try_take(number)) return outcome::taken;
    const outcome how = take_slowly(number);
    if (how == outcome::ours) {
      declare_pending(outer);
      core::leave_library();
    }
    return how;
  }
  // A full barrier: what was stored before is seen, by whoever else there is, before anything is loaded
  // after.
  [[gnu::always_inline]] void unlock(void* outer) noexcept QUAY_NO_ANALYSIS {
    if (word_.exchange(0, std::memory_order_seq_cst) != this_thread_identity.number) {
      wake_one();
    }
    declare_pending(outer);
    core::leave_library();
  }
  // Nobody has taken it since its holder died.
  bool holder_died() const noexcept {
    return (word_.load(std::memory_order_relaxed) & FUTEX_OWNER_DIED) != 0;
  }

 private:
  bool try_take(std::uint32_t number) noexcept {
    std::uint32_t free = 0;
    return word_.compare_exchange_strong(free, number, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  [[gnu::cold]] outcome take_slowly(std::uint32_t number) noexcept;
  [[gnu::cold]] void wake_one() noexcept;

  std::atomic<std::uint32_t> word_{0};
};

}  // namespace quay::host
