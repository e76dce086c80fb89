// SPDX-License-Identifier: BSD-2-Clause
//
// What: SIGEV_KEVENT: the ends of asynchronous requests become events of queues.
// Contract: core/completion.hpp; aio(4) of FreeBSD; semantics/kqueue.md 5.10.
// Invariants: a ticket's holder is the queue's position among the process's queues, its name the
//             note's index and life: after either is gone the ticket names nothing.
// Locking: the queue's mutex; the registry's, briefly, to find the queue.
#pragma once

#include "core/completion.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {

class completions final : public core::completion_target {
 public:
  explicit completions(system& sys) noexcept : system_(sys) {}

  int expect(const core::completion_order& order, core::completion_ticket& out) noexcept override;
  void finished(const core::completion_ticket& which, const core::completion_order& order,
                int error) noexcept override;
  void withdrawn(const core::completion_ticket& which, std::uintptr_t object) noexcept override {
    reaped(which, object);
  }
  void reaped(const core::completion_ticket& which, std::uintptr_t object) noexcept override;

 private:
  system& system_;
};

}  // namespace quay::kqueue
