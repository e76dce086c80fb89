// SPDX-License-Identifier: BSD-2-Clause
//
// What: how long a waiter watches user-space state before it sleeps in the kernel, how long who
//       fetches waits for more, and who closes for those who leave.
// Contract: waking a sleeping CPU costs tens of microseconds, a hand-over to a spinning one a few
//           hundred nanoseconds. The budget doubles when watching paid off and halves when not,
//           up to the tunable spin_us; a sleep that was so short that watching would have paid off
//           raises it to that. On one CPU there is no watching.
// Locking: none; what is remembered is a hint, read and written relaxed.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>

#include "core/host.hpp"
#include "core/mutex.hpp"

namespace quay::core {

// A poster that has begun usually goes on, and who takes its events a few at a time fights with it for the
// lines of both, and for the lock. So who fetches waits as long as more come, some microseconds at
// most. How long the first look is, the waits before have shown: nobody waits for a poster that itself
// waits for the answer. docs/decisions/0013.
class gathering {
 public:
  // A wait goes on until there are as many times the room.
  static constexpr std::uint32_t kRoomfuls = 4;

  // Events have been coming in a stream: it pays to wait for them before the lock is taken.
  bool pays() const noexcept {
    return first_.load(std::memory_order_relaxed) >= kLongest / 2 && many_cpus();
  }

  // `count` tells how many there are; `room` can be taken at once. Several roomfuls are waited for: the
  // poster is disturbed once, and not for each.
  template <class Count>
  void wait(std::uint32_t room, Count count) noexcept {
    if (room <= 1) return;
    const int first = first_.load(std::memory_order_relaxed);
    // Both sides may be in a step in which a short look never sees the next event come.
    const bool tries = waits_.fetch_add(1, std::memory_order_relaxed) % kWaitsPerTry == 0;
    int pauses = tries ? std::max(first, kTry) : first;
    if (pauses == 0) return;
    const std::uint32_t most = room < kMany / kRoomfuls ? room * kRoomfuls : kMany;
    std::uint32_t seen = count();
    if (seen >= most) return;
    std::uint32_t came = 0;
    for (int left = kMost; left > 0 && seen < most; left -= pauses) {
      if (came != 0 && pauses < kLongest) pauses *= 2;
      for (int i = 0; i < pauses; ++i) pause();
      const std::uint32_t now = count();
      if (now <= seen) break;
      came += now - seen;
      seen = now;
    }
    int next = first / 2;
    if (came >= std::min(kStream, most / 2)) {
      next = std::clamp(first * 2, kLongest / 2, kLongest);
    } else if (next < kShortest) {
      next = 0;
    }
    first_.store(next, std::memory_order_relaxed);
  }

 private:
  static constexpr int kShortest = 8;  // pauses, of some 20 ns each
  static constexpr int kTry = 32;
  static constexpr int kLongest = 64;
  static constexpr int kMost = 256;
  static constexpr std::uint32_t kWaitsPerTry = 128;
  static constexpr std::uint32_t kMany = 1024;
  static constexpr std::uint32_t kStream = 8;  // events in one wait, or half of what it waits for
  std::atomic<int> first_{kShortest};
  std::atomic<std::uint32_t> waits_{1};
};

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

// Waits for what other threads are about to do, and need no more than a processor for. 100 ms at most: the caller may be
// a handler that interrupts what it waits for.
template <class Done>
void await_briefly(host& h, Done done) noexcept {
  constexpr std::int64_t kLongest = 100'000'000;  // ns
  if (done()) return;
  const std::int64_t end = h.monotonic() + kLongest;
  while (!done() && h.monotonic() < end) std::this_thread::yield();
}

}  // namespace quay::core
