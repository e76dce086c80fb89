// SPDX-License-Identifier: BSD-2-Clause
//
// What: SIGEV_KEVENT; see completions.hpp.
#include "kqueue/completions.hpp"

#include <sys/event.h>

#include <cerrno>

#include "kqueue/filters/filters.hpp"

namespace quay::kqueue {

using core::kNil;
using core::slot_index;
using core::token;

// --- the queue's side -----------------------------------------------------------------------------

// The name may be old, or come from memory that the program can write: it is compared with the
// queue's own note, and never followed.
slot_index queue::expected_locked(const token& which, std::int16_t filter,
                                  std::uintptr_t ident) noexcept {
  const slot_index i = closed_locked() ? kNil : idents_.find(filter, ident);
  const bool same =
      i == which.index && (at(i).generation & token::kGenerationMask) == which.generation;
  return same ? i : kNil;
}

int queue::expect_locked(core::event& order, token& made) noexcept {
  if (find_filter(rules(), order.filter) == nullptr) return rules().aio_refusal;
  const slot_index former = idents_.find(order.filter, order.ident);
  if (former != kNil) drop_locked(former, false);
  const int error = create_locked(order, aio_filter);
  if (error != 0) return error;
  const slot_index i = idents_.find(order.filter, order.ident);
  made = {i, at(i).generation & token::kGenerationMask, 0};
  return 0;
}

void queue::finish_locked(const token& which, std::int16_t filter, std::uintptr_t ident,
                          int error) noexcept {
  const slot_index i = expected_locked(which, filter, ident);
  if (i == kNil) return;
  core::note& n = at(i);
  n.data = error;
  n.flags |= EV_EOF;
  n.status |= core::state::kTriggered;
  aio_filter.evaluate(*this, i, at(i));
}

void queue::unexpect_locked(const token& which, std::uintptr_t ident) noexcept {
  const slot_index i = expected_locked(which, EVFILT_AIO, ident);
  if (i != kNil) drop_locked(i, false);
}

// --- the engine's side ----------------------------------------------------------------------------

namespace {
std::int16_t filter_of(const core::completion_order& order) noexcept {
  return order.kind == core::request_kind::list ? EVFILT_LIO : EVFILT_AIO;
}
}  // namespace

int completions::expect(const core::completion_order& order,
                        core::completion_ticket& out) noexcept {
  constexpr std::uint32_t kAllowed = EV_CLEAR | EV_DISPATCH | EV_ONESHOT;
  if ((order.flags & ~kAllowed) != 0) return EINVAL;
  queue* q = system_.queue_at(order.descriptor);
  if (q == nullptr) q = system_.adopt(order.descriptor);
  if (q == nullptr) return EBADF;
  const bool list = order.kind == core::request_kind::list;
  core::event change{};
  change.ident = order.object;
  change.filter = filter_of(order);
  change.flags = static_cast<std::uint16_t>(EV_ADD | EV_ENABLE | EV_FLAG1 | order.flags);
  // Nobody asks for the result of a list, which is what takes a request's note away.
  if (list) change.flags |= EV_ONESHOT;
  change.udata = order.user;
  core::queue::section hold(*q);
  if (!q->matches_locked(order.descriptor)) return EBADF;
  token name{};
  const int error = q->expect_locked(change, name);
  out = {q->number(), name.pack()};
  return error;
}

void completions::finished(const core::completion_ticket& which,
                           const core::completion_order& order, int error) noexcept {
  queue* q = system_.queue_numbered(which.holder);
  if (q == nullptr) return;
  core::queue::section hold(*q);
  q->finish_locked(token::unpack(which.name), filter_of(order), order.object, error);
}

void completions::reaped(const core::completion_ticket& which, std::uintptr_t object) noexcept {
  queue* q = system_.queue_numbered(which.holder);
  if (q == nullptr) return;
  core::queue::section hold(*q);
  q->unexpect_locked(token::unpack(which.name), object);
}

}  // namespace quay::kqueue
