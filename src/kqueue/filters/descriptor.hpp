// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the filters on descriptors share: registering with epoll, classification on demand,
//       re-evaluation.
// Contract: semantics/kqueue.md 5.1-5.4, 5.13.
// Locking: the queue's mutex, as for every source.
#pragma once

#include <sys/event.h>

#include "kqueue/queue.hpp"

namespace quay::kqueue {

class descriptor_filter : public filter {
 public:
  int attach(queue& q, core::slot_index i, core::note& n) noexcept override QUAY_REQUIRES(q.lock());
  void detach(queue& q, core::slot_index i, core::note& n) noexcept override
      QUAY_REQUIRES(q.lock());
  int touch(queue& q, core::slot_index i, core::note& n, core::event& change) noexcept override
      QUAY_REQUIRES(q.lock());
  int evaluate(queue& q, core::slot_index i, core::note& n) noexcept override
      QUAY_REQUIRES(q.lock());
  void enabled(queue& q, core::slot_index i, core::note& n) noexcept override
      QUAY_REQUIRES(q.lock());
  void expired(queue& q, core::slot_index i, core::note& n, std::int64_t deadline,
               std::int64_t now) noexcept override QUAY_REQUIRES(q.lock());

  // Finds out what the descriptor refers to; kind is known afterwards.
  static void examine(queue& q, core::interest& it) noexcept QUAY_REQUIRES(q.lock());

 private:
  static void change_eof(queue& q, core::note& n, bool eof, bool drained, bool both_ways) noexcept
      QUAY_REQUIRES(q.lock());

 protected:
  explicit constexpr descriptor_filter(bool has_delivery) noexcept : filter(true, has_delivery) {}
  ~descriptor_filter() = default;

  // The object cannot be polled, or is a queue: accept (0) or refuse.
  virtual int accept(queue& q, core::note& n) noexcept QUAY_REQUIRES(q.lock()) = 0;

  // The answer of the system that owns the object (kind owned).
  static bool observed(queue& q, core::note& n) noexcept QUAY_REQUIRES(q.lock());
  // State of the descriptor now: the report being worked on, or a fresh look.
  static std::uint32_t events_now(queue& q, const core::note& n) noexcept QUAY_REQUIRES(q.lock()) {
    if (q.fresh_locked(n)) return n.descriptor.reported;
    return q.os().poll_now(q.interest_of_note_locked(n).descriptor, n.descriptor.asks);
  }
  // Looks at the note again soon: for conditions of which the kernel says nothing.
  static void check_again(queue& q, core::slot_index i, core::note& n) noexcept
      QUAY_REQUIRES(q.lock());
  // Sets or clears EV_EOF and what a dialect adds to it.
  static void mark_eof(queue& q, core::note& n, bool eof, bool drained, bool both_ways) noexcept
      QUAY_REQUIRES(q.lock()) {
    if (eof || (n.flags & (EV_EOF | EV_NODATA | EV_HUP)) != 0)
      change_eof(q, n, eof, drained, both_ways);
  }
  static bool is_socket(core::object kind) noexcept {
    return kind == core::object::stream_socket || kind == core::object::listening_socket ||
           kind == core::object::datagram_socket || kind == core::object::seqpacket_socket;
  }
  static bool is_file(core::object kind) noexcept {
    return kind == core::object::regular_file || kind == core::object::directory;
  }
};

}  // namespace quay::kqueue
