// SPDX-License-Identifier: BSD-2-Clause
//
// What: finds a queue's notes that are not on a descriptor, by (filter, identifier).
// Invariants: chains run through note.link; at most one note for each key; the number of buckets
//             is a power of two and at least twice the number of notes, or memory was refused.
// Locking: the owning queue's mutex.
#pragma once

#include <cstdint>

#include "core/arena.hpp"
#include "core/growable.hpp"
#include "core/note.hpp"
#include "core/processor.hpp"

namespace quay::core {

class ident_table {
 public:
  explicit ident_table(arena<note>& notes) noexcept : notes_(notes) {}

  slot_index find(std::int16_t filter, std::uintptr_t ident) const noexcept {
    if (last_.ident == ident && last_.filter == filter) return last_.slot;
    if (buckets_ == 0) return kNil;
    if (in_step_) notes_.fetch(static_cast<slot_index>(ident) + ahead_);
    const auto b = static_cast<std::uint32_t>(bucket(filter, ident));
    slot_index i = heads_[b];
    for (; i != kNil; i = notes_.at(i).link) {
      const note& n = notes_.at(i);
      fetch_for_writing(&n);
      fetch_for_writing(&n.generation);  // a note lies on two cache lines; both will be needed
      if (n.ident == ident && n.filter == filter) {
        if (buckets_ > kCached) learn(i - static_cast<slot_index>(ident));
        break;
      }
    }
    last_ = {ident, i, b, filter};
    return i;
  }

  // Room for one more; false when memory is refused and there is no table yet.
  [[nodiscard]] bool reserve() noexcept {
    if (size_ * 2 < buckets_) return true;
    const std::size_t wanted = buckets_ != 0 ? buckets_ * 2 : 64;
    growable<slot_index> fresh;
    if (!fresh.reserve(wanted)) return buckets_ != 0;
    rehash(fresh, wanted);
    return true;
  }

  void insert(slot_index i) noexcept {
    note& n = notes_.at(i);
    const bool looked_for = is_last(n);
    slot_index& head = heads_[looked_for ? last_.bucket : bucket(n.filter, n.ident)];
    if (looked_for) last_.slot = i;
    n.link = head;
    head = i;
    ++size_;
  }

  void erase(slot_index i) noexcept {
    const note& n = notes_.at(i);
    const bool looked_for = is_last(n);
    slot_index* at = &heads_[looked_for ? last_.bucket : bucket(n.filter, n.ident)];
    if (looked_for) last_.slot = kNil;
    while (*at != i) at = &notes_.at(*at).link;
    *at = n.link;
    --size_;
  }

  // Any note of the table, kNil when it is empty: for emptying it.
  slot_index any() noexcept {
    if (size_ == 0) return kNil;
    for (;; sweep_ = (sweep_ + 1) & (buckets_ - 1)) {
      if (heads_[sweep_] != kNil) return heads_[sweep_];
    }
  }

  // All notes one after the other; the current one may go once the next is known.
  slot_index first() const noexcept { return from_bucket(0); }
  slot_index next(slot_index i) const noexcept {
    const note& n = notes_.at(i);
    return n.link != kNil ? n.link : from_bucket(bucket(n.filter, n.ident) + 1);
  }

  std::size_t size() const noexcept { return size_; }
  // The heads of the chains.
  void show(catalogue::description& d) const noexcept { heads_.show(d, "hash", "hash_room"); }
  void reset() noexcept {
    heads_.reset();
    buckets_ = size_ = sweep_ = 0;
    last_ = {};
    in_step_ = false;
  }

 private:
  // Identifiers that count up often have notes that do, as both were made in turn: while the last find says so,
  // a note comes from memory at the same time as the head of its chain.
  void learn(slot_index ahead) const noexcept {
    in_step_ = ahead == ahead_;
    ahead_ = ahead;
  }
  bool is_last(const note& n) const noexcept {
    return last_.ident == n.ident && last_.filter == n.filter;
  }
  slot_index from_bucket(std::size_t b) const noexcept {
    while (b < buckets_ && heads_[b] == kNil) ++b;
    return b < buckets_ ? heads_[b] : kNil;
  }
  std::size_t bucket(std::int16_t filter, std::uintptr_t ident) const noexcept {
    // Identifiers are often small numbers, used in turn, or aligned pointers: neighbours stay together, and
    // groups of them are scattered by the high bits of a product.
    const std::uint64_t group = static_cast<std::uint64_t>(ident) / kGroup;
    const std::uint64_t key =
        (group ^ (static_cast<std::uint64_t>(filter) << 48)) * 0x9e3779b97f4a7c15u;
    return static_cast<std::size_t>((key >> shift_) + ident % kGroup) & (buckets_ - 1);
  }
  void rehash(growable<slot_index>& fresh, std::size_t wanted) noexcept {
    const std::size_t before = buckets_;
    buckets_ = wanted;
    shift_ = 64 - __builtin_ctzll(wanted);
    last_ = {};
    for (std::size_t b = 0; b < before; ++b) {
      for (slot_index i = heads_[b]; i != kNil;) {
        note& n = notes_.at(i);
        const slot_index rest = n.link;
        slot_index& head = fresh[bucket(n.filter, n.ident)];
        n.link = head;
        head = i;
        i = rest;
      }
    }
    heads_.swap(fresh);
  }

  static constexpr std::uintptr_t kGroup = 64;
  // Buckets up to which the notes, 0.8 MB of them, are in a cache mostly.
  static constexpr std::size_t kCached = 1 << 14;

  arena<note>& notes_;
  growable<slot_index> heads_;
  // What was looked for last, and whether it is there: many a queue has one user event, for waking up; and who
  // inserts or erases has looked before.
  struct search {
    std::uintptr_t ident = 0;
    slot_index slot = kNil;
    std::uint32_t bucket = 0;
    std::int16_t filter = 0;  // nobody's
  };
  mutable search last_;
  mutable slot_index ahead_ = 0;  // of the identifier, the note found last
  mutable bool in_step_ = false;  // so was the one before
  std::size_t buckets_ = 0;
  int shift_ = 0;  // the top bits of a key name its bucket
  std::size_t size_ = 0;
  std::size_t sweep_ = 0;
};

}  // namespace quay::core
