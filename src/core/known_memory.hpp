// SPDX-License-Identifier: BSD-2-Clause
//
// What: ranges of memory that a thread has found good, for arguments that lie where those of earlier
//       calls lay.
// Invariants: 1. A range is remembered only while every munmap, mprotect and the like is announced
//                (hooked processes) and none has happened since.
//             2. Nothing is remembered of a range that was found bad.
// Locking: none, a thread's own; mapping_generation is raised before the mapping changes (release) and
//          read before a range is believed (acquire).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace quay::core {

// Raised by every announced change of a mapping.
extern std::atomic<std::uint32_t> mapping_generation;

class known_memory {
 public:
  [[gnu::always_inline]] bool holds(const void* p, std::size_t n) const noexcept {
    if (generation_ != mapping_generation.load(std::memory_order_acquire)) return false;
    const auto at = reinterpret_cast<std::uintptr_t>(p);
    static_assert(kPlaces == 4);  // without a loop, which takes registers from the caller
    return places_[0].holds(at, n) || places_[1].holds(at, n) || places_[2].holds(at, n) ||
           places_[3].holds(at, n);
  }

  // Found good while `generation` was the current one.
  void keep(std::uintptr_t at, std::size_t n, std::uint32_t generation) noexcept;

 private:
  // Changes, events and timeouts usually lie on different ones; the oldest makes room for a new one.
  static constexpr std::size_t kPlaces = 4;
  struct range {
    std::uintptr_t begin;
    std::size_t size;

    bool holds(std::uintptr_t at, std::size_t n) const noexcept {
      return n <= size && at - begin <= size - n;
    }
  };
  range places_[kPlaces] = {};
  std::uint32_t generation_ = 0;  // of all of them
  std::uint32_t next_ = 0;
};

extern constinit thread_local known_memory known_to_read __attribute__((tls_model("initial-exec")));
extern constinit thread_local known_memory known_to_write
    __attribute__((tls_model("initial-exec")));

}  // namespace quay::core
