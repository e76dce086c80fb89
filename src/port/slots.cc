// SPDX-License-Identifier: BSD-2-Clause
//
// What: the queue's order, and the repair of slots and queue after a holder of the lock died.
// Contract, invariants: slot_list.hpp.
#include "port/slot_list.hpp"

#include <algorithm>
#include <bit>

namespace quay::port {

slot_index port::reserve_locked() noexcept { return take_free_locked(); }
void port::unreserve_locked(slot_index i) noexcept { give_back_locked(i, i, slot_at(i), 1); }
void port::enqueue_locked(slot_index i) noexcept { append_locked(i, slot_at(i)); }
void port::free_locked(slot_index i) noexcept { release_locked(i, slot_at(i)); }

// A page of slots that were never used, so that neighbours in the list are neighbours in memory.
slot_index port::add_free_locked() noexcept {
  shared_state& st = *state_;
  const slot_index first = last_slot() + 1;
  if (first > most_slots_) {
    ++st.refused;
    return kNil;
  }
  const slot_index last = std::min(last_slot() + kSlotsPerPage, most_slots_);
  for (slot_index i = first; i < last; ++i) slot_at(i).next = i + 1;
  slot_at(last).next = kNil;
  st.high_water = last;
  st.free_head = first;
  st.free_tail = last;
  return first;
}

void port::tell_of_room_locked() noexcept {
  state_->freed.fetch_add(1, std::memory_order_release);
  host::wake_all_sleepers(state_->freed);
}

void port::cancel_locked(slot_index i) noexcept {
  slot& s = slot_at(i);
  if (s.state != slot_state::queued) return;
  withdraw_locked(s);
  ++state_->cancelled;
}

// In its place among the queued, by its order. From the tail: those that come back are mostly young.
void port::link_in_order_locked(slot_index i) noexcept {
  shared_state& st = *state_;
  slot& s = slot_at(i);
  slot_index before = st.tail;
  walk_limit to(most_slots_);
  while (before != kNil && slot_at(before).order > s.order) before = to(slot_at(before).prev);
  s.prev = before;
  s.next = before != kNil ? slot_at(before).next : st.head;
  (before != kNil ? slot_at(before).next : st.head) = i;
  (s.next != kNil ? slot_at(s.next).prev : st.tail) = i;
}

void port::put_back_locked(slot_index i) noexcept {
  shared_state& st = *state_;
  commit(slot_at(i), slot_state::queued);
  link_in_order_locked(i);
  st.queued.store(st.queued.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

slot_index port::first_behind_locked(std::uint64_t order) noexcept {
  slot_index i = state_->head;
  walk_limit to(most_slots_);
  while (i != kNil && slot_at(i).order <= order) i = to(slot_at(i).next);
  return i;
}

// The dead holder's change is either real (its store to a slot's state happened) or it is not;
// everything else is derived anew. Waiters of dead processes go in reap_locked.
void port::repair_locked() noexcept {
  shared_state& st = *state_;
  const slot_index last = last_slot();
  st.high_water = last;
  st.head = st.tail = st.free_head = kNil;
  st.used = st.watched = 0;
  std::uint32_t queued = 0;
  slot_index oldest = 1;
  for (auto& bucket : st.buckets) bucket.store(kNil, std::memory_order_relaxed);
  for (slot_index i = 1; i <= last; ++i) {
    slot& s = slot_at(i);
    if (s.state == slot_state::free) {
      link_free_locked(i, i, s);
      continue;
    }
    ++st.used;
    st.watched += reports(s.kernel);
    if (s.fd >= 0) put_in_bucket_locked(i);
    if (s.state != slot_state::queued) continue;
    if (queued == 0 || s.order < slot_at(oldest).order) oldest = i;
    ++queued;
    st.order = std::max(st.order, s.order);
  }
  // Slots are handed out in turn: from the oldest on, round the table, each has a short way to its place.
  for (slot_index n = 0, i = oldest; queued != 0 && n < last; ++n, i = i < last ? i + 1 : 1) {
    if (slot_at(i).state == slot_state::queued) link_in_order_locked(i);
  }
  st.queued.store(queued, std::memory_order_release);
  for (const process& p : st.processes) {
    if (p.pid != 0) st.watched += static_cast<std::uint32_t>(std::popcount(p.sources));
  }

  st.first_waiter = 0;
  for (std::uint16_t w = 1; w < kMostWaiters && w <= st.waiters_high; ++w) {
    if (st.waiter_at(w).used) link_waiter_locked(w);
  }
}

}  // namespace quay::port
