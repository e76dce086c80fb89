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

slot_index queue::expected_locked(const token& which) noexcept {
  const core::note* n = env().notes.find(which.index, which.generation);
  if (n == nullptr || closed_locked()) return kNil;
  if (n->filter != EVFILT_AIO && n->filter != EVFILT_LIO) return kNil;
  // The name may come from memory that the program can write: the note must be this queue's.
  return idents_.find(n->filter, n->ident) == which.index ? which.index : kNil;
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

void queue::finish_locked(const token& which, int error) noexcept {
  const slot_index i = expected_locked(which);
  if (i == kNil) return;
  core::note& n = at(i);
  n.data = error;
  n.flags |= EV_EOF;
  n.status |= core::state::kTriggered;
  aio_filter.evaluate(*this, i);
}

void queue::unexpect_locked(const token& which) noexcept {
  const slot_index i = expected_locked(which);
  if (i != kNil) drop_locked(i, false);
}

// --- the engine's side ----------------------------------------------------------------------------

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
  change.filter = list ? EVFILT_LIO : EVFILT_AIO;
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

void completions::finished(const core::completion_ticket& which, const core::completion_order&,
                           int error) noexcept {
  queue* q = system_.queue_numbered(which.holder);
  if (q == nullptr) return;
  core::queue::section hold(*q);
  q->finish_locked(token::unpack(which.name), error);
}

void completions::reaped(const core::completion_ticket& which) noexcept {
  queue* q = system_.queue_numbered(which.holder);
  if (q == nullptr) return;
  core::queue::section hold(*q);
  q->unexpect_locked(token::unpack(which.name));
}

}  // namespace quay::kqueue
