// SPDX-License-Identifier: BSD-2-Clause
//
// What: how long a call watches its ring before it sleeps.
// Contract: a hand-over to somebody who watches takes a few hundred nanoseconds, waking a sleeper
//           tens of microseconds, during which the other side goes to sleep in turn. So a watch
//           that paid off is followed by longer ones, one that did not by shorter ones, and now and
//           then the longest is tried: without that two sleepers would keep each other asleep.
//           On one processor the other side cannot run meanwhile: it is given the processor, which
//           takes half of what a sleep and a wake-up take. Where others run there too, that is a turn
//           of theirs each time, and a sleeper that is woken goes before them: then it is left alone.
// Locking: none; a hint, read and written relaxed.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>

#include "core/host.hpp"
#include "core/mutex.hpp"
#include "host/pipes.hpp"

namespace quay::pipe {

class patience {
 public:
  // Watches for `most` ns at the longest until ready() is true; tells whether it was seen. `other_cpu`
  // is where the other side was last seen.
  template <class Ready>
  bool watch(core::host& h, std::int64_t most, std::uint32_t other_cpu, Ready ready) noexcept {
    if (most <= 0) return false;
    if (other_cpu == host::this_cpu()) return give_way(h, most, ready);
    std::int64_t budget = budget_.load(std::memory_order_relaxed);
    const std::uint32_t n = tries_.load(std::memory_order_relaxed);
    tries_.store(n + 1, std::memory_order_relaxed);
    if (budget > most || n % kTryTheLongest == 0) budget = most;
    std::int64_t end = 0;
    for (;;) {
      for (int i = 0; i < kLooks; ++i) {
        if (ready()) {
          budget_.store(budget * 2, std::memory_order_relaxed);
          return true;
        }
        core::pause();
      }
      // The clock costs more than most hand-overs take.
      const std::int64_t now = h.monotonic();
      if (end == 0) end = now + budget;
      if (now >= end) break;
    }
    budget_.store(budget / 2 > kLeast ? budget / 2 : kLeast, std::memory_order_relaxed);
    return false;
  }

 private:
  // Lets the other side run, once; rests after a turn that brought nothing or took long.
  template <class Ready>
  bool give_way(core::host& h, std::int64_t most, Ready ready) noexcept {
    const std::int64_t left = rest_.load(std::memory_order_relaxed);
    if (left > 0) {
      rest_.store(left - 1, std::memory_order_relaxed);
      return false;
    }
    const std::int64_t begin = h.monotonic();
    std::this_thread::yield();
    const bool seen = ready();
    const std::int64_t turn = h.monotonic() - begin;
    std::int64_t loss = loss_.load(std::memory_order_relaxed) / 2;
    if (turn > most) {
      loss = std::min(std::max(4 * loss, turn / kGain), kLongestRest);
    } else if (!seen) {
      loss = std::min(4 * loss + 1, kLongestRest);
    }
    loss_.store(loss, std::memory_order_relaxed);
    if (turn > most || !seen) rest_.store(loss, std::memory_order_relaxed);
    return seen;
  }

  static constexpr std::int64_t kLeast = 2000;  // ns
  static constexpr std::uint32_t kTryTheLongest = 16;
  static constexpr int kLooks = 64;
  static constexpr std::int64_t kGain = 1000;  // ns that a turn saves, less than it usually is
  static constexpr std::int64_t kLongestRest = 1 << 16;
  std::atomic<std::int64_t> budget_{kLeast};
  std::atomic<std::uint32_t> tries_{0};
  std::atomic<std::int64_t> rest_{0};  // waits to come in which nobody is given way to
  std::atomic<std::int64_t> loss_{0};  // of late, in turns that were gained
};

}  // namespace quay::pipe
