// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_FS: file systems that are mounted and unmounted.
// Contract: semantics/kqueue.md 5.9. Any identifier; the request's fflags are no mask. Of the VQ_*
//           codes Linux tells the coming and going of mounts and nothing else.
// Locking: the queue's mutex, as for every source.
#include <sys/event.h>

#include "kqueue/filters/filters.hpp"
#include "kqueue/queue.hpp"

namespace quay::kqueue {
namespace {

using core::note;
using core::slot_index;

class fs_filter_type final : public filter {
 public:
  constexpr fs_filter_type() noexcept : filter(false, false) {}

  int attach(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    n.flags |= EV_CLEAR;
    q.take_mounts_locked();  // what was before this note is not its business
    q.retire_locked(i);
    n.fflags = 0;
    n.data = 0;
    return q.follow_mounts_locked();
  }
  void detach(queue& q, slot_index, note&) noexcept override QUAY_REQUIRES(q.lock()) {
    q.unfollow_mounts_locked();
  }
  bool event(queue&, slot_index, note& n) noexcept override { return n.fflags != 0; }
  int touch(queue& q, slot_index, note& n, core::event& change) noexcept override
      QUAY_REQUIRES(q.lock()) {
    n.sfflags = change.fflags;
    n.sdata = change.data;
    if (!(q.rules().has_keep_udata && (change.flags & EV_KEEPUDATA))) n.udata = change.udata;
    return 0;
  }
  int evaluate(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (event(q, i, n)) q.activate_locked(i);
    return 0;
  }
  void enabled(queue&, slot_index, note&) noexcept override {}
};

constinit fs_filter_type instance;

}  // namespace

constinit filter& fs_filter = instance;

void queue::on_mounts_locked(bool came, bool went) noexcept {
  for (slot_index i = idents_.first(); i != core::kNil; i = idents_.next(i)) {
    if (at(i).filter != EVFILT_FS) continue;
    at(i).fflags |= (came ? VQ_MOUNT : 0u) | (went ? VQ_UNMOUNT : 0u);
    activate_locked(i);
  }
}

}  // namespace quay::kqueue
