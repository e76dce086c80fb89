// SPDX-License-Identifier: BSD-2-Clause
//
// What: slots and the queue they form, and the repair of both after a holder of the lock died.
// Contract: semantics/ports.md 1.5 and 3.1: a reserved slot can always be queued; nothing here
//           allocates or fails but reserve_locked, at the limit.
// Invariants: the store to slot.state is what makes a change real (shared.hpp, 1); everything a
//             slot's new state needs is written before it, every list is changed after it.
#include <algorithm>
#include <atomic>
#include <bit>

#include "host/sharing.hpp"
#include "port/port.hpp"

namespace quay::port {
namespace {

// The state as the memory of a dead process will show it: stores before it stay before it.
void commit(slot& s, slot_state state) noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::atomic_ref(s.state).store(state, std::memory_order_release);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace

slot_index port::reserve_locked() noexcept {
  shared_state& st = *state_;
  slot_index i = st.free_head;
  const bool fresh = i == kNil || i > last_slot();
  if (st.used >= most_slots_ || (fresh && last_slot() == most_slots_)) {
    ++st.refused;
    return kNil;
  }
  if (fresh) {
    i = last_slot() + 1;
    st.high_water = i;
  } else {
    st.free_head = slot_at(i).next;
  }
  ++st.used;
  slot& s = slot_at(i);
  const std::uint32_t generation = s.generation + 1;
  s = {};
  s.generation = generation;
  s.owner = me_;
  s.fd = -1;
  return i;
}

void port::unreserve_locked(slot_index i) noexcept {
  shared_state& st = *state_;
  slot_at(i).next = st.free_head;
  st.free_head = i;
  if (st.used-- < most_slots_) return;
  st.freed.fetch_add(1, std::memory_order_release);
  host::wake_all_sleepers(st.freed);
}

void port::enqueue_locked(slot_index i) noexcept {
  shared_state& st = *state_;
  slot& s = slot_at(i);
  s.order = ++st.order;
  s.next = kNil;
  commit(s, slot_state::queued);
  s.prev = st.tail;
  (st.tail != kNil ? slot_at(st.tail).next : st.head) = i;
  st.tail = i;
  ++st.sent;
  st.queued.store(st.queued.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void port::unlink_locked(slot_index i) noexcept {
  shared_state& st = *state_;
  slot& s = slot_at(i);
  (s.prev != kNil ? slot_at(s.prev).next : st.head) = s.next;
  (s.next != kNil ? slot_at(s.next).prev : st.tail) = s.prev;
  st.queued.store(st.queued.load(std::memory_order_relaxed) - 1, std::memory_order_release);
}

void port::withdraw_locked(slot_index i) noexcept {
  commit(slot_at(i), slot_state::idle);
  unlink_locked(i);
}

void port::cancel_locked(slot_index i) noexcept {
  if (slot_at(i).state != slot_state::queued) return;
  withdraw_locked(i);
  ++state_->cancelled;
}

void port::free_locked(slot_index i) noexcept {
  slot& s = slot_at(i);
  const bool queued = s.state == slot_state::queued;
  const bool in_bucket = s.fd >= 0;
  set_watch_locked(s, watch::none);
  commit(s, slot_state::free);
  if (queued) unlink_locked(i);
  if (in_bucket) take_from_bucket_locked(i);
  unreserve_locked(i);
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
  for (auto& bucket : st.buckets) bucket.store(kNil, std::memory_order_relaxed);
  for (slot_index i = 1; i <= last; ++i) {
    slot& s = slot_at(i);
    if (s.state == slot_state::free) {
      s.next = st.free_head;
      st.free_head = i;
      continue;
    }
    ++st.used;
    st.watched += reports(s.kernel);
    if (s.fd >= 0) put_in_bucket_locked(i);
    if (s.state != slot_state::queued) continue;
    ++queued;
    link_in_order_locked(i);  // slots are reused in an order much like the queue's: a short walk
    st.order = std::max(st.order, s.order);
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
