// SPDX-License-Identifier: BSD-2-Clause
//
// What: a shared_mutex that a thread which takes it again and again takes without a locked instruction.
// Contract: docs/decisions/0010-biased-locks.md. The thread says that it is inside, looks whether the lock is
//           still its own, and that is all. Another thread takes the lock beneath, ends the bias, has
//           the kernel execute a barrier in every running thread of the processes that registered for
//           it, and only then believes what it reads: the owner is inside, or will see that its bias
//           is over. tests/model/biased_lock.cc has the protocol.
// Invariants:
//   1. bias_ is the number of the thread that may enter without real_, or 0, or kEnding while who
//      holds real_ takes it away: until the barrier is made and the thread is out, so that
//      is_biased() is true as long as somebody's turn may have ended without a barrier. That thread
//      alone sets it, when the kernel has registered its process, holding real_ and done with its turn: a
//      signal handler may enter from then on.
//   2. inside_ is a robust word of its own: the number of the thread that is inside by its
//      bias or finds out that it may not, 0, or FUTEX_OWNER_DIED.
//   3. Who holds real_ while bias_ is 0, and has seen inside_ 0 since the barrier, is alone.
//   4. A bias that is taken away comes back after twice as many turns as the one before.
//   5. Who was about to enter by its bias when that ended may be late, and writes inside_ then. So nobody else has a
//      bias before that thread has been seen elsewhere, or is dead: claimant_ alone writes inside_.
// Locking: as shared_mutex.
#pragma once

#include <linux/futex.h>

#include <atomic>
#include <cstdint>

#include "core/mutex.hpp"
#include "host/shared_mutex.hpp"

namespace quay::host {

class QUAY_CAPABILITY("biased") biased_mutex {
 public:
  using outcome = shared_mutex::outcome;

  biased_mutex() = default;
  biased_mutex(const biased_mutex&) = delete;
  biased_mutex& operator=(const biased_mutex&) = delete;

  // As shared_mutex's.
  [[gnu::always_inline]] outcome lock(void*& outer) noexcept QUAY_NO_ANALYSIS {
    const std::uint32_t me = thread_number();
    if (bias_.load(std::memory_order_relaxed) != me) return lock_for_all(outer);
    return lock_by_bias(outer, me);
  }
  // No barrier while the lock is biased, unlike shared_mutex's: who relies on one asks is_biased() after
  // a full barrier of its own, and calls barrier_in_all_threads().
  [[gnu::always_inline]] void unlock(void* outer) noexcept QUAY_NO_ANALYSIS {
    const std::uint32_t me = this_thread_identity.number;
    if (inside_.load(std::memory_order_relaxed) != me) return unlock_for_all(outer, me);
    leave(me);
    declare_pending(outer);
    core::leave_library();
  }
  bool is_biased() const noexcept { return bias_.load(std::memory_order_acquire) != 0; }
  // Nobody has taken it since its holder died.
  bool holder_died() const noexcept {
    return real_.holder_died() || (inside_.load(std::memory_order_relaxed) & FUTEX_OWNER_DIED) != 0;
  }
  // The holder has moved the memory, and a thread that found out at that moment that it may not enter
  // may have been copied with it.
  void moved() noexcept {
    if (inside_.load(std::memory_order_relaxed) == this_thread_identity.number) return;
    inside_.store(0, std::memory_order_relaxed);
  }

 private:
  [[gnu::always_inline]] outcome lock_by_bias(void*& outer, std::uint32_t me) noexcept {
    core::enter_library();
    // A handler that runs from here on knows that its thread may be late, see end_claim().
    if (bias_.load(std::memory_order_relaxed) != me) [[unlikely]] {
      core::leave_library();
      return lock_for_all(outer);
    }
    outer = declare_word(inside_);
    const std::uint32_t before = inside_.load(std::memory_order_relaxed);
    if (before == 0) [[likely]] {
      inside_.store(me, std::memory_order_relaxed);
      // Whoever takes the bias away makes the barrier.
      std::atomic_signal_fence(std::memory_order_seq_cst);
      if (bias_.load(std::memory_order_relaxed) == me) [[likely]]
        return outcome::taken;
      leave(me);
    }
    declare_pending(outer);
    core::leave_library();
    return before == me ? outcome::ours : lock_for_all(outer);
  }
  [[gnu::always_inline]] void leave(std::uint32_t me) noexcept {
    inside_.store(0, std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (bias_.load(std::memory_order_relaxed) != me) wake();
  }
  [[gnu::noinline]] outcome lock_for_all(void*& outer) noexcept;
  [[gnu::noinline]] void unlock_for_all(void* outer, std::uint32_t me) noexcept;
  [[gnu::cold]] bool end_bias(std::uint32_t me) noexcept;
  void end_claim(std::uint32_t me) noexcept;
  [[gnu::cold]] void begin_bias(std::uint32_t me) noexcept;
  [[gnu::cold]] void wake() noexcept;

  static constexpr std::uint32_t kTurns = 64;  // in a row, before the first bias
  static constexpr std::uint32_t kMostDoublings = 16;
  static constexpr std::uint32_t kEnding = ~0u;  // no thread's number

  shared_mutex real_;
  std::atomic<std::uint32_t> inside_{0};
  std::atomic<std::uint32_t> bias_{0};
  // Of real_'s holder: see invariant 5; who had it last, how often in a row, how often a bias was taken away.
  std::uint32_t claimant_ = 0;
  std::uint32_t last_ = 0;
  std::uint32_t turns_ : 26 = 0;
  std::uint32_t ended_ : 6 = 0;  // kMostDoublings at most
};

// One thread's turn with a biased_mutex. It can be put down, to sleep, and taken up again.
class biased_hold {
 public:
  [[gnu::always_inline]] explicit biased_hold(biased_mutex& m) noexcept : mutex_(m) { take_up(); }
  [[gnu::always_inline]] ~biased_hold() {
    if (held_) put_down();
  }
  biased_hold(const biased_hold&) = delete;
  biased_hold& operator=(const biased_hold&) = delete;

  // False: shared_mutex::outcome::ours.
  bool held() const noexcept { return held_; }
  // The last holder died holding it: whoever asks puts things right.
  bool inherited() const noexcept { return inherited_; }

  [[gnu::always_inline]] void take_up() noexcept {
    const biased_mutex::outcome how = mutex_.lock(outer_);
    held_ = how != biased_mutex::outcome::ours;
    inherited_ = how == biased_mutex::outcome::inherited;
  }
  [[gnu::always_inline]] void put_down() noexcept {
    held_ = false;
    mutex_.unlock(outer_);
  }

 private:
  biased_mutex& mutex_;
  void* outer_ = nullptr;
  bool held_ = false;
  bool inherited_ = false;
};

}  // namespace quay::host
