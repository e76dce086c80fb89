// SPDX-License-Identifier: BSD-2-Clause
//
// What: PORT_SOURCE_TIMER: the timers of this process that tell a port of their expirations.
// Contract: semantics/ports.md 4.5. A timer holds one slot for its life; its events word is the
//           number of expirations since the last delivery, counted at delivery.
// Invariants: a timer's number fits a timer_t that no timer of libc's has (see id_of).
// Ownership: records are recycled, never freed; each owns a kernel timer while it is in use.
// Locking: table_ (rank arena) guards which records are in use; a record's link to its slot is
//          changed and read under its port's lock, which may be taken under table_.
#pragma once

#include <ctime>

#include "core/mutex.hpp"
#include "port/port.hpp"

namespace quay::port {

class timer_source final : public event_source {
 public:
  explicit timer_source(core::host& os) noexcept : os_(os) {}

  // All return an errno.
  int create(port& p, clockid_t clock, void* user, timer_t& id) noexcept;
  int set(timer_t id, bool absolute, const itimerspec& value, itimerspec* old) noexcept;
  int get(timer_t id, itimerspec& value) noexcept;
  int overrun(timer_t id, int& count) noexcept;
  int remove(timer_t id) noexcept;
  static bool is_ours(timer_t id) noexcept;

  bool deliver(port& p, slot& s, port_event_t& out) noexcept override;

  void before_fork() noexcept QUAY_NO_ANALYSIS { table_.lock(); }
  void after_fork_in_parent() noexcept QUAY_NO_ANALYSIS { table_.unlock(); }
  void after_fork_in_child() noexcept QUAY_NO_ANALYSIS;  // timers are not inherited

 private:
  struct timer {
    port* owner;
    int fd;
    slot_index slot;
    std::uint32_t generation;
    std::uint64_t pending;  // expirations taken from the kernel and not delivered
    int last_overrun;
    bool used;
  };
  static constexpr std::uint32_t kMost = 1u << 16;

  static timer_t id_of(std::uint32_t n) noexcept;
  timer* find_locked(timer_t id) noexcept QUAY_REQUIRES(table_);

  core::host& os_;
  core::mutex table_{core::rank::arena};
  timer* timers_ = nullptr;  // set once, under table_
  std::uint32_t high_water_ QUAY_GUARDED_BY(table_) = 0;
};

}  // namespace quay::port
