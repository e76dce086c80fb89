// SPDX-License-Identifier: BSD-2-Clause
//
// What: queues that watch queues: who watches whom, and how news travels up.
// Contract: semantics/kqueue.md section 6 (nested READ: level, data = count, chains of any depth;
//           upward propagation deferred, as OpenBSD does, so that circles neither hang nor recurse).
// Invariants:
//   1. A queue hears (by its public set, on edges) of the own set of every queue it reaches over
//      one or more watches, if there is anything in that set. So the kernel wakes it and its pollers for news at any depth, while
//      sets in sets stay three deep.
//   2. A note that is queued in user space is told to the direct watchers after the queue is
//      unlocked; their notes being queued is told to theirs in turn.
// Ownership: queue_set owns its words.
// Locking: system's registry guards direct and heard of all queues; watchers is atomic. No two
//          queues are ever locked at once: circles are allowed.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/growable.hpp"

namespace quay::kqueue {

// Queues by their number.
class queue_set {
 public:
  bool contains(std::uint32_t n) const noexcept {
    return n / 64 < words() && (word(n / 64) >> (n % 64) & 1) != 0;
  }
  bool insert(std::uint32_t n) noexcept {
    if (n / 64 >= kFew && !more_.reserve(n / 64 + 1 - kFew)) return false;
    word(n / 64) |= std::uint64_t{1} << (n % 64);
    return true;
  }
  void erase(std::uint32_t n) noexcept {
    if (n / 64 < words()) word(n / 64) &= ~(std::uint64_t{1} << (n % 64));
  }
  void clear() noexcept {
    for (std::size_t w = 0; w < words(); ++w) word(w) = 0;
  }
  // The smallest member that is not below `from`; -1: none.
  std::int64_t next(std::uint32_t from) const noexcept {
    for (std::size_t w = from / 64; w < words(); ++w) {
      std::uint64_t bits = word(w);
      if (w == from / 64) bits &= ~std::uint64_t{0} << (from % 64);
      if (bits != 0) return static_cast<std::int64_t>(w * 64) + __builtin_ctzll(bits);
    }
    return -1;
  }
  bool empty() const noexcept { return next(0) < 0; }
  // Calls f(number) for every member.
  template <class F>
  void each(F f) const noexcept {
    for (std::int64_t n = next(0); n >= 0; n = next(static_cast<std::uint32_t>(n) + 1)) {
      f(static_cast<std::uint32_t>(n));
    }
  }

 private:
  // The first queues of a process need no memory, which may be refused when they are nested.
  static constexpr std::size_t kFew = 4;

  std::size_t words() const noexcept { return kFew + more_.capacity(); }
  std::uint64_t& word(std::size_t w) noexcept { return w < kFew ? few_[w] : more_[w - kFew]; }
  std::uint64_t word(std::size_t w) const noexcept { return w < kFew ? few_[w] : more_[w - kFew]; }

  std::uint64_t few_[kFew] = {};
  core::growable<std::uint64_t> more_;
};

// A queue's place among those that watch each other.
struct nesting {
  queue_set direct;                        // watches
  queue_set heard;                         // reached queues whose own set is in the public set
  std::atomic<std::uint64_t> watchers{0};  // bit k: some queue with number % 64 = k watches it
  std::atomic<bool> hailing{false};        // on some thread's list of queues to be told about
  class queue* next_hailed = nullptr;      // that list; the thread's own

  // In a child of fork: nobody watches anybody.
  void forget() noexcept {
    for (queue_set* set : {&direct, &heard}) set->clear();
    watchers.store(0, std::memory_order_relaxed);
    hailing.store(false, std::memory_order_relaxed);
  }
};

}  // namespace quay::kqueue
