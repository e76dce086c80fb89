// SPDX-License-Identifier: BSD-2-Clause
//
// What: the FIFO of notes that wait to be delivered, linked by slot index.
// Invariants: count() is the number of linked notes, and equals the number with state::kQueued. lately_ is no part
//             of the list: a hint what to prefetch, which may name notes that are gone.
// Locking: the owning queue's mutex. A scan holds it throughout, so the seeds' marker at the tail
//          is the count taken at the scan's start: what is appended later lies behind it.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/arena.hpp"
#include "core/note.hpp"
#include "core/processor.hpp"

namespace quay::core {

class ready_list {
 public:
  explicit ready_list(arena<note>& notes) noexcept : notes_(notes) {}

  std::uint32_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  bool empty() const noexcept { return count() == 0; }
  void show(catalogue::description& d) const noexcept { d.add("queued", count_); }

  // `n`: the note of that index.
  void append(slot_index i, note& n) noexcept {
    n.status |= state::kQueued;
    n.next = kNil;
    n.prev = tail_;
    (tail_ != kNil ? notes_.at(tail_).next : head_) = i;
    if (!alone()) {
      // Notes that were made in turn lie side by side, and they are often posted in turn.
      if (i - tail_ == 1) notes_.fetch(i + kNextPosts);
      remember(i);
    }
    tail_ = i;
    set_count(count() + 1);
  }

  void remove(slot_index i) noexcept {
    note& n = notes_.at(i);
    (n.prev != kNil ? notes_.at(n.prev).next : head_) = n.next;
    (n.next != kNil ? notes_.at(n.next).prev : tail_) = n.prev;
    n.prev = n.next = kNil;
    n.status &= static_cast<std::uint16_t>(~state::kQueued);
    set_count(count() - 1);
  }

  // The first are about to be taken. What another thread has queued is in another processor's cache, and
  // one note leads to the next: without this each is waited for in turn.
  void fetch_ahead() const noexcept {
    if (alone()) return;
    const std::uint32_t some = count() < kAhead ? count() : kAhead;
    for (std::uint32_t k = 1; k < some; ++k) fetch(taken() + k);
  }

  // For who waits without the mutex until it pays to take it: what is queued meanwhile is on its way here
  // already. Called again and again with what it returned, at first with taken().
  std::uint32_t fetch_news(std::uint32_t from) const noexcept {
    // The last note, and the last line of lately_, are still being written to.
    const std::uint32_t end =
        (appended_.load(std::memory_order_relaxed) - 1) & ~(kIndicesPerLine - 1);
    const auto news = static_cast<std::int32_t>(end - from);
    if (news > static_cast<std::int32_t>(kLately)) from = end - kLately;
    for (; static_cast<std::int32_t>(end - from) > 0; ++from) fetch(from);
    return from;
  }
  std::uint32_t taken() const noexcept { return taken_.load(std::memory_order_relaxed); }

  slot_index take_first() noexcept {
    const slot_index i = head_;
    if (i == kNil) return kNil;
    if (!alone()) {
      if (count() > kAhead) fetch(taken() + kAhead);
      taken_.store(taken() + 1, std::memory_order_relaxed);
    }
    note& n = notes_.at(i);
    head_ = n.next;
    (head_ != kNil ? notes_.at(head_).prev : tail_) = kNil;
    n.next = kNil;
    n.status &= static_cast<std::uint16_t>(~state::kQueued);
    set_count(count() - 1);
    return i;
  }

 private:
  static constexpr std::uint32_t kLately = 512;
  static constexpr std::uint32_t kIndicesPerLine = kCacheLine / sizeof(slot_index);
  static constexpr std::uint32_t kAhead = 8;  // notes
  static constexpr std::uint32_t kNextPosts = 4;

  void remember(slot_index i) noexcept {
    const std::uint32_t position = appended_.load(std::memory_order_relaxed);
    if (count() == 0) taken_.store(position, std::memory_order_relaxed);
    lately_[position % kLately].store(i, std::memory_order_relaxed);
    appended_.store(position + 1, std::memory_order_relaxed);
  }
  void fetch(std::uint32_t position) const noexcept {
    notes_.fetch(lately_[position % kLately].load(std::memory_order_relaxed));
  }
  void set_count(std::uint32_t n) noexcept { count_.store(n, std::memory_order_release); }

  arena<note>& notes_;
  slot_index head_ = kNil;
  slot_index tail_ = kNil;
  // Written under the queue's mutex; a spinning waiter reads it without.
  std::atomic<std::uint32_t> count_{0};
  // What was appended, in this order, and where taking has got to: a hint, which removals, and what was
  // queued without threads, put wrong until the list is empty. A waiter reads it without the mutex.
  std::atomic<std::uint32_t> appended_{0};
  std::atomic<std::uint32_t> taken_{0};
  alignas(kCacheLine) std::atomic<slot_index> lately_[kLately] = {};
};

}  // namespace quay::core
