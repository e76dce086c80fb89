// SPDX-License-Identifier: BSD-2-Clause
//
// What: the list of requests under way: who waits for whom, and what fork leaves of it.
// Contract: invariant 3 of engine.hpp; POSIX, aio_fsync (covers what was submitted before it) and
//           aio_write with O_APPEND (in the order of the calls).
#include "aio/engine.hpp"

namespace quay::aio {

using core::kNil;
using form = core::catalogue::form;

void engine::append_locked(request& r) noexcept {
  r.serial = ++serial_;
  r.prev = last_;
  r.next = nullptr;
  (last_ != nullptr ? last_->next : first_) = &r;
  last_ = &r;
  if (r.op == operation::write) writes_under_way_.fetch_add(1, std::memory_order_relaxed);
}

void engine::remove_locked(request& r) noexcept {
  (r.prev != nullptr ? r.prev->next : first_) = r.next;
  (r.next != nullptr ? r.next->prev : last_) = r.prev;
  if (r.at == stage::held) --held_;
  if (r.op == operation::write) writes_under_way_.fetch_sub(1, std::memory_order_relaxed);
}

bool engine::must_wait_locked(const request& r) const noexcept {
  if (!r.ordered && !is_sync(r.op)) return false;
  for (const request* before = first_; before != &r; before = before->next) {
    if (before->descriptor != r.descriptor) continue;
    if (is_sync(r.op) ? before->op == operation::write : before->op == r.op) return true;
  }
  return false;
}

// Those on `fd` that need not wait any more, as a chain to start.
request* engine::released_locked(int fd) noexcept {
  request* chain = nullptr;
  request** end = &chain;
  int left = held_;
  for (request* r = first_; r != nullptr && left > 0; r = r->next) {
    if (r->at != stage::held) continue;
    --left;
    if (r->descriptor != fd || must_wait_locked(*r)) continue;
    r->at = stage::begun;
    --held_;
    r->queued = nullptr;
    *end = r;
    end = &r->queued;
  }
  return chain;
}

void engine::show(core::catalogue& c) const noexcept {
  core::catalogue::description d("aio", this);
  d.add("requests", serial_, form::number).add("held", held_).add("suspended", suspended_);
  d.add("finished", finishes_);
  pool_.show(d);
  ring_.show(d);
  c.show(d);
  const request r;
  requests_.show(c, core::catalogue::description("aio_request", &r)
                        .add("token", r.token, form::in_use)
                        .add("operation", r.op)
                        .add("stage", r.at)
                        .add("descriptor", r.descriptor)
                        .add("offset", r.offset)
                        .add("stream", r.stream)
                        .add("polling", r.polling)
                        .add("block", r.block));
}

// --- fork -----------------------------------------------------------------------------------------

void engine::before_fork() noexcept {
  requests_.lock().lock();
  lists_.lock().lock();
  lock_.lock();
  pool_.before_fork();
  ring_.before_fork();
}

void engine::after_fork_in_parent() noexcept {
  ring_.after_fork_in_parent();
  pool_.after_fork_in_parent();
  lock_.unlock();
  lists_.lock().unlock();
  requests_.lock().unlock();
}

// Requests are the parent's. To the child their blocks were never submitted.
void engine::after_fork_in_child() noexcept {
  requests_.lock().reset_after_fork();
  lists_.lock().reset_after_fork();
  lock_.reset_after_fork();
  pool_.after_fork_in_child();
  ring_.after_fork_in_child();
  for (request* r = first_; r != nullptr;) {
    request* next = r->next;
    if (r->list != kNil && lists_.at(r->list).left.fetch_sub(1) == 1) lists_.release(r->list);
    release(*r);
    r = next;
  }
  first_ = last_ = nullptr;
  held_ = 0;
  writes_under_way_.store(0, std::memory_order_relaxed);
  suspended_.store(0, std::memory_order_relaxed);
}

}  // namespace quay::aio
