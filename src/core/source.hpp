// SPDX-License-Identifier: BSD-2-Clause
//
// What: what a kind of event must be able to do (the seeds' filterops). Built-in filters implement
//       it; so will port sources and filters that users register.
// Contract: semantics/kqueue.md 1.6.
// Locking: every function is called under the queue's mutex and must not block, allocate or call
//          user code.
// Arguments: `i` names the note `n`, which stays where it is. After a function of a source that lets the queue go it may
//            have another life: its generation tells.
#pragma once

#include "core/host.hpp"
#include "core/note.hpp"

namespace quay::core {

template <class Queue>
class source {
 public:
  // The identifier is a descriptor: the note hangs off an interest.
  bool on_descriptor() const noexcept { return on_descriptor_; }
  // Delivery does more than copy the saved fields.
  bool has_delivery() const noexcept { return has_delivery_; }

  // attach and evaluate: the note was dropped meanwhile, by another thread.
  static constexpr int kGone = -1;
  // Runs code of the program's: lets the queue go in attach, event and evaluate.
  bool lets_go() const noexcept { return lets_go_; }

  // Takes up a note that is already linked; may change flags, fflags, data. Returns an errno: then
  // nothing remains and detach is not called.
  virtual int attach(Queue& q, slot_index i, note& n) noexcept QUAY_REQUIRES(q.lock()) = 0;
  virtual void detach(Queue& q, slot_index i, note& n) noexcept QUAY_REQUIRES(q.lock()) = 0;
  // Re-evaluates: updates data, fflags and flags, tells whether the note is active.
  virtual bool event(Queue& q, slot_index i, note& n) noexcept QUAY_REQUIRES(q.lock()) = 0;
  // The same, of a note that is active for nothing but these `events` of its descriptor, which the kernel has just
  // reported. False also where that takes more than a word: then event() is asked.
  virtual bool is_plain_event(Queue&, const interest&, note&, std::uint32_t /*events*/) noexcept {
    return false;
  }
  // A later change: take its values. Returns an errno.
  virtual int touch(Queue& q, slot_index i, note& n, core::event& change) noexcept
      QUAY_REQUIRES(q.lock()) = 0;
  // The object may be ready already: find out, now or at the next harvest.
  virtual int evaluate(Queue& q, slot_index i, note& n) noexcept QUAY_REQUIRES(q.lock()) = 0;
  // The note has been enabled again and nothing was evaluated.
  virtual void enabled(Queue& q, slot_index i, note& n) noexcept QUAY_REQUIRES(q.lock()) = 0;
  // Fills in what the event carries beyond the saved fields, and consumes what delivery consumes.
  // Called only of a source that says has_delivery().
  virtual void deliver(Queue&, slot_index, note&, core::event&) noexcept {}
  // The note's file, or the directory it is in, was reported by the watcher; see file_change.
  virtual void file_event(Queue&, slot_index, note&, std::uint32_t /*what*/,
                          bool /*parent*/) noexcept {}
  // Of notes on processes: a record of what one did; or the note's own has ended, or so it seems.
  // False: the note has nothing to tell any more and must go.
  virtual bool process_event(Queue&, slot_index, note&, const core::process_event&) noexcept {
    return true;
  }
  virtual bool process_end(Queue&, slot_index, note&) noexcept { return true; }
  // A timer of the note went off.
  virtual void expired(Queue&, slot_index, note&, std::int64_t /*deadline*/,
                       std::int64_t /*now*/) noexcept {}

 protected:
  constexpr source(bool on_descriptor, bool has_delivery, bool lets_go = false) noexcept
      : on_descriptor_(on_descriptor), has_delivery_(has_delivery), lets_go_(lets_go) {}
  ~source() = default;  // sources are static objects, never deleted through this type

 private:
  const bool on_descriptor_;
  const bool has_delivery_;
  const bool lets_go_;
};

}  // namespace quay::core
