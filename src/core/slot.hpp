// SPDX-License-Identifier: BSD-2-Clause
//
// What: the name by which notes and interests refer to each other: a 32-bit index into an arena,
//       with a generation beside it where a stale name must be recognised.
#pragma once

#include <cstdint>

namespace quay::core {

using slot_index = std::uint32_t;
inline constexpr slot_index kNil = 0;  // slot 0 of every arena is never handed out

// A name that fits the 64 bits an epoll registration carries: generation, direction, index.
struct token {
  slot_index index;
  std::uint32_t generation;  // low 28 bits of the slot's generation
  std::uint32_t direction;

  static constexpr std::uint32_t kGenerationMask = 0x0fffffffu;

  constexpr std::uint64_t pack() const {
    return (static_cast<std::uint64_t>(generation & kGenerationMask) << 36) |
           (static_cast<std::uint64_t>(direction & 0xf) << 32) | index;
  }
  static constexpr token unpack(std::uint64_t bits) {
    return {static_cast<slot_index>(bits), static_cast<std::uint32_t>(bits >> 36),
            static_cast<std::uint32_t>((bits >> 32) & 0xf)};
  }
};

}  // namespace quay::core
