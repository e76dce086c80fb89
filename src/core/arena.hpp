// SPDX-License-Identifier: BSD-2-Clause
//
// What: fixed-size slots in one reserved stretch of address space, named by 32-bit index.
// Invariants:
//   1. A slot never moves; its pages are touched when it is first handed out, not before.
//   2. Slot 0 is never handed out.
//   3. T::generation survives release and is raised by it: index + generation never names two lives.
//   4. The first free slot is handed out, so that those in use stay together, and those that come one
//      after the other are neighbours where they can.
// Ownership: the arena owns all slots; the reservation is never given back (process lifetime), and
//            is asked for again where it was refused.
// Locking: own mutex (rank arena) for what is free; at() needs none.
#pragma once

#include <atomic>
#include <cstddef>
#include <new>

#include "core/catalogue.hpp"
#include "core/memory.hpp"
#include "core/mutex.hpp"
#include "core/processor.hpp"
#include "core/slot.hpp"
#include "core/slot_set.hpp"

namespace quay::core {

template <class T>
class arena {
 public:
  explicit arena(std::size_t most) noexcept : most_(most) { reserve_locked(); }
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;

  T& at(slot_index i) noexcept { return base_[i]; }
  const T& at(slot_index i) const noexcept { return base_[i]; }

  // Any index: the processor alone is told where the slot lies, or would lie.
  void fetch(slot_index i) const noexcept {
    const void* const first = place_of(base_, i);
    fetch_for_writing(first);
    if constexpr (sizeof(T) > kCacheLine) {
      fetch_for_writing(place_of(static_cast<const char*>(first), kCacheLine));
    }
  }

  // A fresh slot, or kNil when the arena is full.
  slot_index allocate() noexcept {
    guard hold(lock_);
    if (base_ == nullptr) reserve_locked();
    if (base_ == nullptr) return kNil;
    slot_index i = free_.take_first();
    if (i == kNil) {
      if (used_ == capacity_) return kNil;
      i = used_++;
      ::new (static_cast<void*>(&base_[i])) T();
    }
    ++live_;
    return i;
  }

  // From now on no name given so far finds the slot. By its owner, or under the lock.
  void rename(slot_index i) noexcept {
    std::uint32_t& generation = base_[i].generation;
    std::atomic_ref(generation).store(generation + 1, std::memory_order_relaxed);
  }

  void release(slot_index i) noexcept {
    guard hold(lock_);
    rename(i);
    free_.insert(i);
    --live_;
  }

  // The slot if it is (still) the life that the generation names, else null. For untrusted names.
  T* find(slot_index i, std::uint32_t generation) noexcept {
    if (i == kNil || i >= used_limit()) return nullptr;
    T& slot = base_[i];
    // A stale name may meet a slot that another queue is releasing at this moment.
    const std::uint32_t now = std::atomic_ref(slot.generation).load(std::memory_order_relaxed);
    return (now & token::kGenerationMask) == generation ? &slot : nullptr;
  }

  std::size_t live() noexcept {
    guard hold(lock_);
    return live_;
  }
  mutex& lock() noexcept { return lock_; }

  // The slots, live or free, of which `sample` is like.
  void show(catalogue& c, const catalogue::description& sample) const noexcept QUAY_NO_ANALYSIS {
    c.show_slots(sample, base_, sizeof(T), used_, kNil + 1);
  }

 private:
  slot_index used_limit() const noexcept { return capacity_; }
  // A process under an address-space limit gets a smaller arena rather than none; one that gets
  // none asks again with its next slot. In the constructor nobody else is there to lock out.
  void reserve_locked() noexcept QUAY_NO_ANALYSIS {
    for (std::size_t n = most_; n >= 1024 && base_ == nullptr; n /= 2) {
      void* const slots = reserve_memory(n * sizeof(T));
      if (slots == nullptr) continue;
      if (!free_.reserve(n)) {
        unmap_memory(slots, n * sizeof(T));
        continue;
      }
      base_ = static_cast<T*>(slots);
      capacity_ = static_cast<slot_index>(n);
    }
  }

  mutex lock_{rank::arena};
  const std::size_t most_;
  T* base_ = nullptr;                           // set once, before the first slot is handed out
  slot_index capacity_ = 0;                     // likewise
  slot_index used_ QUAY_GUARDED_BY(lock_) = 1;  // slots ever handed out, slot 0 included
  slot_set free_ QUAY_GUARDED_BY(lock_);
  std::size_t live_ QUAY_GUARDED_BY(lock_) = 0;
};

}  // namespace quay::core
