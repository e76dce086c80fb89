// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_EXCEPT: out-of-band data.
// Contract: semantics/kqueue.md 5.3.
#include <sys/event.h>

#include "kqueue/filters/descriptor.hpp"
#include "kqueue/filters/filters.hpp"

namespace quay::kqueue {
namespace {

using core::note;
using core::object;
using core::slot_index;

class except_filter_type final : public descriptor_filter {
 public:
  constexpr except_filter_type() noexcept : descriptor_filter(false) {}

  int attach(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    core::interest& it = q.interest_of_note_locked(n);
    const int error = descriptor_filter::attach(q, i, n);
    if (error != 0) return error;
    examine(q, it);
    return accept(q, n);
  }

  bool event(queue& q, slot_index, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    const core::interest& it = q.interest_of_note_locked(n);
    const std::uint32_t now = events_now(q, n);
    n.data = 0;
    if (!is_socket(it.kind)) {
      const bool gone = (now & (EPOLLHUP | EPOLLERR)) != 0;
      mark_eof(q, n, gone, true, false);
      return gone;
    }
    const bool pending = (now & EPOLLPRI) && (n.sfflags & NOTE_OOB);
    n.fflags = pending ? static_cast<std::uint32_t>(NOTE_OOB) : 0;
    return pending;
  }

 protected:
  int accept(queue& q, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    const core::interest& it = q.interest_of_note_locked(n);
    if (it.kind == object::kqueue) return q.rules().not_read_on_kqueue;
    if (is_socket(it.kind)) return 0;
    return it.kind == object::pipe && q.rules().except_on_pipe ? 0 : q.rules().unsupported_filter;
  }
};

}  // namespace

namespace {
constinit except_filter_type instance;
}  // namespace
constinit filter& except_filter = instance;

}  // namespace quay::kqueue
