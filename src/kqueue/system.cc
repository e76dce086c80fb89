// SPDX-License-Identifier: BSD-2-Clause
//
// What: the process's kqueues; see system.hpp.
#include "kqueue/system.hpp"

#include <sys/event.h>

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
  return q;
}

int system::open(const dialect& d, bool close_on_exec, bool private_queue) noexcept {
  const int fd = os_.set_create(close_on_exec);
  if (fd < 0) return fd;
  slot* s = demand_slot(fd);
  if (s == nullptr) {
    os_.discard(fd);
    return -ENOMEM;
  }
  // A number that we think is a queue, and that the kernel hands out again, was closed unseen.
  if (s->owner.load(std::memory_order_acquire) != nullptr) end_queue(fd);

  core::guard hold(registry_);
  queue* q = recycle_or_make();
  if (q == nullptr) {
    os_.discard(fd);
    return -ENOMEM;
  }
  q->lock().lock();
  q->open_locked(fd, d, !private_queue);
  give(fd, *s, *q);
  q->lock().unlock();
  return fd;
}

int system::other_number_of(const queue& q) const noexcept {
  for (const auto& entry : chunks_) {
    const slot* chunk = entry.load(std::memory_order_acquire);
    if (chunk == nullptr) continue;
    for (std::uint32_t i = 0; i < kChunkSlots; ++i) {
      if (chunk[i].owner.load(std::memory_order_relaxed) != &q) continue;
      if (chunk[i].life.load(std::memory_order_relaxed) != q.life()) continue;
      const auto fd = static_cast<int>((&entry - chunks_) * std::ptrdiff_t{kChunkSlots} + i);
      if (os_.is_set(fd)) return fd;
    }
  }
  return -1;
}

bool system::end_queue(int fd) noexcept {
  queue* q = queue_at(fd);
  slot* s = fd >= 0 ? find_slot(fd) : nullptr;
  if (s != nullptr && s->owner.exchange(nullptr, std::memory_order_acq_rel) != nullptr) {
    descriptors_.clear_owner(fd);
  }
  if (q == nullptr) return false;
  core::queue::section hold(*q);
  if (q->closed_locked()) return true;
  const int other = other_number_of(*q);
  if (other < 0) {
    q->close_locked();
  } else if (q->descriptor() == fd) {
    q->renumber_locked(other);
  }
  return true;
}

void system::duplicated(int from, int to) noexcept {
  queue* q = queue_at(from);
  slot* s = q != nullptr && to >= 0 ? demand_slot(to) : nullptr;
  if (s != nullptr) give(to, *s, *q);
}

queue* system::adopt(int fd) noexcept {
  if (fd < 0 || !os_.is_set(fd)) return nullptr;
  core::guard hold(registry_);
  for (std::uint32_t k = 0; k < made_; ++k) {
    core::guard locked(queues_[k]->lock());
    if (queues_[k]->closed_locked() || !os_.is_same_file(fd, queues_[k]->descriptor())) continue;
    duplicated(queues_[k]->descriptor(), fd);
    return queues_[k];
  }
  return nullptr;
}

// --- file operations ------------------------------------------------------------------------------

long system::read(int, const iovec*, int) noexcept { return -ENXIO; }
long system::write(int, const iovec*, int) noexcept { return -ENXIO; }

int system::stat(int fd, struct stat& out) noexcept {
  queue* q = queue_at(fd);
  if (q == nullptr) return -EBADF;
  core::queue::section hold(*q);
  if (!q->matches_locked(fd)) return -EBADF;
  out = {};
  out.st_mode = S_IFIFO;
  out.st_blksize = sizeof(struct kevent);
  if (q->rules().stat_size_is_count) out.st_size = q->pending_locked();
  return 0;
}

int system::ioctl(int, unsigned long, void*) noexcept { return -ENOTTY; }

int system::fcntl(int, int, void*) noexcept { return kAskKernel; }

int system::poll(int, short) noexcept { return kAskKernel; }

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

// --- closing --------------------------------------------------------------------------------------

void system::closing(int fd) noexcept {
  slot* s = fd >= 0 ? find_slot(fd) : nullptr;
  if (s == nullptr) return;
  s->closings.fetch_add(1);  // odd from here on
  end_queue(fd);
  const std::uint64_t watchers = s->watchers.exchange(0);
  if (watchers != 0)
    each_watcher(watchers, [fd](queue& q) QUAY_NO_ANALYSIS { q.forget_locked(fd); });
  run_detaches();
}

