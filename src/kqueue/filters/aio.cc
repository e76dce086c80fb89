// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_AIO and EVFILT_LIO: the end of an asynchronous request, or of a list of them.
// Contract: semantics/kqueue.md 5.0 and 5.10. A change cannot make such a note, only the request can
//           (kqueue/completions.cc); changes may enable, disable and delete it.
// Invariants: EV_FLAG1 in the creating flags is the request's key; no change brings it, as every
//             dialect takes it out. kTriggered is "has finished".
#include <sys/event.h>

#include <cerrno>

#include "kqueue/filters/filters.hpp"

namespace quay::kqueue {
namespace {

using core::note;
using core::slot_index;
namespace state = core::state;

class aio_filter_type final : public filter {
 public:
  constexpr aio_filter_type() noexcept : filter(false, false) {}

  int attach(queue& q, slot_index, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if ((n.flags & EV_FLAG1) == 0) return q.rules().aio_refusal;
    n.flags &= static_cast<std::uint16_t>(~EV_FLAG1);
    q.add_poster_locked();
    return 0;
  }

  void detach(queue& q, slot_index, note&) noexcept override QUAY_REQUIRES(q.lock()) {
    q.remove_poster_locked();
  }

  bool event(queue&, slot_index, note& n) noexcept override {
    return (n.status & state::kTriggered) != 0;
  }

  int touch(queue&, slot_index, note& n, core::event& change) noexcept override {
    if (change.flags & EV_ADD) n.udata = change.udata;
    return 0;
  }

  int evaluate(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (event(q, i, n)) q.activate_locked(i);
    return 0;
  }
  void enabled(queue&, slot_index, note&) noexcept override {}
};

constinit aio_filter_type instance;

}  // namespace

constinit filter& aio_filter = instance;

}  // namespace quay::kqueue
