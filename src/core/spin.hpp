// SPDX-License-Identifier: BSD-2-Clause
//
// What: how long a waiter watches user-space state before it sleeps in the kernel, and how long who has
//       seen something waits for more.
// Contract: waking a sleeping CPU costs tens of microseconds, a hand-over to a spinning one a few
//           hundred nanoseconds. The budget doubles when watching paid off and halves when not,
//           up to the tunable spin_us; a sleep that was so short that watching would have paid off
//           raises it to that. On one CPU there is no watching.
// Locking: none; budget is a hint, read and written relaxed.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/host.hpp"
#include "core/mutex.hpp"

namespace quay::core {

// A poster that has just begun usually goes on: taking its events one by one would make both sides
// fight for the mutex. Waits as long as what lies there grows, some microseconds at most.
template <class Count>
void gather(std::uint32_t room, Count count) noexcept {
  if (room <= 1) return;
  std::uint32_t before = count();
  for (int pauses = 8; pauses <= 64; pauses *= 2) {
    for (int i = 0; i < pauses; ++i) pause();
    const std::uint32_t now = count();
    if (now == before || now >= room) return;
    before = now;
  }
}

class adaptive_spin {
 public:
  // Watches until ready() is true or the budget (never past `limit` ns, kForever = no limit) is
  // used up; tells whether ready() was seen.
  template <class Ready>
  bool watch(host& h, std::int64_t most, std::int64_t limit, Ready ready) noexcept {
    if (most <= 0 || !many_cpus()) return false;
    std::int64_t budget = budget_.load(std::memory_order_relaxed);
    if (budget < kLeast) budget = 0;
    if (budget > most) budget = most;
    // A budget of nothing is tried again now and then, or a new pattern would never be noticed.
    if (budget == 0 && (tries_.fetch_add(1, std::memory_order_relaxed) & 15) != 0) return false;
    if (budget == 0) budget = kLeast;
    if (limit >= 0 && limit < budget) budget = limit;
    const std::int64_t end = h.monotonic() + budget;
    do {
      for (int i = 0; i < 32; ++i) {
        if (ready()) {
          budget_.store(budget * 2 < most ? budget * 2 : most, std::memory_order_relaxed);
          return true;
        }
        pause();
      }
    } while (h.monotonic() < end);
    budget_.store(budget / 2, std::memory_order_relaxed);
    return false;
  }

  // A sleep was ended after `slept` ns by what would have made a watch see it. Part of that time it
  // took to wake up.
  void regret(std::int64_t slept, std::int64_t most) noexcept {
    if (slept < 2 * most) budget_.store(most, std::memory_order_relaxed);
  }

 private:
  static constexpr std::int64_t kLeast = 2000;  // ns
  std::atomic<std::int64_t> budget_{0};
  std::atomic<std::uint32_t> tries_{0};
};

}  // namespace quay::core
