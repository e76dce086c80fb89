// SPDX-License-Identifier: BSD-2-Clause
//
// What: PORT_SOURCE_AIO: the ends of asynchronous requests become events of ports.
// Contract: core/completion.hpp; semantics/ports.md 4.6. Unlike a queue's, a port's event stays when
//           the program collects the result first.
// Invariants: a ticket's holder is the port's opening, its name the slot's index and generation:
//             after either is gone the ticket names nothing.
// Locking: the port's; the registry's, briefly, to find the port.
#pragma once

#include "core/completion.hpp"
#include "port/system.hpp"

namespace quay::port {

class completions final : public core::completion_target {
 public:
  explicit completions(system& sys) noexcept : system_(sys) {}

  int expect(const core::completion_order& order, core::completion_ticket& out) noexcept override;
  void finished(const core::completion_ticket& which, const core::completion_order& order,
                int error) noexcept override;
  void withdrawn(const core::completion_ticket& which, std::uintptr_t object) noexcept override;
  void reaped(const core::completion_ticket&, std::uintptr_t) noexcept override {}

 private:
  system& system_;
};

}  // namespace quay::port
