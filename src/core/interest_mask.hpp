// SPDX-License-Identifier: BSD-2-Clause
//
// What: the pure function from the notes on one descriptor to the epoll mask they need, and the
//       rule that says when the kernel's copy of it must be changed. No state, no system call:
//       tested by a table (tests/unit/interest_mask_test.cc).
// Contract: docs/design.md, "The kernel's interest set is a cache of the notes".
#pragma once

#include <cstdint>

namespace quay::core {

// What one note asks of the kernel.
struct demand {
  std::uint32_t events;  // EPOLLIN, EPOLLOUT, EPOLLPRI … without modifiers
  bool enabled;          // a disabled note collects edges but wants no level reports
  bool edge;             // EV_CLEAR, or a condition that the kernel's level does not express
};

struct mask {
  std::uint32_t events = 0;  // what the kernel should report; 0 = nothing
  bool edge = false;         // edge-triggered
  bool wanted = false;       // some enabled note is behind it

  friend bool operator==(const mask&, const mask&) = default;
};

// Adds one note's demand. Start from mask{} and fold in every note of one direction.
mask combine(mask so_far, const demand& d) noexcept;

// The bits to hand to epoll_ctl for `wanted`.
std::uint32_t epoll_bits(const mask& wanted) noexcept;

// Mask of a registration that is kept but shall not report: an edge that only a hang-up raises.
std::uint32_t disarmed_bits() noexcept;

enum class rearm : std::uint8_t {
  none,    // what the kernel holds serves
  modify,  // the kernel could miss something wanted
};

// Whether a registration that the kernel holds as `armed` (epoll bits) serves `wanted`. A mask
// that is too wide serves: the kernel is told only when it reports what nobody wants.
rearm compare(std::uint32_t armed, const mask& wanted) noexcept;

}  // namespace quay::core
