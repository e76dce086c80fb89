// SPDX-License-Identifier: BSD-2-Clause
//
// What: the process's kqueues: making one, limits, figures; see system.hpp.
#include "kqueue/system.hpp"

#include <cerrno>
#include <new>

#include "kqueue/kfilter.hpp"

namespace quay::kqueue {
namespace {

// Address space, not memory: pages are touched as slots are used.
constexpr std::size_t kMostNotes = sizeof(void*) == 8 ? std::size_t{1} << 26 : 1u << 20;
constexpr std::size_t kMostInterests = sizeof(void*) == 8 ? std::size_t{1} << 24 : 1u << 18;
constexpr std::size_t kMostBlocks = sizeof(void*) == 8 ? std::size_t{1} << 24 : 1u << 18;

}  // namespace

system::system(core::host& os, core::descriptor_table& descriptors, bool hooked) noexcept
    : os_(os),
      descriptors_(descriptors),
      notes_(kMostNotes),
      interests_(kMostInterests),
      ext_(kMostBlocks),
      env_{os, notes_, interests_, tune_, count_, hooked} {
  descriptors.enroll(*this);
}

system::slot* system::demand_slot(int fd) noexcept {
  if (slot* s = find_slot(fd); s != nullptr) return s;
  const auto n = static_cast<std::uint32_t>(fd);
  if (fd < 0 || n >> kChunkBits >= kChunks) return nullptr;
  void* memory = core::map_memory(kChunkSlots * sizeof(slot));
  if (memory == nullptr) return nullptr;
  slot* fresh = static_cast<slot*>(memory);
  for (std::uint32_t i = 0; i < kChunkSlots; ++i) ::new (static_cast<void*>(&fresh[i])) slot();
  slot* expected = nullptr;
  if (!chunks_[n >> kChunkBits].compare_exchange_strong(expected, fresh,
                                                        std::memory_order_acq_rel)) {
    core::unmap_memory(memory, kChunkSlots * sizeof(slot));
  }
  return find_slot(fd);
}

queue* system::recycle_or_make() noexcept {
  for (std::uint32_t k = 0; k < made_; ++k) {
    queue* q = queues_[k];
    if (!q->lock().try_lock()) continue;
    const bool spare = q->closed_locked() && q->deserted_locked();
    q->lock().unlock();
    if (!spare) continue;
    forget_number(*q);
    return q;
  }
  if (!queues_.reserve(made_ + 1)) return nullptr;
  // Not from the heap: what is never freed and hangs off mapped memory would look like a leak.
  void* place = core::map_memory(sizeof(queue));
  if (place == nullptr) return nullptr;
  queue* q = ::new (place) queue(env_, *this, made_);
  queues_[made_++] = q;
  if (catalogue_ != nullptr) q->show(*catalogue_);
  return q;
}

int system::open(const dialect& d, bool close_on_exec, bool private_queue,
                 bool copied_on_fork) noexcept {
  const int fd = os_.set_create(close_on_exec);
  if (fd < 0) return fd;
  slot* s = demand_slot(fd);
  if (const int error = s != nullptr ? os_.bell_create() : ENOMEM; error != 0) {
    os_.discard(fd);
    return -error;
  }
  // A number that we think is a queue, and that the kernel hands out again, was closed unseen.
  if (queue* before = queue_at(fd); before != nullptr) end_unseen(fd, *before, before->life());

  core::guard hold(registry_);
  queue* q = recycle_or_make();
  if (q == nullptr) {
    os_.discard(fd);
    return -ENOMEM;
  }
  q->lock().lock();
  q->open_locked(fd, d, !private_queue, copied_on_fork);
  give(fd, *s, *q);
  q->lock().unlock();
  return fd;
}

int system::expose(int fd) noexcept {
  queue* q = queue_at(fd);
  if (q == nullptr) return EBADF;
  core::queue::section hold(*q);
  if (!q->matches_locked(fd)) return EBADF;
  q->expose_locked();
  return 0;
}

void system::changed(int fd) noexcept {
  changed(fd, false);
  changed(fd, true);
}

void system::changed(int fd, bool writing) noexcept {
  const slot* s = find_slot(fd);
  if (s == nullptr) return;
  each_watcher(s->watchers.load(std::memory_order_acquire),
               [fd, writing](queue& q) QUAY_NO_ANALYSIS { q.on_changed_locked(fd, writing); });
}

// --- limits and figures ---------------------------------------------------------------------------

bool system::take_user_event(const dialect& d) noexcept {
  if (d.user_events_limit == 0) return true;
  if (core::add_to(user_events_, 1) < d.user_events_limit) return true;
  core::add_to(user_events_, -1);
  return false;
}

void system::return_user_event(const dialect& d) noexcept {
  if (d.user_events_limit != 0) core::add_to(user_events_, -1);
}

bool system::take_callout(const dialect& d) noexcept {
  if (!take_user_event(d)) return false;
  const long most = tune_.kq_calloutmax.load(std::memory_order_relaxed) - d.timer_limit_margin;
  const std::uint64_t before = core::add_to(count_.timers, 1);
  if (static_cast<long>(before) < most) return true;
  return_callout(d);
  return false;
}

void system::return_callout(const dialect& d) noexcept {
  return_user_event(d);
  core::add_to(count_.timers, -1);
}

system::totals system::sum() noexcept {
  totals t{};
  core::guard hold(registry_);
  for (std::uint32_t k = 0; k < made_; ++k) {
    core::guard locked(queues_[k]->lock());
    t.calls += queues_[k]->calls();
    t.harvests += queues_[k]->harvests_locked();
    t.delivered += queues_[k]->delivered_locked();
    t.notes += queues_[k]->closed_locked() ? 0 : queues_[k]->note_count();
  }
  return t;
}

}  // namespace quay::kqueue
