// SPDX-License-Identifier: BSD-2-Clause
//
// What: PORT_SOURCE_MQ: message queues of this process that tell a port of an arrival, once.
// Contract: semantics/ports.md 4.7.
// Ownership: records are recycled, never freed; each owns a socket while it is in use.
// Locking: table_ (rank arena) guards the search; a record changes under its port's lock too,
//          which may be taken under table_.
#pragma once

#include <mqueue.h>

#include <atomic>

#include "core/mutex.hpp"
#include "port/port.hpp"

namespace quay::port {

class mq_source final : public event_source {
 public:
  explicit mq_source(core::host& os) noexcept : os_(os) {}

  int add(port& p, mqd_t queue, void* user) noexcept;  // errno
  // Ends the registration of ours on a queue; false: there is none.
  bool remove(mqd_t queue) noexcept;

  bool deliver(port& p, slot& s, port_event_t& out) noexcept override;

  void before_fork() noexcept QUAY_NO_ANALYSIS { table_.lock(); }
  void after_fork_in_parent() noexcept QUAY_NO_ANALYSIS { table_.unlock(); }
  void after_fork_in_child() noexcept QUAY_NO_ANALYSIS;  // registrations are the parent's

 private:
  struct registration {
    port* owner;
    mqd_t queue;
    int socket;
    slot_index slot;
    std::uint32_t generation;
    std::atomic<bool> used;
  };
  static constexpr std::uint32_t kMost = 1024;

  core::host& os_;
  core::mutex table_{core::rank::arena};
  registration entries_[kMost] = {};
};

}  // namespace quay::port
