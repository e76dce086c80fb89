// SPDX-License-Identifier: BSD-2-Clause
//
// What: the engine that counts the process's signals without taking them from the program.
// Contract: semantics/pipes-signalfd.md B8. A signal that nobody watches is never touched. For a
//           watched one the kernel has our handler, and the program's dispositions are kept here:
//           it is answered with them (hooked processes) and its handlers run as before.
// Invariants: those of signal_board.hpp.
// Ownership: one kernel signalfd, never read, which shows blocked signals.
// Locking: the board's lock; it may be taken under any mutex and from signal handlers.
#pragma once

#include <csignal>
#include <cstdint>

#include "core/signals.hpp"

namespace quay::host {

class signal_engine final : public core::signal_counter {
 public:
  static signal_engine& instance() noexcept;

  void watch(int number, bool ignored_too) noexcept override;
  void forget(int number, bool ignored_too) noexcept override;
  core::postings posted(int number) noexcept override;
  std::uint64_t tally() noexcept override;
  void look(std::uint64_t signals) noexcept override;
  bool worth_a_look(std::uint64_t signals) noexcept override;
  void recheck(std::uint64_t signals) noexcept override;
  int descriptor() noexcept override;
  void enlist(core::bell& b) noexcept override;

  // For the hooks. The program's sigaction() of a watched signal; errno is set as it does.
  static bool watches(int number) noexcept;
  int change(int number, const struct sigaction* act, struct sigaction* old) noexcept;
  // A pending signal was taken by sigwait() or a read: the posting is over.
  void consumed(int number) noexcept;
  // The program posts a signal that it ignores to itself: to `process`, or to the calling thread (0).
  // True: it was counted, and the kernel, which would do nothing, need not be asked.
  bool post_ignored(int number, pid_t process) noexcept;
  // Around any other posting to itself. One that waits behind a pending one is counted after it: the
  // kernel merges the two, or queues it, and shows nothing of it.
  std::uint64_t before_post(int number) noexcept;
  void after_post(int number, pid_t process, std::uint64_t before) noexcept;
  // Around exec: what the program ignores is really ignored. Changes no memory: children of vfork
  // come here too.
  void before_exec() noexcept;
  void after_exec() noexcept;

  void before_fork() noexcept;
  void after_fork_in_parent() noexcept;
  void after_fork_in_child() noexcept;

 private:
  void show_watched_locked() noexcept;

  std::uint64_t fork_mask_ = 0;  // guarded by the board's lock
  int shown_ = -1;               // the signalfd; guarded by the board's lock
};

}  // namespace quay::host
