// SPDX-License-Identifier: BSD-2-Clause
//
// What: how the end of an asynchronous request reaches a queue or a port: the interface between the
//       aio engine, which finishes requests, and the systems whose waiters want to hear of it.
// Contract: expect() before the request begins, so that finished() cannot fail for want of memory;
//           then finished() once, or withdrawn() when the request never began. reaped() when the
//           program has collected the result.
// Ownership: a ticket owns nothing. It may outlive what it names, and may come back from memory that
//            the program can write: a target checks it and ignores one that names nothing.
// Locking: called with no lock held; a target takes its own.
#pragma once

#include <cstdint>

namespace quay::core {

enum class request_kind : std::uint8_t { read, write, sync, list };

// What the program asked for when it submitted the request.
struct completion_order {
  int descriptor;         // of the queue or port
  request_kind kind;      // what the request does
  std::uint32_t flags;    // SIGEV_KEVENT: sigev_notify_kevent_flags
  std::uintptr_t object;  // address of the control block, or of the list
  void* user;             // the program's own word
};

struct completion_ticket {
  std::uint64_t holder;  // the target's name for its queue or port
  std::uint64_t name;    // and for the event in it
};

class completion_target {
 public:
  // Returns an errno: EBADF when the descriptor is not the target's …
  virtual int expect(const completion_order& order, completion_ticket& out) noexcept = 0;
  virtual void finished(const completion_ticket& which, const completion_order& order,
                        int error) noexcept = 0;
  virtual void withdrawn(const completion_ticket& which, std::uintptr_t object) noexcept = 0;
  virtual void reaped(const completion_ticket& which, std::uintptr_t object) noexcept = 0;

 protected:
  constexpr completion_target() noexcept = default;
  ~completion_target() = default;
};

}  // namespace quay::core
