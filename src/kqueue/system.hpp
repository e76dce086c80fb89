// SPDX-License-Identifier: BSD-2-Clause
//
// What: the process's kqueues: which descriptor is which queue, what all queues share, and what
//       closing and forking mean to them.
// Contract: semantics/kqueue.md section 6; docs/design.md, "The two modes".
// Invariants:
//   1. slot.owner is set exactly while the number is a queue of ours, as far as we were told.
//   2. A number watched by queue k has bit k%64 in slot.watchers; bits are cleared when the number
//      is closed. A set bit may be stale, a clear one never is.
//   3. A registration that slips in while its number is being closed is checked against the kernel
//      afterwards: no note survives on a closed number.
// Ownership: queues and descriptor slots live as long as the process and are recycled.
// Locking: registry_ (rank registry) guards the list of queues; a queue's mutex may be taken under
//          it. Slots are atomics.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/arena.hpp"
#include "core/descriptors.hpp"
#include "core/queue.hpp"
#include "core/tunables.hpp"
#include "kqueue/dialect.hpp"
#include "kqueue/queue.hpp"

namespace quay::kqueue {

class system final : public core::descriptor_owner, private core::edge_listener {
 public:
  // `hooked`: every close is announced through closing() and closed().
  system(core::host& os, core::descriptor_table& descriptors, bool hooked) noexcept;
  system(const system&) = delete;
  system& operator=(const system&) = delete;

  // Makes a queue; returns its descriptor or -errno.
  int open(const dialect& d, bool close_on_exec, bool private_queue,
           bool copied_on_fork = false) noexcept;
  // Ends what QUAY_PRIVATE promised: the queue can be polled and watched from now on. errno.
  int expose(int fd) noexcept;
  // The queue behind a number, null when it is none. The caller locks it and checks
  // matches_locked().
  queue* queue_at(int fd) const noexcept {
    const slot* s = find_slot(fd);
    queue* q = s != nullptr ? s->owner.load(std::memory_order_acquire) : nullptr;
    // A number closed unseen may still name an object that serves another queue by now.
    return q != nullptr && s->life.load(std::memory_order_relaxed) == q->life() ? q : nullptr;
  }
  // By position; null when there is none.
  queue* queue_numbered(std::uint64_t number) noexcept {
    core::guard hold(registry_);
    return number < made_ ? queues_[number] : nullptr;
  }
  bool is_queue(int fd, const queue& q) const noexcept { return queue_at(fd) == &q; }
  // While a child of fork sorts out what is its own: the number of a queue that it has not got.
  bool lost_in_child(int fd) const noexcept QUAY_NO_ANALYSIS;
  // The number is no queue any more (the caller closes it); its queue ends with its last number.
  [[gnu::cold]] void end_queue(int fd) noexcept;
  // The number was the queue's in that life, and turned out to be closed. It may be a queue's again by now, and stays
  // one then.
  [[gnu::cold]] void end_unseen(int fd, queue& q, std::uint32_t life) noexcept;
  // The queue of a number that nobody announced: a duplicate made behind our back, if the kernel
  // says that it is one.
  [[gnu::cold]] queue* adopt(int fd) noexcept;

  // A queue's file operations (file_operations.cc): semantics/kqueue.md section 6.
  long read(int fd, const iovec* parts, int count) noexcept override;
  long write(int fd, const iovec* parts, int count) noexcept override;
  int stat(int fd, struct stat& out) noexcept override;
  int ioctl(int fd, unsigned long request, void* argument) noexcept override;
  int fcntl(int fd, int command, void* argument) noexcept override;
  int poll(int fd, short events) noexcept override;
  int answer(int fd, core::file_call what) noexcept override;
  int sending(int fd) noexcept override;

  // Asks the other system that owns the number, if one does and observes it.
  bool observe_other(int fd, bool writing, core::observation& out) const noexcept {
    core::descriptor_owner* other = descriptors_.owner_of(fd);
    return other != nullptr && other != this && other->observe(fd, writing, out);
  }
  // Surely no queue's, and no other system's number.
  bool is_nobodys(int fd) const noexcept {
    return env_.hooked && descriptors_.owner_of(fd) == nullptr;
  }
  bool is_others(int fd) const noexcept {
    const core::descriptor_owner* owner = descriptors_.owner_of(fd);
    return owner != nullptr && owner != this;
  }
  void changed(int fd) noexcept override;
  void changed(int fd, bool writing) noexcept override;

  // Closing and forking (lifetime.cc). The number's notes go from all queues.
  void closing(int fd) noexcept override;
  void closed(int fd) noexcept override;
  void closed_before(int fd) noexcept override;
  void duplicated(int from, int to) noexcept override;
  // `q` is about to register on `fd`.
  void mark_watched(int fd, const queue& q) noexcept;

  // The limits on timers and, where a dialect has one, on timers and user events together.
  bool take_callout(const dialect& d) noexcept;
  void return_callout(const dialect& d) noexcept;
  bool take_user_event(const dialect& d) noexcept;
  void return_user_event(const dialect& d) noexcept;

