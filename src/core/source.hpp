// SPDX-License-Identifier: BSD-2-Clause
//
// What: what a kind of event must be able to do (the seeds' filterops). Built-in filters implement
//       it; so will port sources and filters that users register.
// Contract: semantics/kqueue.md 1.6.
// Locking: every function is called under the queue's mutex and must not block, allocate or call
//          user code.
#pragma once

#include "core/note.hpp"

namespace quay::core {

template <class Queue>
class source {
 public:
  virtual ~source() = default;

  // The identifier is a descriptor: the note hangs off an interest.
  virtual bool on_descriptor() const noexcept = 0;
  // Takes up a note that is already linked; may change flags, fflags, data. Returns an errno: then
  // nothing remains and detach is not called.
  virtual int attach(Queue& q, slot_index i) noexcept = 0;
  virtual void detach(Queue& q, slot_index i) noexcept = 0;
  // Re-evaluates: updates data, fflags and flags, tells whether the note is active.
  virtual bool event(Queue& q, slot_index i) noexcept = 0;
  // A later change: take its values. Returns an errno.
  virtual int touch(Queue& q, slot_index i, core::event& change) noexcept = 0;
  // The object may be ready already: find out, now or at the next harvest.
  virtual int evaluate(Queue& q, slot_index i) noexcept = 0;
  // The note has been enabled again and nothing was evaluated.
  virtual void enabled(Queue& q, slot_index i) noexcept = 0;
  // Fills in what the event carries beyond the saved fields, and consumes what delivery consumes.
  virtual void deliver(Queue& q, slot_index i, core::event& out) noexcept = 0;
  // A timer of the note went off.
  virtual void expired(Queue&, slot_index, std::int64_t /*deadline*/,
                       std::int64_t /*now*/) noexcept {}
  // After a delivery that leaves the note level-triggered: will the kernel report it again?
  virtual bool reported_again(Queue&, slot_index) noexcept { return false; }
};

}  // namespace quay::core
