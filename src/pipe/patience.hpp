// SPDX-License-Identifier: BSD-2-Clause
//
// What: how long a call watches its ring before it sleeps.
// Contract: a hand-over to somebody who watches takes a few hundred nanoseconds, waking a sleeper
//           tens of microseconds, during which the other side goes to sleep in turn. So a watch
//           that paid off is followed by longer ones, one that did not by shorter ones, and now and
//           then the longest is tried: without that two sleepers would keep each other asleep.
// Invariants: nobody watches while the other side was last seen on this very processor: it could not
//             run.
// Locking: none; a hint, read and written relaxed.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/host.hpp"
#include "core/mutex.hpp"
#include "host/pipes.hpp"

namespace quay::pipe {

class patience {
 public:
  // Watches for `most` ns at the longest until ready() is true; tells whether it was seen.
  template <class Ready>
  bool watch(core::host& h, std::int64_t most, std::uint32_t other_cpu, Ready ready) noexcept {
    if (most <= 0 || other_cpu == host::this_cpu()) return false;
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
  static constexpr std::int64_t kLeast = 2000;  // ns
  static constexpr std::uint32_t kTryTheLongest = 16;
  static constexpr int kLooks = 64;
  std::atomic<std::int64_t> budget_{kLeast};
  std::atomic<std::uint32_t> tries_{0};
};

}  // namespace quay::pipe
