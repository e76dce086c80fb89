// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_EMPTY: a socket's send buffer has become empty.
// Contract: semantics/kqueue.md 5.4. The kernel raises no edge when the last byte leaves, so a
//           buffer that is not empty is looked at again on the queue's own timer.
#include <sys/event.h>

#include "kqueue/filters/descriptor.hpp"
#include "kqueue/filters/filters.hpp"

namespace quay::kqueue {
namespace {

using core::note;
using core::object;
using core::slot_index;

class empty_filter_type final : public descriptor_filter {
 public:
  constexpr empty_filter_type() noexcept : descriptor_filter(true) {}

  int attach(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    core::interest& it = q.interest_of_note_locked(n);
    const int error = descriptor_filter::attach(q, i, n);
    if (error != 0) return error;
    examine(q, it);
    if (const int refusal = accept(q, n); refusal != 0) return refusal;
    return evaluate(q, i, n);
  }

  int evaluate(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (event(q, i, n)) q.activate_locked(i);
    return 0;
  }

  void enabled(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    evaluate(q, i, n);
  }

  bool event(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    const core::interest& it = q.interest_of_note_locked(n);
    n.data = 0;
    if (it.kind == object::listening_socket) return q.rules().listener_shows_empty;
    const std::int64_t unsent = q.os().unsent(it.descriptor);
    if (unsent > 0) {
      n.descriptor.reported = kWasFull;
      check_again(q, i, n);
      return false;
    }
    // With EV_CLEAR only becoming empty counts, once it has been reported.
    if ((n.flags & EV_CLEAR) && n.descriptor.reported == kTold) {
      check_again(q, i, n);
      return false;
    }
    n.descriptor.backoff = 0;
    return true;
  }

  void deliver(queue& q, slot_index i, note& n, core::event&) noexcept override
      QUAY_REQUIRES(q.lock()) {
    if (!(n.flags & EV_CLEAR)) return;
    n.descriptor.reported = kTold;
    check_again(q, i, n);
  }

 protected:
  int accept(queue& q, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    const core::interest& it = q.interest_of_note_locked(n);
    if (it.kind == object::kqueue) return q.rules().not_read_on_kqueue;
    return is_socket(it.kind) ? 0 : q.rules().unsupported_filter;
  }

 private:
  static constexpr std::uint32_t kWasFull = 1;
  static constexpr std::uint32_t kTold = 2;
};

}  // namespace

namespace {
constinit empty_filter_type instance;
}  // namespace
constinit filter& empty_filter = instance;

}  // namespace quay::kqueue
