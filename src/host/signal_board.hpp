// SPDX-License-Identifier: BSD-2-Clause
//
// What: the words that the signal engine shares with the handler it installs, and the steps that
//       both take.
// Contract: semantics/pipes-signalfd.md B8, rules 3 and 7.
// Invariants:
//   1. entry.count is {count, generation, counted}: 32, 24 and 8 bits. `counted` is how many postings
//      of what is pending were counted already: their deliveries are then no second ones. A signal
//      that does not queue is pending once, however often it was posted. The generation, raised by
//      every delivery, keeps a look from marking as counted what was delivered while it looked.
//   2. The lock is taken with all signals blocked: no handler ever runs in its holder.
//   3. In a child of vfork, which is not `owner`, no word changes: they are the parent's.
// Locking: words through core::shared; what is said to be guarded, by lock_board().
#pragma once

#include <csignal>
#include <cstdint>

#include "core/signals.hpp"

namespace quay::host {

struct signal_board {
  struct entry {
    std::uint64_t count = 0;
    std::uint32_t ignored = 0;
    std::uintptr_t action = 0;       // what the program wants: SIG_DFL, SIG_IGN, a handler, kAsk
    struct sigaction wanted = {};    // guarded: what the program set
    std::uintptr_t installed = 0;    // guarded: the handler the kernel has
    std::uint32_t watchers = 0;      // guarded
    std::uint32_t want_ignored = 0;  // guarded: watchers that count ignored postings too
  };
  static constexpr std::uintptr_t kAsk = 2;  // SA_RESETHAND: take the lock and look at `wanted`

  entry of[core::kSignals + 1];
  std::uint64_t watched = 0;
  std::uint64_t tally = 0;
  core::bell* bells = nullptr;
  int owner = 0;           // the process that counts
  int clapper = -1;        // see linux_host::ring
  std::uint32_t word = 0;  // the lock: 1 while held
};

extern signal_board g_board;

inline constexpr std::uint64_t kCounted = 0xff;
inline constexpr std::uint64_t kGeneration = 0x100;
inline constexpr std::uint64_t kOne = std::uint64_t{1} << 32;

QUAY_HANDLER_SAFE constexpr bool queues(int number) noexcept { return number >= 32; }
constexpr std::uint64_t generation_of(std::uint64_t count) noexcept {
  return count & (kOne - kGeneration);
}

// The word after a posting ended: delivered, or taken.
QUAY_HANDLER_SAFE constexpr std::uint64_t after_delivery(int number, std::uint64_t was,
                                                         bool counts) noexcept {
  const std::uint64_t counted = was & kCounted;
  const std::uint64_t left = queues(number) && counted != 0 ? counted - 1 : 0;
  const std::uint64_t low = (was + kGeneration) & (kOne - 1) & ~kCounted;
  return (was & ~(kOne - 1)) + (counts ? kOne : 0) + low + left;
}

enum class usual : std::uint8_t { terminate, ignore, stop };  // what SIG_DFL does
usual usual_action(int number) noexcept;

// What stands in front of the program's handler.
void on_signal(int number, siginfo_t* info, void* context) noexcept;
QUAY_HANDLER_SAFE inline std::uintptr_t our_handler() noexcept {
  return reinterpret_cast<std::uintptr_t>(&on_signal);
}

// All signals of the thread are blocked while it holds the lock; `mask` keeps what was blocked.
void lock_board(std::uint64_t& mask) noexcept;
void unlock_board(std::uint64_t mask) noexcept;

bool in_owner() noexcept;
// libc's sigaction(), past any interposer.
void set_action(int number, std::uintptr_t handler, const struct sigaction& like) noexcept;
// Makes the kernel's disposition what the program and the watchers ask for.
void install_locked(int number) noexcept;
void publish_locked(int number) noexcept;
// Rings for the queues that listen to `signals`.
void ring_bells(std::uint64_t signals) noexcept;

}  // namespace quay::host
