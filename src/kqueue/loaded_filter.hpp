// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the registry of programs' filters and the notes that use them know of each other.
// Contract, invariants: kfilter.hpp.
#pragma once

#include <quay/kfilter.h>

#include <atomic>

#include "core/slot.hpp"

namespace quay::kqueue {

class queue;

struct loaded_entry {
  static constexpr int kClosed = -1;

  filterops ops;              // immutable once published
  const char* name;           // likewise
  std::atomic<int> notes{0};  // that use it; kClosed: unregistered
};

// The entry of a number, closed or not; null when the number was never given.
loaded_entry* loaded_entry_of(int number) noexcept;

// A note of a program's filter, outside the arena: the program holds pointers to its knote.
struct loaded_note {
  struct ::knote kn;  // first: the program's pointer is ours
  loaded_entry* entry;
  queue* owner;
  core::slot_index index;  // the note, if it is still the one of this generation
  std::uint32_t generation;
  bool dead;                             // dropped; guarded by the queue's mutex
  std::atomic<std::uint32_t> inside{0};  // calls of f_event under way
  loaded_note* next_dropped;
};

}  // namespace quay::kqueue
