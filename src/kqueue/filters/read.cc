// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_READ.
// Contract: semantics/kqueue.md 5.1: what is ready, `data` and EV_EOF on each kind of object.
#include <quay/quay.h>
#include <sys/event.h>

#include <cerrno>

#include "kqueue/filters/descriptor.hpp"
#include "kqueue/filters/filters.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {
namespace {

using core::interest;
using core::note;
using core::object;
using core::slot_index;

class read_filter_type final : public descriptor_filter {
 public:
  constexpr read_filter_type() noexcept : descriptor_filter(false) {}

  bool event(queue& q, slot_index, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    const interest& it = q.interest_of_note_locked(n);
    if (it.kind == object::kqueue) return nested(q, n);
    if (it.kind == object::owned) return observed(q, n);
    if (!it.pollable) return file(q, n);
    return polled(q, n);
  }

  bool is_plain_event(queue& q, const interest& it, note& n, std::uint32_t events) noexcept override
      QUAY_REQUIRES(q.lock()) {
    if (events != EPOLLIN || (n.sfflags & (NOTE_LOWAT | NOTE_OOB)) != 0 || !has_count(it.kind))
      return false;
    if ((n.sfflags & QUAY_NOTE_NODATA) == 0) {
      const std::int64_t bytes = q.os().bytes_to_read(it.descriptor, it.kind);
      if (bytes <= 0) return false;
      n.data = bytes;
    }
    n.fflags = 0;
    return true;
  }

  void file_event(queue& q, slot_index i, note& n, std::uint32_t what,
                  bool parent) noexcept override QUAY_REQUIRES(q.lock()) {
    if (!parent && (what & (core::file_change::kModified | core::file_change::kLost)) != 0) {
      evaluate(q, i, n);
    }
  }

 protected:
  int accept(queue& q, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    const interest& it = q.interest_of_note_locked(n);
    if (it.kind == object::kqueue && q.owner().is_queue(it.descriptor, q))
      return q.rules().self_watch;
    if (it.kind == object::kqueue) {
      const queue* inner = q.owner().queue_at(it.descriptor);
      if (inner == nullptr) return EBADF;
      n.descriptor.seen = inner->life();
    }
    return 0;
  }

 private:
  // Of bytes, as far as is known.
  static bool has_count(object kind) noexcept {
    return kind == object::unknown || kind == object::stream_socket || kind == object::pipe ||
           kind == object::terminal || kind == object::datagram_socket ||
           kind == object::seqpacket_socket;
  }

  static bool polled(queue& q, note& n) noexcept QUAY_REQUIRES(q.lock()) {
    interest& it = q.interest_of_note_locked(n);
    const std::uint32_t now = events_now(q, n);
    if (q.rules().has_oob && (n.sfflags & NOTE_OOB)) {
      n.fflags = (now & EPOLLPRI) ? static_cast<std::uint32_t>(NOTE_OOB) : 0;
      return (now & EPOLLPRI) != 0;
    }
    bool eof = false;
    bool error = false;
    bool both = false;
    if (now & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) {
      examine(q, it);
      if (!it.readable) return false;  // a fifo that is open for writing
      if (it.kind == object::pipe && (now & EPOLLERR) != 0) return widowed(q, n);
      if (is_socket(it.kind)) {
        // Hung up without "readable" is a socket that was never connected, or one of TCP's that ended
        // in another way than by its peer: a listener that was shut down.
        eof = (now & EPOLLRDHUP) != 0 ||
              ((now & EPOLLHUP) && ((now & EPOLLIN) || q.os().has_ended(it.descriptor)));
        error = (now & EPOLLERR) != 0;
        both = (now & EPOLLHUP) && it.kind == object::stream_socket && tcp(q, it);
      } else {
        eof = (now & EPOLLHUP) != 0;
      }
    }
    if (!eof && !error && !(now & EPOLLIN)) return false;

    const bool wants_data = !(n.sfflags & QUAY_NOTE_NODATA);
    const bool lowat = (n.sfflags & NOTE_LOWAT) != 0;
    bool enough = true;
    if (wants_data || lowat) {
      std::int64_t bytes = q.os().bytes_to_read(it.descriptor, it.kind);
      if (bytes < 0) bytes = figure(q, it);
      if (bytes == 0 && (now & EPOLLIN) && !error && over_tcp(q, it)) {
        bytes = q.os().bytes_behind_mark(it.descriptor);
      }
      n.data = bytes;
      if (lowat && it.kind != object::listening_socket) enough = bytes >= n.sdata;
      // A level with nothing behind it: another thread read it, or the report was spurious.
      if (bytes == 0 && it.kind != object::datagram_socket) enough = enough && drained_ok(q, it);
    }
    mark_eof(q, n, eof, n.data == 0, both);
    n.fflags = 0;
    if (error && q.owner().tune().so_error_in_fflags.load(std::memory_order_relaxed) != 0) {
      n.fflags = static_cast<std::uint32_t>(q.os().take_socket_error(it.descriptor));
    }
    return enough || eof || error;
  }

