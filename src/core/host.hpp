// SPDX-License-Identifier: BSD-2-Clause
//
// What: everything the library asks of the operating system, as one interface. src/host has the
//       real one; tests have one with a simulated clock and scripted readiness.
// Contract: functions return 0 or an errno, or a value that cannot be negative with -errno for
//           failure; none touches the caller's errno; all are safe in signal handlers.
// Ownership: sets, timers and watchers are descriptors; whoever made one closes it with discard().
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>

#include "core/note.hpp"

namespace quay::core {

inline constexpr std::int64_t kForever = -1;  // a wait without deadline, nanoseconds otherwise

inline constexpr std::uint64_t kInetMark = 1;

// What is known of a descriptor's object.
struct object_facts {
  object kind;
  bool readable;
  bool writable;
  std::uint64_t identity;  // files: device and inode, mixed; internet sockets: kInetMark
};

class host {
 public:
  virtual ~host() = default;

  // How many bytes from `p` on, up to `n`, can be read or written by this process.
  virtual std::size_t readable_prefix(const void* p, std::size_t n) noexcept = 0;
  virtual std::size_t writable_prefix(void* p, std::size_t n) noexcept = 0;

  // Clocks, nanoseconds.
  virtual std::int64_t monotonic() noexcept = 0;
  virtual std::int64_t wall() noexcept = 0;

  // Readiness sets (epoll).
  virtual int set_create(bool close_on_exec) noexcept = 0;
  virtual bool is_set(int fd) noexcept = 0;
  virtual bool is_same_file(int a, int b) noexcept = 0;
  virtual int set_add(int set, int fd, std::uint32_t events, std::uint64_t name) noexcept = 0;
  virtual int set_modify(int set, int fd, std::uint32_t events, std::uint64_t name) noexcept = 0;
  virtual int set_remove(int set, int fd) noexcept = 0;
  // Waits up to `timeout` (0 = look only, kForever) and returns how many reports were stored.
  virtual int set_wait(int set, epoll_event* out, int most, std::int64_t timeout) noexcept = 0;

  // The doorbell: makes `set` report kBell once. `every_waiter` makes it report until the set is
  // closed, so that all who wait in it wake.
  virtual void ring(int set, bool every_waiter) noexcept = 0;
  // Takes a ring back that was not heard; of this process's bell only.
  virtual void hush(int set) noexcept = 0;

  // Kernel timers (for queues that somebody may poll).
  virtual int timer_create(bool wall_clock) noexcept = 0;
  virtual int timer_program(int timer, std::int64_t deadline) noexcept = 0;

  // Files that grow (inotify). watch_add returns the watch's number.
  virtual int watcher_create() noexcept = 0;
  virtual int watch_add(int watcher, int fd) noexcept = 0;
  virtual void watch_remove(int watcher, int watch) noexcept = 0;
  // Reads pending events; stores the numbers of watches that fired, at most `most`.
  virtual int watcher_read(int watcher, std::int32_t* fired, int most) noexcept = 0;

  // Descriptors.
  virtual bool is_open(int fd) noexcept = 0;
  virtual void discard(int fd) noexcept = 0;
  virtual int examine(int fd, object_facts& out) noexcept = 0;
  virtual std::uint32_t poll_now(int fd, std::uint32_t events) noexcept = 0;
  virtual std::int64_t bytes_to_read(int fd, object kind) noexcept = 0;  // -1: no such figure
  virtual std::int64_t backlog(int fd) noexcept = 0;                     // listening sockets
  virtual std::int64_t room_to_write(int fd, object kind) noexcept = 0;
  virtual std::int64_t unsent(int fd) noexcept = 0;           // bytes in the send buffer, -1: none
  virtual bool sending_is_shut(int fd) noexcept = 0;          // own shutdown(SHUT_WR)
  virtual std::int64_t distance_to_end(int fd) noexcept = 0;  // size - offset of a file
  virtual int take_socket_error(int fd) noexcept = 0;         // consumes it
  virtual bool process_exists(std::int64_t pid) noexcept = 0;
};

// Names of the registrations that are the library's own; real ones have index >= 1.
inline constexpr std::uint64_t kBell = 0;
inline constexpr std::uint64_t kTimer = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kWallTimer = std::uint64_t{2} << 32;
inline constexpr std::uint64_t kWatcher = std::uint64_t{3} << 32;
inline constexpr std::uint64_t kInnerSet = std::uint64_t{4} << 32;  // + set number << 40
inline constexpr std::uint64_t kOwnSet = std::uint64_t{5} << 32;
inline constexpr std::uint64_t kWatchedQueue = std::uint64_t{6} << 32;  // + queue number << 40

}  // namespace quay::core
