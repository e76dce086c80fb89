// SPDX-License-Identifier: BSD-2-Clause
//
// What: performs requests by threads that block: for files of which the kernel would make a thread
//       of its own, and for everything where io_uring is refused.
// Invariants: a request waits only while kMost threads are busy; a thread without work for a second
//             ends.
// Locking: lock_ (rank worker).
// Wakeups: work_ is raised with each request; idle threads sleep on it.
#pragma once

#include "aio/backend.hpp"
#include "core/catalogue.hpp"
#include "core/mutex.hpp"

namespace quay::aio {

class pool final : public backend {
 public:
  // As many as libc's own aio has.
  static constexpr int kMost = 20;

  explicit pool(client& who) noexcept : client_(who) {}

  bool begin(request& r) noexcept override;
  bool withdraw(request& r) noexcept override;
  interruption interrupt(std::uintptr_t) noexcept override { return interruption::none; }
  void show(core::catalogue::description& d) const noexcept QUAY_NO_ANALYSIS {
    d.add("pool_threads", threads_).add("pool_idle", idle_).add("pool_queued", unseen_);
  }
  void before_fork() noexcept override QUAY_NO_ANALYSIS { lock_.lock(); }
  void after_fork_in_parent() noexcept override QUAY_NO_ANALYSIS { lock_.unlock(); }
  void after_fork_in_child() noexcept override;

 private:
  static void* run(void* self);
  void work() noexcept;
  // The next request; null when there was none for a second: the thread is not counted any more.
  request* next() noexcept;

  client& client_;
  core::mutex lock_{core::rank::worker};
  job_queue jobs_ QUAY_GUARDED_BY(lock_);
  int threads_ QUAY_GUARDED_BY(lock_) = 0;
  int idle_ QUAY_GUARDED_BY(lock_) = 0;    // threads that wait for work
  int unseen_ QUAY_GUARDED_BY(lock_) = 0;  // jobs in the queue
  std::atomic<std::uint32_t> work_{0};
};

}  // namespace quay::aio