  // The write end of a pipe. To the kernels a pipe has two directions, and when the reader has gone
  // the other one is at its end: programs watch for that.
  static bool widowed(queue& q, note& n) noexcept QUAY_REQUIRES(q.lock()) {
    n.data = 0;
    n.fflags = 0;
    mark_eof(q, n, true, true, false);
    return true;
  }

  // Objects without a byte count: a listener's backlog, a counter, or the size of the record a read
  // returns.
  static std::int64_t figure(queue& q, interest& it) noexcept QUAY_REQUIRES(q.lock()) {
    examine(q, it);
    if (it.kind == object::stream_socket || it.kind == object::seqpacket_socket ||
        it.kind == object::listening_socket) {
      it.kind = object::listening_socket;
      return q.os().backlog(it.descriptor);
    }
    if (it.kind != object::counter) return 1;
    const std::int64_t value = q.rules().counters_show_value ? q.os().counted(it.descriptor) : -1;
    return value != -1 ? value : 8;
  }

  // No bytes, yet reported readable: right for packets of no length and for what has no count.
  static bool drained_ok(queue& q, interest& it) noexcept QUAY_REQUIRES(q.lock()) {
    examine(q, it);
    return it.kind == object::datagram_socket || it.kind == object::seqpacket_socket ||
           it.kind == object::other;
  }

  static bool tcp(queue&, const interest& it) noexcept { return it.identity == core::kInetMark; }
  static bool over_tcp(queue& q, interest& it) noexcept QUAY_REQUIRES(q.lock()) {
    examine(q, it);
    return it.kind == object::stream_socket && tcp(q, it);
  }

  static bool file(queue& q, note& n) noexcept QUAY_REQUIRES(q.lock()) {
    interest& it = q.interest_of_note_locked(n);
    if (!is_file(it.kind)) {
      n.data = 0;
      return true;
    }
    n.data = q.os().distance_to_end(it.descriptor);
    const core::slot_index on = n.descriptor.interest;
    if ((n.data == 0 || (n.flags & EV_CLEAR)) &&
        !q.watches_file_locked(on, core::file_change::kModified)) {
      // From now on growth is reported; what grew before is seen by looking once more.
      q.watch_file_locked(on, core::file_change::kModified, false);
      n.data = q.os().distance_to_end(it.descriptor);
    }
    if (q.rules().has_file_poll && (n.sfflags & NOTE_FILE_POLL)) return true;
    return n.data != 0;
  }

  // The count is the inner queue's own; it keeps us told, so nothing of it is locked here.
  static bool nested(queue& q, note& n) noexcept QUAY_REQUIRES(q.lock()) {
    const queue* inner = q.owner().queue_at(q.interest_of_note_locked(n).descriptor);
    if (inner == nullptr || inner == &q || inner->life() != n.descriptor.seen) return false;
    n.data = inner->ready_count();
    return n.data > 0;
  }
};

}  // namespace

namespace {
constinit read_filter_type instance;
}  // namespace
constinit filter& read_filter = instance;

}  // namespace quay::kqueue
