// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_WRITE.
// Contract: semantics/kqueue.md 5.2: what is ready, free space, EV_EOF on each kind of object.
#include <quay/quay.h>
#include <sys/event.h>

#include "kqueue/filters/descriptor.hpp"
#include "kqueue/filters/filters.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {
namespace {

using core::interest;
using core::note;
using core::object;
using core::slot_index;

class write_filter_type final : public descriptor_filter {
 public:
  constexpr write_filter_type() noexcept : descriptor_filter(false) {}

  int attach(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    const int error = descriptor_filter::attach(q, i, n);
    if (error != 0) return error;
    const int orphan = q.rules().write_on_orphan_pipe;
    interest& it = q.interest_of_note_locked(n);
    if (orphan == 0 || !it.pollable) return 0;
    if (it.kind == object::owned) {
      core::observation seen;
      return q.owner().observe_other(it.descriptor, true, seen) && seen.last ? orphan : 0;
    }
    if ((q.os().poll_now(it.descriptor, 0) & EPOLLERR) == 0) return 0;
    examine(q, it);
    return it.kind == object::pipe && it.writable ? orphan : 0;
  }

  bool event(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    interest& it = q.interest_of_note_locked(n);
    if (it.kind == object::owned) return observed(q, n);
    if (!it.pollable) {
      n.data = 0;
      return true;
    }
    std::uint32_t now = events_now(q, n);
    bool eof = false;
    bool error = false;
    bool both = false;
    if (now & (EPOLLHUP | EPOLLERR)) {
      examine(q, it);
      if (!it.writable) return false;  // the read end of a pipe
      if (is_socket(it.kind)) {
        now = q.os().poll_now(it.descriptor, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
        const bool never_connected = (now & EPOLLHUP) && !(now & (EPOLLIN | EPOLLRDHUP | EPOLLERR));
        if (never_connected) return false;
        eof = (now & EPOLLHUP) != 0;
        error = (now & EPOLLERR) != 0;
        both = eof && it.identity == core::kInetMark;
      } else if (it.kind == object::pipe) {
        eof = (now & EPOLLERR) != 0;
      } else {
        eof = (now & EPOLLHUP) != 0;
      }
    } else if (now & EPOLLOUT) {
      examine(q, it);
      if (it.kind == object::listening_socket) return false;
      if (it.kind == object::stream_socket) eof = q.os().sending_is_shut(it.descriptor);
    }
    if (!eof && !error && !(now & EPOLLOUT)) {
      if (n.sfflags & NOTE_LOWAT) check_again(q, i, n);
      return false;
    }
    bool enough = true;
    const bool lowat = (n.sfflags & NOTE_LOWAT) && is_socket(it.kind);
    if (eof && it.kind == object::pipe) {
      n.data = 0;
    } else if (!(n.sfflags & QUAY_NOTE_NODATA) || lowat) {
      examine(q, it);
      const bool no_figure = it.kind == object::counter && q.rules().counters_show_value;
      n.data = no_figure ? 0 : q.os().room_to_write(it.descriptor, it.kind);
      if (lowat) enough = n.data >= n.sdata;
    }
    mark_eof(q, n, eof, true, both);
    n.fflags = 0;
    if (error && q.owner().tune().so_error_in_fflags.load(std::memory_order_relaxed) != 0) {
      n.fflags = static_cast<std::uint32_t>(q.os().take_socket_error(it.descriptor));
    }
    if (!enough && !eof && !error) {
      check_again(q, i, n);  // space beyond the kernel's own mark comes without an edge
      return false;
    }
    n.descriptor.backoff = 0;
    return true;
  }

 protected:
  int accept(queue& q, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    const interest& it = q.interest_of_note_locked(n);
    if (it.kind == object::kqueue) return q.rules().not_read_on_kqueue;
    return is_file(it.kind) ? q.rules().write_on_vnode : 0;
  }
};

}  // namespace

namespace {
constinit write_filter_type instance;
}  // namespace
constinit filter& write_filter = instance;

}  // namespace quay::kqueue
