// SPDX-License-Identifier: BSD-2-Clause
//
// What: what one process knows of a pipe: its memory, and its own descriptors of either end.
// Invariants:
//   1. `life` is raised when the process has no descriptor of either end any more: a call that
//      looked the pipe up before notices, under a ring's lock, that it came too late.
//   2. A side is open in this process while it has numbers or lingers: its last number was closed
//      while threads slept in calls on it, which keeps it open as in the kernels. From then on it ends, until the
//      pipe has been told; whoever ends the second side of the two ends the pipe.
// Ownership: pairs belong to the system, are recycled with their memory and never freed.
// Locking: the system's lock guards everything but the spins and what is atomic.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/spin.hpp"
#include "pipe/layout.hpp"
#include "pipe/patience.hpp"

namespace quay::pipe {

struct side {
  std::atomic<std::uint32_t> numbers{0};
  std::uint32_t asleep = 0;
  std::atomic<int> descriptor{
      -1};  // one of them, or the library's own while lingering; -1: not open
  bool lingering = false;
  bool ending = false;
  bool watched = false;  // a hang-up of the other end will be reported
  int probe = -1;        // while the last number is being closed: the pipe's other side
  patience reading;
  patience writing;
  core::gathering more;               // of the bytes that come in
  std::atomic<std::size_t> asked{0};  // by the latest read, in bytes
};

struct pair {
  shared_pipe* shared = nullptr;
  std::atomic<std::uint32_t> life{0};
  std::uint32_t index = 0;
  pair* next_free = nullptr;
  // The memory is an object that can be handed on, or -1. The system's lock.
  int object = -1;
  // The rings count in this process's budget. Changes under all of the rings' locks.
  bool counted = true;
  side sides[2];
};

// A call on a descriptor: what the number meant when the call began.
struct subject {
  pair* of;
  std::uint32_t life;
  int end;

  shared_pipe& memory() const noexcept { return *of->shared; }
  side& own() const noexcept { return of->sides[end]; }
  direction& inbound() const noexcept { return of->shared->to[end]; }
  direction& outbound() const noexcept { return of->shared->to[1 - end]; }
  // No other process has it; a thread that is within a call does not fork.
  bool undivided() const noexcept {
    return of->shared->several.load(std::memory_order_relaxed) == 0;
  }
  bool stale() const noexcept { return of->life.load(std::memory_order_relaxed) != life; }
};

}  // namespace quay::pipe