void system::closed(int fd) noexcept {
  slot* s = fd >= 0 ? find_slot(fd) : nullptr;
  if (s == nullptr) return;
  s->closings.fetch_add(1);
  const std::uint64_t watchers = s->watchers.load();
  if (watchers != 0)
    each_watcher(watchers, [fd](queue& q) QUAY_NO_ANALYSIS { q.verify_locked(fd); });
  run_detaches();
}

void system::mark_watched(int fd, const queue& q) noexcept {
  slot* s = demand_slot(fd);
  if (s == nullptr) return;
  s->watchers.fetch_or(std::uint64_t{1} << (q.number() & 63));
  descriptors_.watch(fd);
  // Being closed right now: let the kernel's part pass, so that the number means one thing.
  for (int i = 0; i < 2000 && (s->closings.load() & 1) != 0 && os_.is_open(fd); ++i) core::pause();
}

// --- limits and figures ---------------------------------------------------------------------------

bool system::take_user_event(const dialect& d) noexcept {
  if (d.user_events_limit == 0) return true;
  if (user_events_.fetch_add(1, std::memory_order_relaxed) < d.user_events_limit) return true;
  user_events_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void system::return_user_event(const dialect& d) noexcept {
  if (d.user_events_limit != 0) user_events_.fetch_sub(1, std::memory_order_relaxed);
}

bool system::take_callout(const dialect& d) noexcept {
  if (!take_user_event(d)) return false;
  const long most = tune_.kq_calloutmax.load(std::memory_order_relaxed) - d.timer_limit_margin;
  if (callouts_.fetch_add(1, std::memory_order_relaxed) >= most) {
    callouts_.fetch_sub(1, std::memory_order_relaxed);
    return_user_event(d);
    return false;
  }
  core::bump(count_.timers);
  return true;
}

void system::return_callout(const dialect& d) noexcept {
  return_user_event(d);
  callouts_.fetch_sub(1, std::memory_order_relaxed);
  count_.timers.fetch_sub(1, std::memory_order_relaxed);
}

system::totals system::sum() noexcept {
  totals t{};
  core::guard hold(registry_);
  for (std::uint32_t k = 0; k < made_; ++k) {
    core::guard locked(queues_[k]->lock());
    t.calls += queues_[k]->calls_locked();
    t.harvests += queues_[k]->harvests_locked();
    t.delivered += queues_[k]->delivered_locked();
    t.notes += queues_[k]->closed_locked() ? 0 : queues_[k]->note_count();
  }
  return t;
}

// --- fork -----------------------------------------------------------------------------------------

void system::before_fork() noexcept {
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
}

void system::after_fork_in_child() noexcept {
  // Threads that slept in a queue do not exist here; their counts go with them.
  ext_.lock().reset_after_fork();
  interests_.lock().reset_after_fork();
  notes_.lock().reset_after_fork();
  for (std::uint32_t k = 0; k < made_; ++k) {
    queue& q = *queues_[k];
    q.lock().reset_after_fork();
    q.abandon_after_fork();
    q.nest().direct.clear();
    q.nest().heard.clear();
    q.nest().watchers.store(0, std::memory_order_relaxed);
    q.nest().hailing.store(false, std::memory_order_relaxed);
  }
  for (auto& entry : chunks_) {
    slot* chunk = entry.load(std::memory_order_relaxed);
    if (chunk == nullptr) continue;
    for (std::uint32_t i = 0; i < kChunkSlots; ++i) {
      if (chunk[i].owner.exchange(nullptr, std::memory_order_relaxed) != nullptr) {
        // In an unhooked process the number may mean something else by now.
        const auto fd = static_cast<int>((&entry - chunks_) * std::ptrdiff_t{kChunkSlots} + i);
        descriptors_.clear_owner(fd);
        if (os_.is_set(fd)) os_.discard(fd);
      }
      chunk[i].watchers.store(0, std::memory_order_relaxed);
      chunk[i].closings.store(0, std::memory_order_relaxed);
    }
  }
  registry_.reset_after_fork();
  core::bump(count_.forks_survived);
}

}  // namespace quay::kqueue
