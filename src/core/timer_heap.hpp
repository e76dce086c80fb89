// SPDX-License-Identifier: BSD-2-Clause
//
// What: the deadlines of one queue: a 4-ary heap with the keys inline. A timer that is stopped
//       leaves its item behind; the item is recognised as stale when it is met. When the same timer
//       is the next to be started, and not for an earlier time, the item is taken up again as it is.
// Contract: docs/decisions/0003-timers.md has the measurements: of a million timers, each touch of a
//           note is a cache miss, and an exact heap touches one for every item that it moves.
// Invariants:
//   1. note.timing is odd while the note is in a heap. It changes whenever that begins or ends and
//      survives the slot's lives, so an item is alive while its note's timing is the one it carries.
//   2. The first item is alive and its deadline the timer's, or there is none. That of another, alive, is not later than
//      its timer's; of a note with state::kClock alone may it be earlier.
//   3. There are about as many stale items as others at most, but for a few (kSlack) that do not
//      matter and those that a sweep under way has yet to meet.
// Locking: the owning queue's mutex; a stale item's note may be another queue's by now: only its
//          timing is looked at, which is atomic.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/arena.hpp"
#include "core/growable.hpp"
#include "core/note.hpp"
#include "core/processor.hpp"

namespace quay::core {

class timer_heap {
 public:
  explicit timer_heap(arena<note>& notes) noexcept : notes_(notes) {}

  static bool running(const note& n) noexcept { return (n.timing & 1) != 0; }

  bool empty() const noexcept { return alive_ == 0; }
  std::size_t size() const noexcept { return alive_; }
  std::size_t items() const noexcept { return size_; }  // those of stopped timers included
  void show(catalogue::description& d, const char* size) const noexcept { d.add(size, alive_); }
  std::int64_t earliest() const noexcept { return items_[0].deadline; }
  slot_index first() const noexcept { return items_[0].note; }

  // Room for one more without allocating; see growable.hpp.
  [[nodiscard]] bool reserve() noexcept {
    if (items_.reserve(size_ + 1)) return true;
    sweep(size_);
    return size_ < items_.capacity();
  }

  // The note is in no heap, and there is room.
  void insert(slot_index i, std::int64_t deadline) noexcept {
    note& n = notes_.at(i);
    ++alive_;
    if ((n.status & state::kClock) != 0) {
      n.timer.deadline = deadline;
      if (i == stopped_.note && n.timing == stopped_.timing && stopped_.deadline <= deadline) {
        set_timing(n, stopped_.timing - 1);
        n.timer.listed = stopped_.deadline;
        return;
      }
      n.timer.listed = deadline;
    }
    set_timing(n, n.timing + 1);
    sift_up(size_++, {deadline, i, n.timing});
    if (size_ - alive_ > alive_ + kSlack) sweep(kSwept);
  }

  void erase(slot_index i) noexcept {
    note& n = notes_.at(i);
    set_timing(n, n.timing + 1);
    stopped_.note = kNil;
    if (--alive_ == 0) {
      size_ = 0;
      return;
    }
    if ((n.status & state::kClock) != 0) stopped_ = {i, n.timing, n.timer.listed};
    if (items_[0].note == i) {
      put_right_first();
      // The next ones to come.
      for (std::size_t c = 1; c <= kArity && c < size_; ++c) fetch_ahead(items_[c]);
    }
  }

 private:
  struct item {
    std::int64_t deadline;
    slot_index note;
    std::uint32_t timing;
  };
  static constexpr std::size_t kArity = 4;
  static constexpr std::size_t kSlack = 64;  // stale items that are not worth a sweep
  static constexpr std::size_t kSwept = 3;   // items that an insertion looks at

  static void set_timing(note& n, std::uint32_t now) noexcept {
    std::atomic_ref(n.timing).store(now, std::memory_order_relaxed);
  }

  bool is_alive(const item& v) const noexcept {
    return std::atomic_ref(notes_.at(v.note).timing).load(std::memory_order_relaxed) == v.timing;
  }

  void fetch_ahead(const item& v) const noexcept { fetch_for_writing(&notes_.at(v.note).timing); }

  // Looks at the next `n` items and takes out those that are stale. The neighbours of what is looked
  // at were just used; only the notes are far, and asked for ahead.
  void sweep(std::size_t n) noexcept {
    for (; n > 0; --n) {
      if (swept_ >= size_) swept_ = 0;
      if (size_ == 0) return;
      if (swept_ + 2 * kSwept < size_) fetch_ahead(items_[swept_ + 2 * kSwept]);
      if (is_alive(items_[swept_])) {
        ++swept_;
      } else {
        remove(swept_);
      }
    }
  }

  // Invariant 2, after the first item's timer was stopped: some timer is left.
  void put_right_first() noexcept {
    for (;;) {
      item first = items_[0];
      if (!is_alive(first)) {
        remove(0);
        continue;
      }
      note& n = notes_.at(first.note);
      if ((n.status & state::kClock) == 0 || n.timer.deadline == first.deadline) return;
      n.timer.listed = first.deadline = n.timer.deadline;
      sift_down(0, first);
    }
  }

  void remove(std::size_t hole) noexcept {
    if (items_[hole].note == stopped_.note) stopped_.note = kNil;
    --size_;
    if (hole == size_) return;
    const item moving = items_[size_];
    if (hole > 0 && moving.deadline < items_[(hole - 1) / kArity].deadline) {
      sift_up(hole, moving);
    } else {
      sift_down(hole, moving);
    }
  }
  // From the hole `at`, the place of `moving` is looked for. It is not put there first: its parts, just
  // written, could not be read as one for a while.
  void sift_up(std::size_t at, item moving) noexcept {
    while (at > 0) {
      const std::size_t parent = (at - 1) / kArity;
      if (items_[parent].deadline <= moving.deadline) break;
      items_[at] = items_[parent];
      at = parent;
    }
    items_[at] = moving;
  }
  void sift_down(std::size_t at, item moving) noexcept {
    for (;;) {
      const std::size_t first = at * kArity + 1;
      if (first >= size_) break;
      const std::size_t end = first + kArity < size_ ? first + kArity : size_;
      std::size_t least = first;
      for (std::size_t c = first + 1; c < end; ++c) {
        if (items_[c].deadline < items_[least].deadline) least = c;
      }
      if (items_[least].deadline >= moving.deadline) break;
      items_[at] = items_[least];
      at = least;
    }
    items_[at] = moving;
  }

  arena<note>& notes_;
  growable<item> items_;
  std::size_t size_ = 0;   // items, the stale ones included
  std::size_t alive_ = 0;  // items that are not
  std::size_t swept_ = 0;  // where the next sweep goes on
  // The timer that was stopped last, if its item is still there.
  struct {
    slot_index note = kNil;
    std::uint32_t timing = 0;
    std::int64_t deadline = 0;
  } stopped_;
};

}  // namespace quay::core
