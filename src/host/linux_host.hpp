// SPDX-License-Identifier: BSD-2-Clause
//
// What: the real host: core::host on Linux.
// Contract: core/host.hpp. Linux 5.11 is enough; what is newer has a fallback.
// Ownership: owns one eventfd, the clapper of every queue's doorbell: it is always readable, and
//            re-arming its registration in a queue's set is what rings.
// Invariants: what the program opens on the eventfd's number, having closed all that it did not
//             know, is never taken for the eventfd: that bears a stamp (F_SETSIG, without O_ASYNC).
// Locking: none; the eventfd's number is atomic and is made anew when the program closed it.
#pragma once

#include <signal.h>

#include <atomic>
#include <climits>

#include "core/host.hpp"

namespace quay::host {

class linux_host final : public core::host {
 public:
  static linux_host& instance() noexcept;

  std::size_t readable_prefix(const void* p, std::size_t n) noexcept override;
  std::size_t writable_prefix(void* p, std::size_t n) noexcept override;

  std::int64_t monotonic() noexcept override;
  std::int64_t monotonic_tick() noexcept override;
  std::int64_t wall() noexcept override;

  int set_create(bool close_on_exec) noexcept override;
  bool is_set(int fd) noexcept override;
  bool is_same_file(int a, int b) noexcept override;
  int duplicate_of(int fd, int last) noexcept override;
  bool put_in_place(int set, int number) noexcept override;
  int set_add(int set, int fd, std::uint32_t events, std::uint64_t name) noexcept override;
  int set_modify(int set, int fd, std::uint32_t events, std::uint64_t name) noexcept override;
  int set_remove(int set, int fd) noexcept override;
  int set_wait(int set, epoll_event* out, int most, std::int64_t timeout) override;
  int bell_create() noexcept override;
  void ring(int set, bool every_waiter) noexcept override;
  void hush(int set) noexcept override;

  int timer_create(bool wall_clock) noexcept override;
  int timer_program(int timer, std::int64_t deadline) noexcept override;

  int watcher_create() noexcept override;
  int watch_add(int watcher, int fd, std::uint32_t what, bool parent) noexcept override;
  void watch_remove(int watcher, int watch) noexcept override;
  int watcher_read(int watcher, core::file_event* out, int most) noexcept override;
  int file_now(int fd, core::file_state& out) noexcept override;

  int watch_edges(int set, core::edge_listener& listener, std::uint32_t cookie) noexcept override;
  void forget_edges() noexcept override;
  int send_sigio(long owner, bool ask_only) noexcept override;

  bool is_open(int fd) noexcept override;
  void discard(int fd) noexcept override;
  int examine(int fd, core::object_facts& out) noexcept override;
  std::uint32_t poll_now(int fd, std::uint32_t events) noexcept override;
  std::int64_t bytes_to_read(int fd, core::object kind) noexcept override;
  std::int64_t bytes_behind_mark(int fd) noexcept override;
  bool has_ended(int fd) noexcept override;
  std::int64_t backlog(int fd) noexcept override;
  std::int64_t counted(int fd) noexcept override;
  std::int64_t room_to_write(int fd, core::object kind) noexcept override;
  std::int64_t unsent(int fd) noexcept override;
  bool sending_is_shut(int fd) noexcept override;
  std::int64_t distance_to_end(int fd) noexcept override;
  int take_socket_error(int fd) noexcept override;
  core::signal_counter* signals() noexcept override;

  // Of the signals that every emulator translates, one that nobody has files send.
  static constexpr int kClapperStamp = SIGPWR;
  // The doorbell's eventfd, made if there is none; -1 when refused.
  int clapper_number() noexcept { return clapper(false); }

  int process_open(std::int64_t pid) noexcept override;
  bool process_ended(int process) noexcept override;
  bool process_status(int process, std::int64_t pid, int& status) noexcept override;
  bool is_process(int fd) noexcept override;
  bool may_signal(std::int64_t pid) noexcept override;
  int process_events_open() noexcept override;
  void process_events_close(int events) noexcept override;
  int process_events_read(int events, core::process_event* out, int most) noexcept override;
  int mounts_open() noexcept override;
  std::int64_t mounts_list(int mounts, std::uint64_t* out, std::size_t most) noexcept override;

 private:
  int clapper(bool fresh) noexcept;  // sets errno

  std::atomic<int> clapper_{-1};
};

// Whether the program's own close() reaches libquay-hooks: then every close is announced.
bool hooks_are_present() noexcept;
// The hooks' answer to the self-test: their close() was called with this number.
inline constexpr int kSelfTestDescriptor = INT_MIN + 0x51;
void hooks_announced() noexcept;

// A word that the kernel clears in the child of every fork, also of one that runs no handlers
// (_Fork, clone, the system call). mark_process() sets it; a child of vfork shares its parent's.
void mark_process() noexcept;
bool process_is_marked() noexcept;

// Whether every munmap, mprotect and the like of the program is announced by mapping_changed().
void mappings_are_announced(bool yes) noexcept;
void mapping_changed() noexcept;

// Every open number is below; a small one at least, where the kernel does not say.
int descriptor_table_size() noexcept;

}  // namespace quay::host
