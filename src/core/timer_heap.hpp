// SPDX-License-Identifier: BSD-2-Clause
//
// What: the deadlines of one queue: a 4-ary heap with the keys inline.
// Contract: the structure that measured best (13-90 times cheaper than re-arming a kernel timer
//           each, exact to the nanosecond, 16 bytes a timer); docs/decisions/0003-timers.md.
// Invariants: note.heap_place of a note in the heap is its index + 1; 0 means in no heap.
// Locking: the owning queue's mutex.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/arena.hpp"
#include "core/growable.hpp"
#include "core/note.hpp"

namespace quay::core {

class timer_heap {
 public:
  explicit timer_heap(arena<note>& notes) noexcept : notes_(notes) {}

  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }
  void show(catalogue::description& d, const char* size) const noexcept { d.add(size, size_); }
  std::int64_t earliest() const noexcept { return items_[0].deadline; }
  slot_index first() const noexcept { return items_[0].note; }

  // Room for one more without allocating; see growable.hpp.
  bool reserve() { return items_.reserve(size_ + 1); }

  void insert(slot_index i, std::int64_t deadline) noexcept {
    place(size_, {deadline, i});
    ++size_;
    sift_up(size_ - 1);
  }

  void erase(slot_index i) noexcept {
    const std::size_t hole = notes_.at(i).heap_place - 1;
    notes_.at(i).heap_place = 0;
    --size_;
    if (hole == size_) return;
    place(hole, items_[size_]);
    settle(hole);
  }

  void move(slot_index i, std::int64_t deadline) noexcept {
    const std::size_t at = notes_.at(i).heap_place - 1;
    items_[at].deadline = deadline;
    settle(at);
  }

  std::int64_t deadline_of(slot_index i) const noexcept {
    return items_[notes_.at(i).heap_place - 1].deadline;
  }

 private:
  struct item {
    std::int64_t deadline;
    slot_index note;
  };
  static constexpr std::size_t kArity = 4;

  void place(std::size_t at, item v) noexcept {
    items_[at] = v;
    notes_.at(v.note).heap_place = static_cast<std::uint32_t>(at + 1);
  }
  void settle(std::size_t at) noexcept {
    if (at > 0 && items_[at].deadline < items_[(at - 1) / kArity].deadline) {
      sift_up(at);
    } else {
      sift_down(at);
    }
  }
  void sift_up(std::size_t at) noexcept {
    const item moving = items_[at];
    while (at > 0) {
      const std::size_t parent = (at - 1) / kArity;
      if (items_[parent].deadline <= moving.deadline) break;
      place(at, items_[parent]);
      at = parent;
    }
    place(at, moving);
  }
  void sift_down(std::size_t at) noexcept {
    const item moving = items_[at];
    for (;;) {
      const std::size_t first = at * kArity + 1;
      if (first >= size_) break;
      const std::size_t end = first + kArity < size_ ? first + kArity : size_;
      std::size_t least = first;
      for (std::size_t c = first + 1; c < end; ++c) {
        if (items_[c].deadline < items_[least].deadline) least = c;
      }
      if (items_[least].deadline >= moving.deadline) break;
      place(at, items_[least]);
      at = least;
    }
    place(at, moving);
  }

  arena<note>& notes_;
  growable<item> items_;
  std::size_t size_ = 0;
};

}  // namespace quay::core
