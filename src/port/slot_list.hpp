// SPDX-License-Identifier: BSD-2-Clause
//
// What: slots as they go from free to queued and back, inlined where an event goes in and comes out.
// Contract: semantics/ports.md 1.5 and 3.1: a reserved slot can always be queued; nothing here
//           allocates or fails but take_free_locked, at the limit.
// Invariants: the store to slot.state is what makes a change real (shared.hpp, 1); everything a
//             slot's new state needs is written before it, every list is changed after it.
// Locking: the port's lock, throughout.
// Arguments: `s` is the slot of number `i`.
#pragma once

#include <atomic>

#include "host/sharing.hpp"
#include "port/port.hpp"

namespace quay::port {

// The state as the memory of a dead process will show it: stores before it stay before it.
inline void commit(slot& s, slot_state state) noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::atomic_ref(s.state).store(state, std::memory_order_release);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

[[gnu::always_inline]] inline slot_index port::take_free_locked() noexcept {
  shared_state& st = *state_;
  slot_index i = std::atomic_ref(st.free_head).load(std::memory_order_relaxed);
  if (st.used >= most_slots_) {
    ++st.refused;
    return kNil;
  }
  if (i == kNil || i > last_slot()) {
    i = add_free_locked();
    if (i == kNil) return kNil;
  }
  slot& s = known_slot(i);
  st.free_head = s.next;
  ask_for(i + kAhead);
  ++st.used;
  const std::uint32_t generation = s.generation + 1;
  s = {};
  s.generation = generation;
  s.owner = me_.load(std::memory_order_relaxed);
  s.fd = -1;
  return i;
}

// The slots from `first` to `last`, linked, behind those that are free already: so those of a stream stay in
// the order in which they lie in memory, and both sides can ask for the next ones ahead of time.
[[gnu::always_inline]] inline void port::link_free_locked(slot_index first, slot_index last,
                                                          slot& last_one) noexcept {
  shared_state& st = *state_;
  last_one.next = kNil;
  (st.free_head != kNil ? slot_at(st.free_tail).next : st.free_head) = first;
  st.free_tail = last;
}

[[gnu::always_inline]] inline void port::give_back_locked(slot_index first, slot_index last,
                                                          slot& last_one,
                                                          std::uint32_t count) noexcept {
  shared_state& st = *state_;
  link_free_locked(first, last, last_one);
  const bool full = st.used >= most_slots_;
  st.used -= count;
  if (full) tell_of_room_locked();
}

[[gnu::always_inline]] inline void port::append_locked(slot_index i, slot& s) noexcept {
  shared_state& st = *state_;
  s.order = ++st.order;
  s.next = kNil;
  commit(s, slot_state::queued);
  s.prev = st.tail;
  (st.tail != kNil ? slot_at(st.tail).next : st.head) = i;
  st.tail = i;
  ++st.sent;
  st.queued.store(st.queued.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

[[gnu::always_inline]] inline void port::unlink_locked(slot& s) noexcept {
  shared_state& st = *state_;
  (s.prev != kNil ? slot_at(s.prev).next : st.head) = s.next;
  (s.next != kNil ? slot_at(s.next).prev : st.tail) = s.prev;
  st.queued.store(st.queued.load(std::memory_order_relaxed) - 1, std::memory_order_release);
}

[[gnu::always_inline]] inline void port::withdraw_locked(slot& s) noexcept {
  commit(s, slot_state::idle);
  unlink_locked(s);
}

[[gnu::always_inline]] inline void port::release_locked(slot_index i, slot& s) noexcept {
  const bool queued = s.state == slot_state::queued;
  const bool in_bucket = s.fd >= 0;
  if (s.kernel != watch::none) set_watch_locked(s, watch::none);
  commit(s, slot_state::free);
  if (queued) unlink_locked(s);
  if (in_bucket) take_from_bucket_locked(i);
  give_back_locked(i, i, s, 1);
}

}  // namespace quay::port
