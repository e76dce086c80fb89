// SPDX-License-Identifier: BSD-2-Clause
//
// What: PORT_SOURCE_AIO; see completions.hpp.
#include "port/completions.hpp"

#include <cerrno>

namespace quay::port {
namespace {

using core::token;

int operation_code(core::request_kind kind) noexcept {
  switch (kind) {
    case core::request_kind::read:
      return AIOAREAD;
    case core::request_kind::write:
      return AIOAWRITE;
    case core::request_kind::sync:
      return AIOFSYNC;
    case core::request_kind::list:
      return AIOLIO;
  }
  return 0;
}

// The slot that a ticket reserved, kNil when it is not waiting for its request any more.
slot_index expected_locked(port& p, std::uint64_t name, std::uintptr_t object) noexcept {
  const token which = token::unpack(name);
  if (which.index == kNil || which.index > p.last_slot()) return kNil;
  const slot& s = p.slot_at(which.index);
  const bool same = s.state == slot_state::idle && s.source == PORT_SOURCE_AIO &&
                    s.object == object && s.owner == p.me() &&
                    (s.generation & token::kGenerationMask) == which.generation;
  return same ? which.index : kNil;
}

}  // namespace

int completions::expect(const core::completion_order& order,
                        core::completion_ticket& out) noexcept {
  port* p = system_.find_or_adopt(order.descriptor);
  if (p == nullptr) return EINVAL;
  port::section in(*p);
  if (in.error() != 0) return in.error() == EBADF ? EINVAL : EAGAIN;
  const slot_index i = p->reserve_locked();
  if (i == kNil) return EAGAIN;
  slot& s = p->slot_at(i);
  s.source = PORT_SOURCE_AIO;
  s.traits = kOwnerOnly;
  s.events = operation_code(order.kind);
  s.object = order.object;
  s.user = reinterpret_cast<std::uintptr_t>(order.user);
  s.state = slot_state::idle;
  out = {p->opening(), token{i, s.generation, 0}.pack()};
  return 0;
}

void completions::finished(const core::completion_ticket& which,
                           const core::completion_order& order, int) noexcept {
  port* p = system_.opened_as(which.holder);
  if (p == nullptr) return;
  port::section in(*p);
  if (in.error() != 0) return;
  const slot_index i = expected_locked(*p, which.name, order.object);
  if (i != kNil) p->enqueue_locked(i);
}

void completions::withdrawn(const core::completion_ticket& which, std::uintptr_t object) noexcept {
  port* p = system_.opened_as(which.holder);
  if (p == nullptr) return;
  port::section in(*p);
  const slot_index i = in.error() == 0 ? expected_locked(*p, which.name, object) : kNil;
  if (i != kNil) p->free_locked(i);
}

}  // namespace quay::port
