// SPDX-License-Identifier: BSD-2-Clause
//
// What: message queues that tell a port; see mq.hpp.
#include "port/sources/mq.hpp"

#include <cerrno>

#include "host/queues.hpp"

namespace quay::port {

int mq_source::add(port& p, mqd_t queue, void* user) noexcept {
  core::guard hold(table_);
  std::uint32_t n = 0;
  while (n < kMost && entries_[n].used.load(std::memory_order_acquire)) ++n;
  if (n == kMost) return EAGAIN;
  const int socket = host::arrival_socket();
  if (socket < 0) return -socket;
  port::section in(p);
  int error = in.error();
  const slot_index i = error == 0 ? p.reserve_locked() : kNil;
  if (error == 0 && i == kNil) error = EAGAIN;
  if (error == 0) {
    p.attach(PORT_SOURCE_MQ, *this);
    slot& s = p.slot_at(i);
    s.source = PORT_SOURCE_MQ;
    s.traits = kKept | kOwnerOnly | kAsksSource;
    s.object = static_cast<std::uint64_t>(queue);
    s.user = reinterpret_cast<std::uintptr_t>(user);
    s.data = n;
    s.state = slot_state::idle;
    error = p.watch_slot_locked(i, socket);
    if (error == 0) error = host::arrival_ask(queue, socket);
    if (error != 0) p.free_locked(i);
  }
  if (error != 0) {
    os_.discard(socket);
    return error;
  }
  registration& r = entries_[n];
  r.owner = &p;
  r.queue = queue;
  r.socket = socket;
  r.slot = i;
  r.generation = p.slot_at(i).generation;
  r.used.store(true, std::memory_order_release);
  return 0;
}

bool mq_source::remove(mqd_t queue) noexcept {
  core::guard hold(table_);
  for (registration& r : entries_) {
    if (!r.used.load(std::memory_order_acquire) || r.queue != queue) continue;
    port::section in(*r.owner);
    if (!r.used.load(std::memory_order_acquire)) return false;  // delivered meanwhile
    host::arrival_forget(queue);
    slot& s = r.owner->slot_at(r.slot);
    if (in.error() == 0 && s.generation == r.generation && s.state != slot_state::free) {
      os_.set_remove(r.owner->descriptor(), r.socket);
      r.owner->free_locked(r.slot);
    }
    os_.discard(r.socket);
    r.used.store(false, std::memory_order_release);
    return true;
  }
  return false;
}

bool mq_source::deliver(port& p, slot& s, port_event_t& out) noexcept {
  const std::uint64_t n = s.data;
  if (n >= kMost) return false;
  registration& r = entries_[n];
  if (!r.used.load(std::memory_order_acquire) || r.owner != &p || &p.slot_at(r.slot) != &s ||
      r.generation != s.generation) {
    return false;
  }
  if (!host::arrival_take(r.socket)) return false;
  out = {0, s.source, 0, static_cast<uintptr_t>(s.object),
         reinterpret_cast<void*>(static_cast<uintptr_t>(s.user))};
  // One arrival for a registration: with it the slot goes.
  s.traits &= static_cast<std::uint8_t>(~kKept);
  os_.set_remove(p.descriptor(), r.socket);
  os_.discard(r.socket);
  r.used.store(false, std::memory_order_release);
  return true;
}

void mq_source::after_fork_in_child() noexcept {
  table_.reset_after_fork();
  for (registration& r : entries_) {
    if (r.used.load(std::memory_order_relaxed)) os_.discard(r.socket);
    r.used.store(false, std::memory_order_relaxed);
  }
}

}  // namespace quay::port
