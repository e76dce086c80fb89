// SPDX-License-Identifier: BSD-2-Clause
//
// What: a set of slots, of which the first is found at once, however many there may be.
// Invariants: level 0 has a bit per slot; a bit of level k+1 is set if a word of level k has any.
// Ownership: the reservation is never given back; its pages are touched as slots near them come.
// Locking: the owner's.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/memory.hpp"
#include "core/slot.hpp"

namespace quay::core {

class slot_set {
 public:
  // For slots below `limit`. False when the memory is refused.
  [[nodiscard]] bool reserve(std::size_t limit) noexcept {
    std::array<std::size_t, kLevels> words{};
    std::size_t all = 0;
    for (std::size_t k = 0, n = limit; k < kLevels; ++k) all += words[k] = n = (n + 63) / 64;
    auto* at = static_cast<std::uint64_t*>(reserve_memory(all * sizeof(std::uint64_t)));
    if (at == nullptr) return false;
    for (std::size_t k = 0; k < kLevels; at += words[k++]) levels_[k] = at;
    return true;
  }

  void insert(slot_index i) noexcept {
    for (std::uint64_t* level : levels_) {
      std::uint64_t& word = level[i / 64];
      const bool known = word != 0;
      word |= std::uint64_t{1} << i % 64;
      if (known) return;
      i /= 64;
    }
  }

  // Takes out the first slot; kNil when there is none.
  slot_index take_first() noexcept {
    if (levels_[kLevels - 1][0] == 0) return kNil;
    slot_index i = 0;
    for (std::size_t k = kLevels; k-- > 0;) {
      i = i * 64 + static_cast<slot_index>(std::countr_zero(levels_[k][i]));
    }
    slot_index at = i;
    for (std::uint64_t* level : levels_) {
      std::uint64_t& word = level[at / 64];
      word &= ~(std::uint64_t{1} << at % 64);
      if (word != 0) break;
      at /= 64;
    }
    return i;
  }

 private:
  static constexpr std::size_t kLevels = 5;  // 2^30 slots

  std::array<std::uint64_t*, kLevels> levels_{};
};

}  // namespace quay::core
