// SPDX-License-Identifier: BSD-2-Clause
//
// What: system's half that knows which queue watches which; see nesting.hpp.
#include "kqueue/nesting.hpp"

#include "kqueue/queue.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {

queue* system::queue_number(std::uint32_t n) noexcept {
  core::guard hold(registry_);
  return n < made_ ? queues_[n] : nullptr;
}

// --- the wiring -----------------------------------------------------------------------------------

// The queues that `from` watches over one or more steps.
void system::reach(const queue& from, queue_set& found) noexcept {
  queue_set unvisited;
  unvisited.insert(from.number());
  for (std::int64_t n = unvisited.next(0); n >= 0; n = unvisited.next(0)) {
    const auto number = static_cast<std::uint32_t>(n);
    unvisited.erase(number);
    queues_[number]->nest().direct.each([&](std::uint32_t m) {
      if (!found.contains(m) && found.insert(m)) unvisited.insert(m);
    });
  }
  found.erase(from.number());
}

// The queues that watch `q` over one or more steps.
void system::reached_from_above(const queue& q, queue_set& found) noexcept {
  queue_set unvisited;
  unvisited.insert(q.number());
  for (std::int64_t n = unvisited.next(0); n >= 0; n = unvisited.next(0)) {
    const auto number = static_cast<std::uint32_t>(n);
    unvisited.erase(number);
    for (std::uint32_t k = 0; k < made_; ++k) {
      if (!queues_[k]->nest().direct.contains(number) || found.contains(k)) continue;
      if (found.insert(k)) unvisited.insert(k);
    }
  }
}

// Brings what `q` hears of up to what is watched now; adds to `news` what it hears of newly.
void system::connect(queue& q, queue_set& news) noexcept {
  queue_set wanted;
  reach(q, wanted);
  queue_set& heard = q.nest().heard;
  wanted.each([&](std::uint32_t n) QUAY_NO_ANALYSIS {
    if (heard.contains(n)) return;
    // The other queue's set is made before `q` is locked: never two queues at once.
    queue& inner = *queues_[n];
    int set = -1;
    {
      core::guard hold(inner.lock());
      if (!inner.closed_locked()) set = inner.demand_own_set_locked();
    }
    if (set < 0) return;
    core::guard hold(q.lock());
    if (q.closed_locked() || q.hear_locked(set, n) != 0) return;
    heard.insert(n);
    news.insert(n);
  });
  heard.each([&](std::uint32_t n) QUAY_NO_ANALYSIS {
    if (wanted.contains(n)) return;
    heard.erase(n);
    int set = -1;
    {
      core::guard hold(queues_[n]->lock());
      set = queues_[n]->demand_own_set_locked();
    }
    core::guard hold(q.lock());
    if (!q.closed_locked()) q.ignore_locked(set);
  });
}

// Whether anything that the kernel reports comes from one of `starts` or what they reach.
bool system::kernel_behind(const queue_set& starts) noexcept {
  bool found = false;
  starts.each([&](std::uint32_t n) QUAY_NO_ANALYSIS {
    queue_set all;
    if (found) return;
    reach(*queues_[n], all);
    all.insert(n);
    all.each([&](std::uint32_t m) QUAY_NO_ANALYSIS {
      if (found) return;
      core::guard hold(queues_[m]->lock());
      found = queues_[m]->demand_own_set_locked() >= 0;
    });
  });
  return found;
}

// Who watches `inner` now.
void system::recount_watchers(queue& inner) noexcept {
  std::uint64_t mask = 0;
  for (std::uint32_t k = 0; k < made_; ++k) {
    if (queues_[k]->nest().direct.contains(inner.number())) mask |= std::uint64_t{1} << (k & 63);
  }
  inner.nest().watchers.store(mask, std::memory_order_release);
  core::guard hold(inner.lock());
  if (!inner.closed_locked()) inner.set_watched_locked(mask != 0);
}

void system::rewire(queue& q) noexcept {
  queue_set now;
  queue_set news;
  {
    core::guard hold(registry_);
    nesting& place = q.nest();
    {
      core::guard locked(q.lock());
      if (!q.closed_locked()) q.watched_queues_locked(now);
    }
    queue_set changed;
    place.direct.each([&](std::uint32_t n) {
      if (!now.contains(n)) changed.insert(n);
    });
    now.each([&](std::uint32_t n) {
      if (place.direct.contains(n)) return;
      changed.insert(n);
      news.insert(n);
    });
    place.direct.clear();
    now.each([&](std::uint32_t n) { place.direct.insert(n); });
    changed.each([&](std::uint32_t n) QUAY_NO_ANALYSIS { recount_watchers(*queues_[n]); });
    // Others hear through `q` what it watches, and hear of `q` itself.
    changed.insert(q.number());
    if (kernel_behind(changed)) {
      queue_set above;
      reached_from_above(q, above);
      above.insert(q.number());
      above.each([&](std::uint32_t n) QUAY_NO_ANALYSIS { connect(*queues_[n], news); });
    } else if (!place.heard.empty()) {
      connect(q, news);
    }
  }
  // What was ready before it was watched.
  news.each([&](std::uint32_t n) QUAY_NO_ANALYSIS {
    queue* inner = look_into(n);
    if (inner == nullptr || inner->ready_count() == 0 || !now.contains(n)) return;
    core::queue::section hold(q);
    if (!q.closed_locked()) q.on_hail_locked(*inner);
  });
}

// A queue object is about to serve another queue: nobody hears of it any more.
void system::forget_number(queue& spare) noexcept {
  spare.nest().watchers.store(0, std::memory_order_relaxed);
  for (std::uint32_t k = 0; k < made_; ++k) {
    nesting& place = queues_[k]->nest();
    place.direct.erase(spare.number());
    if (!place.heard.contains(spare.number())) continue;
    place.heard.erase(spare.number());
    core::guard hold(queues_[k]->lock());
    if (!queues_[k]->closed_locked()) queues_[k]->ignore_locked(-1);
  }
}

// --- news -----------------------------------------------------------------------------------------

queue* system::look_into(std::uint32_t number) noexcept {
  queue* q = queue_number(number);
  if (q == nullptr) return nullptr;
  core::queue::section hold(*q);
  if (q->closed_locked()) return nullptr;
  q->harvest_own_locked();
  q->expire_locked();
  q->take_signals_locked();
  return q;
}

namespace {
// Queues that this thread still has to tell their watchers about: a list, not a recursion.
struct errand_list {
  queue* first = nullptr;
  bool running = false;
};
constinit thread_local errand_list t_errands;
}  // namespace

void system::hail(queue& news) noexcept {
  if (news.nest().hailing.exchange(true, std::memory_order_acq_rel)) return;
  news.nest().next_hailed = t_errands.first;
  t_errands.first = &news;
  if (t_errands.running) return;
  t_errands.running = true;
  while (queue* inner = t_errands.first) {
    t_errands.first = inner->nest().next_hailed;
    inner->nest().hailing.store(false, std::memory_order_release);
    each_watcher(inner->nest().watchers.load(std::memory_order_acquire),
                 [&](queue& outer) QUAY_NO_ANALYSIS {
                   if (&outer != inner) outer.on_hail_locked(*inner);
                 });
  }
  t_errands.running = false;
}

}  // namespace quay::kqueue