  // Queues that watch queues; see nesting.hpp.
  void rewire(queue& q) noexcept;   // what `q` watches has changed
  void hail(queue& news) noexcept;  // notes were queued in `news`
  // Takes in what the kernel reports to a watched queue; null: there is none of that number.
  queue* look_into(std::uint32_t number) noexcept;

  core::arena<core::ext_block>& ext_blocks() noexcept { return ext_; }
  core::arena<core::note>& notes() noexcept { return notes_; }
  core::tunables& tune() noexcept { return tune_; }
  core::counters& count() noexcept { return count_; }
  core::host& os() noexcept { return os_; }
  bool hooked() const noexcept { return env_.hooked; }

  // All of the system, and every queue that is made from then on.
  void show(core::catalogue& c) noexcept;
  // Sums of what queues count for themselves.
  struct totals {
    std::uint64_t calls, delivered, notes, harvests;
  };
  totals sum() noexcept;

  // fork: all queues are locked before, unlocked after in the parent; in the child they are gone,
  // but for those that were made with KQUEUE_CPONFORK.
  void before_fork() noexcept override QUAY_NO_ANALYSIS;
  void after_fork_in_parent() noexcept override QUAY_NO_ANALYSIS;
  void after_fork_in_child() noexcept override QUAY_NO_ANALYSIS;

 private:
  struct slot {
    std::atomic<queue*> owner{nullptr};
    std::atomic<std::uint32_t> life{0};  // of the owner when the number became its; set before it
    std::atomic<std::uint64_t> watchers{0};
  };
  static constexpr std::uint32_t kChunkBits = 10;
  static constexpr std::uint32_t kChunkSlots = 1u << kChunkBits;
  static constexpr std::uint32_t kChunks = 1u << 14;  // numbers below 16 million

  slot* find_slot(int fd) const noexcept {
    const auto n = static_cast<std::uint32_t>(fd);  // below zero: far above
    if (n >> kChunkBits >= kChunks) return nullptr;
    slot* chunk = chunks_[n >> kChunkBits].load(std::memory_order_acquire);
    return chunk != nullptr ? &chunk[n & (kChunkSlots - 1)] : nullptr;
  }
  slot* demand_slot(int fd) noexcept;
  void give(int fd, slot& s, queue& q, bool fresh = true) noexcept {
    s.life.store(q.life(), std::memory_order_relaxed);
    s.owner.store(&q, std::memory_order_release);
    descriptors_.assign(fd, *this, fresh);
  }
  bool recognize(int fd, queue& q) noexcept;
  queue* queue_number(std::uint32_t n) noexcept;
  void reach(const queue& from, queue_set& found) noexcept QUAY_REQUIRES(registry_);
  void reached_from_above(const queue& q, queue_set& found) noexcept QUAY_REQUIRES(registry_);
  bool kernel_behind(const queue_set& starts) noexcept QUAY_REQUIRES(registry_);
  void connect(queue& q, queue_set& news) noexcept QUAY_REQUIRES(registry_);
  void forget_number(queue& spare) noexcept QUAY_REQUIRES(registry_);
  void recount_watchers(queue& inner) noexcept QUAY_REQUIRES(registry_);
  void forget_owner(int fd) noexcept;
  void lose_number(int fd, queue& q, std::uint32_t life, int other, bool seen) noexcept;
  int other_number_of(const queue& q) const noexcept;
  queue* meant_by(int fd) noexcept;
  int find_duplicate(int fd, queue& q) noexcept;
  // Calls f(number, slot) for every number that has a slot.
  template <class F>
  void each_slot(F f) const noexcept;
  bool replace_set(queue& q) noexcept;
  int set_async(queue& q, bool on) noexcept;
  int set_owner(queue& q, long pid) noexcept;
  int look_up_filter(const dialect& d, unsigned long request, void* argument) noexcept;
  void edge(std::uint32_t number) noexcept override;
  queue* recycle_or_make() noexcept QUAY_REQUIRES(registry_);
  // Calls f(queue) under its mutex, and no other, for every open queue whose bit is in `watchers`.
  template <class F>
  void each_watcher(std::uint64_t watchers, F f) noexcept {
    for (std::uint32_t k = 0; queue* q = queue_number(k); ++k) {
      if ((watchers >> (k & 63) & 1) == 0) continue;
      core::queue::section hold(*q);
      if (!q->closed_locked()) f(*q);
    }
  }

  core::host& os_;
  core::descriptor_table& descriptors_;
  core::tunables tune_;
  core::counters count_;
  core::arena<core::note> notes_;
  core::arena<core::interest> interests_;
  core::arena<core::ext_block> ext_;
  core::environment env_;
  core::catalogue* catalogue_ = nullptr;  // set while starting
  std::atomic<long> user_events_{0};      // of dialects that limit them
  core::mutex registry_{core::rank::registry};
  std::atomic<slot*> chunks_[kChunks] = {};
  core::growable<queue*> queues_ QUAY_GUARDED_BY(registry_);
  std::uint32_t made_ QUAY_GUARDED_BY(registry_) = 0;  // queues in queues_
};

}  // namespace quay::kqueue
