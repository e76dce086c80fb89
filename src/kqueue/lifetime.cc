// SPDX-License-Identifier: BSD-2-Clause
//
// What: what closing, duplicating and forking mean to the process's kqueues.
// Contract: semantics/kqueue.md 1.7 and section 6 (close, dup, fork); docs/design.md, "The two
//           modes".
// Invariants: 1. A note on a number goes before the kernel closes the number, or is found by
//                closed() when it slipped in later.
//             2. A child of fork never edits a set of its parent's.
// Locking: a number's end takes the registry and then each queue that watches it; forking takes
//          everything, in the order of the ranks.
#include <cerrno>

#include "kqueue/kfilter.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {

template <class F>
void system::each_slot(F f) const noexcept {
  for (const auto& entry : chunks_) {
    slot* chunk = entry.load(std::memory_order_acquire);
    if (chunk == nullptr) continue;
    const auto first = static_cast<int>((&entry - chunks_) * std::ptrdiff_t{kChunkSlots});
    for (std::uint32_t i = 0; i < kChunkSlots; ++i) f(first + static_cast<int>(i), chunk[i]);
  }
}

// --- the numbers of a queue -----------------------------------------------------------------------

int system::other_number_of(const queue& q) const noexcept {
  int found = -1;
  each_slot([&](int fd, const slot& s) {
    if (found < 0 && s.owner.load(std::memory_order_relaxed) == &q &&
        s.life.load(std::memory_order_relaxed) == q.life() && os_.is_set(fd)) {
      found = fd;
    }
  });
  return found;
}

// A duplicate that nobody announced; only the kernel knows it.
int system::find_duplicate(int fd, queue& q) noexcept {
  int other = os_.duplicate_of(fd, -1);
  while (other >= 0 && !recognize(other, q)) other = os_.duplicate_of(fd, other);
  return other;
}

// The number is one of the queue's, unless it is being closed. Who announces that meanwhile finds the queue there, or is
// found here.
bool system::recognize(int fd, queue& q) noexcept {
  slot* s = demand_slot(fd);
  if (s == nullptr) return false;
  give(fd, *s, q, false);
  if (!descriptors_.is_closing(fd)) return true;
  forget_owner(fd);
  return false;
}

void system::forget_owner(int fd) noexcept {
  slot* s = find_slot(fd);
  if (s != nullptr && s->owner.exchange(nullptr, std::memory_order_acq_rel) != nullptr) {
    descriptors_.clear_owner(fd, *this);
  }
}

// `other`: another number of the queue's, -1 where there is none. `seen`: `fd` still is the queue's; if not, a ring or a
// change of registrations would meet whatever has the number now.
void system::lose_number(int fd, queue& q, std::uint32_t life, int other, bool seen) noexcept {
  core::queue::section hold(q);
  if (q.closed_locked() || q.life() != life) return;
  if (other < 0 ? !seen : q.descriptor() == fd) q.renumber_locked(other);
  if (other < 0) q.close_locked();
}

void system::end_queue(int fd) noexcept {
  queue* q = queue_at(fd);
  // Closed unseen, the number may be another system's by now: its duplicates are no queues then.
  const bool ours = !is_others(fd);
  const std::uint32_t life = q != nullptr ? q->life() : 0;
  forget_owner(fd);
  if (q == nullptr) return;
  int other = other_number_of(*q);
  if (other < 0 && !env_.hooked && ours) other = find_duplicate(fd, *q);
  lose_number(fd, *q, life, other, true);
  if (other < 0) q->see_sleepers_off(life);
}

void system::end_unseen(int fd, queue& q, std::uint32_t life) noexcept {
  {
    core::guard hold(registry_);  // nobody opens one meanwhile
    if (q.life() != life || !is_queue(fd, q)) return;
    forget_owner(fd);
  }
  lose_number(fd, q, life, other_number_of(q), false);
}

void system::duplicated(int from, int to) noexcept {
  queue* q = queue_at(from);
  slot* s = q != nullptr && to >= 0 ? demand_slot(to) : nullptr;
  if (s == nullptr) return;
  // What the number was before was closed unseen.
  if (queue* before = queue_at(to); before != nullptr && before != q)
    end_unseen(to, *before, before->life());
  give(to, *s, *q);
}

queue* system::adopt(int fd) noexcept {
  if (fd < 0 || !os_.is_set(fd)) return nullptr;
  descriptors_.await_close(os_, fd);
  core::guard hold(registry_);
  for (std::uint32_t k = 0; k < made_; ++k) {
    queue& q = *queues_[k];
    core::guard locked(q.lock());
    if (q.closed_locked()) continue;
    if (q.descriptor() == fd) {
      if (is_queue(fd, q)) return &q;  // opened since the caller looked
      continue;                        // on its way to lose the number: end_queue(), end_unseen()
    }
    if (!os_.is_same_file(fd, q.descriptor())) continue;
    return recognize(fd, q) ? &q : nullptr;
  }
  return nullptr;
}

