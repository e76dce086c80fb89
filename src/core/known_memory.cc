// SPDX-License-Identifier: BSD-2-Clause
//
// What: the remembering of ranges, in whole pages.
#include "core/known_memory.hpp"

#include <algorithm>

namespace quay::core {

std::atomic<std::uint32_t> mapping_generation{1};
constinit thread_local known_memory known_to_read;
constinit thread_local known_memory known_to_write;

void known_memory::keep(std::uintptr_t at, std::size_t n, std::uint32_t generation) noexcept {
  constexpr std::uintptr_t kPage = 4096;
  if (generation_ != generation) *this = known_memory();
  generation_ = generation;
  const std::uintptr_t begin = at & ~(kPage - 1);
  const std::uintptr_t end = (at + n + kPage - 1) & ~(kPage - 1);
  // A large buffer is asked about in pieces.
  for (range& r : places_) {
    if (begin <= r.begin + r.size && r.begin <= end && r.size != 0) {
      r = {std::min(begin, r.begin), std::max(end, r.begin + r.size) - std::min(begin, r.begin)};
      return;
    }
  }
  places_[next_++ % kPlaces] = {begin, end - begin};
}

}  // namespace quay::core