// --- the numbers that queues watch ----------------------------------------------------------------

void system::closing(int fd) noexcept {
  slot* s = find_slot(fd);
  if (s == nullptr) return;
  end_queue(fd);
  const std::uint64_t watchers = s->watchers.exchange(0);
  if (watchers != 0)
    each_watcher(watchers, [fd](queue& q) QUAY_NO_ANALYSIS { q.forget_locked(fd); });
  run_detaches();
}

void system::closed(int fd) noexcept {
  slot* s = find_slot(fd);
  if (s == nullptr) return;
  const std::uint64_t watchers = s->watchers.load();
  if (watchers != 0)
    each_watcher(watchers, [fd](queue& q) QUAY_NO_ANALYSIS { q.verify_locked(fd); });
  run_detaches();
}

void system::closed_before(int fd) noexcept {
  meant_by(fd);
  closed(fd);
}

void system::mark_watched(int fd, const queue& q) noexcept {
  slot* s = demand_slot(fd);
  if (s == nullptr) return;
  s->watchers.fetch_or(std::uint64_t{1} << (q.number() & 63));
  descriptors_.watch(fd);
  descriptors_.await_close(os_, fd);
}

// --- fork -----------------------------------------------------------------------------------------

void system::before_fork() noexcept {
  filter_names_lock().lock();
  registry_.lock();
  for (std::uint32_t k = 0; k < made_; ++k) queues_[k]->lock().lock();
  notes_.lock().lock();
  interests_.lock().lock();
  ext_.lock().lock();
}

void system::after_fork_in_parent() noexcept {
  ext_.lock().unlock();
  interests_.lock().unlock();
  notes_.lock().unlock();
  for (std::uint32_t k = made_; k > 0; --k) queues_[k - 1]->lock().unlock();
  registry_.unlock();
  filter_names_lock().unlock();
}

// Every number of a copied queue becomes a set of the child's own.
bool system::replace_set(queue& q) noexcept {
  const int fresh = os_.set_create(true);
  if (fresh < 0) return false;
  bool replaced = false;
  each_slot([&](int fd, slot& s) {
    if (s.owner.load(std::memory_order_relaxed) != &q) return;
    if (s.life.load(std::memory_order_relaxed) != q.life() || !os_.is_set(fd)) return;
    if (os_.put_in_place(fresh, fd)) replaced = true;
  });
  os_.discard(fresh);
  return replaced;
}

bool system::lost_in_child(int fd) const noexcept {
  const slot* s = find_slot(fd);
  const queue* q = s != nullptr ? s->owner.load(std::memory_order_relaxed) : nullptr;
  return q != nullptr && (queue_at(fd) != q || q->closed_locked());
}

void system::after_fork_in_child() noexcept {
  // Threads that slept in a queue do not exist here; their counts go with them.
  filter_names_lock().reset_after_fork();
  registry_.reset_after_fork();
  ext_.lock().reset_after_fork();
  interests_.lock().reset_after_fork();
  notes_.lock().reset_after_fork();
  os_.forget_edges();
  for (std::uint32_t k = 0; k < made_; ++k) {
    queue& q = *queues_[k];
    q.lock().reset_after_fork();
    if (q.closed_locked() || (q.copied_on_fork() && replace_set(q))) continue;
    q.abandon_after_fork();
  }
  for (std::uint32_t k = 0; k < made_; ++k) queues_[k]->nest().forget();
  each_slot([](int, slot& s) { s.watchers.store(0, std::memory_order_relaxed); });
  for (std::uint32_t k = 0; k < made_; ++k) {
    core::guard hold(queues_[k]->lock());
    if (!queues_[k]->closed_locked()) queues_[k]->copy_after_fork();
  }
  // Only now is every copy there that another may watch.
  for (std::uint32_t k = 0; k < made_; ++k) {
    core::queue::section hold(*queues_[k]);
    if (!queues_[k]->closed_locked()) queues_[k]->rewire_later_locked();
  }
  // And only now are the numbers closed that the child has not got: what a copy opens for itself would
  // take them.
  each_slot([&](int fd, slot& s) {
    if (!lost_in_child(fd)) return;
    s.owner.store(nullptr, std::memory_order_relaxed);
    descriptors_.clear_owner(fd, *this);
    // In an unhooked process the number may mean something else by now.
    if (os_.is_set(fd)) os_.discard(fd);
  });
  core::bump(count_.forks_survived);
}

}  // namespace quay::kqueue
