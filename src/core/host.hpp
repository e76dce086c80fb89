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
#include "core/signals.hpp"

namespace quay::core {

inline constexpr std::int64_t kForever = -1;  // a wait without deadline, nanoseconds otherwise

inline constexpr std::uint64_t kInetMark = 1;

// What happens to a watched file.
namespace file_change {
inline constexpr std::uint32_t kModified = 0x1;    // content or size
inline constexpr std::uint32_t kAttributes = 0x2;  // mode, owner, times, number of links
inline constexpr std::uint32_t kMoved = 0x4;       // has another name
inline constexpr std::uint32_t kUnmounted = 0x8;   // reported always, need not be asked for
inline constexpr std::uint32_t kOpened = 0x10;
inline constexpr std::uint32_t kClosed = 0x20;       // by a descriptor that could not write
inline constexpr std::uint32_t kClosedWrite = 0x40;  // by one that could
inline constexpr std::uint32_t kRead = 0x80;
inline constexpr std::uint32_t kEntries = 0x100;     // directory: an entry came, went, was renamed
inline constexpr std::uint32_t kEntryMoved = 0x200;  // with kEntries: moved in or out
inline constexpr std::uint32_t kSubdirectory = 0x400;  // with kEntries: a directory came or went
inline constexpr std::uint32_t kLost = 0x800;  // reports were lost: anything may have happened
inline constexpr std::uint32_t kSubdirectoryIn = 0x1000;  // with kEntryMoved: it may replace one
}  // namespace file_change

struct file_event {
  std::int32_t watch;  // -1: any
  std::uint32_t what;  // file_change bits
};

// One record of what processes do.
struct process_event {
  enum class kind : std::uint8_t { forked, executed, ended, lost };
  kind what;
  std::int64_t pid;
  std::int64_t child;  // forked
  int status;          // ended, in wait's form
};

// What a file is like now, as far as changes tell what happened to it.
struct file_state {
  std::int64_t size;
  std::uint32_t links;
  std::uint32_t access;  // mode and owner, mixed
  bool directory;
};

// What is known of a descriptor's object.
struct object_facts {
  object kind;
  bool readable;  // by its access mode; both ends of a pipe without a name
  bool writable;
  std::uint64_t identity;  // files: device and inode, mixed; internet sockets: kInetMark
};

// Who is told that a set has become ready, by a thread that does nothing else.
class edge_listener {
 public:
  virtual void edge(std::uint32_t cookie) noexcept = 0;

 protected:
  constexpr edge_listener() noexcept = default;
  ~edge_listener() = default;
};
inline constexpr int kFileEvents = 256;  // room that watcher_read needs

// Rings of one bell that are taken back in a row, with nobody having slept, before one may stand;
// docs/decisions/0005-late-bell.md.
inline constexpr std::uint32_t kUnheardBells = 16;

class host {
 public:
  virtual ~host() = default;

  // How many bytes from `p` on, up to `n`, can be read or written by this process.
  virtual std::size_t readable_prefix(const void* p, std::size_t n) noexcept = 0;
  virtual std::size_t writable_prefix(void* p, std::size_t n) noexcept = 0;

  // Clocks, nanoseconds.
  virtual std::int64_t monotonic() noexcept = 0;
  virtual std::int64_t wall() noexcept = 0;
  // monotonic() of some milliseconds ago at most, at a quarter of its price.
  virtual std::int64_t monotonic_tick() noexcept = 0;

  // Readiness sets (epoll).
  virtual int set_create(bool close_on_exec) noexcept = 0;
  virtual bool is_set(int fd) noexcept = 0;
  virtual bool is_same_file(int a, int b) noexcept = 0;
  // The next number above `last` (-1: the first) of the process for the set `fd`, but for that one; -1 when there is
  // none. Looks at every number.
  virtual int duplicate_of(int fd, int last) noexcept = 0;
  // `number`, which is open, becomes a number of `set`; its close-on-exec flag stays.
  virtual bool put_in_place(int set, int number) noexcept = 0;
  virtual int set_add(int set, int fd, std::uint32_t events, std::uint64_t name) noexcept = 0;
  virtual int set_modify(int set, int fd, std::uint32_t events, std::uint64_t name) noexcept = 0;
  virtual int set_remove(int set, int fd) noexcept = 0;
  // Waits up to `timeout` (0 = look only, kForever) and returns how many reports were stored. A
  // wait is a cancellation point: it may be unwound, even when reports have been stored.
  virtual int set_wait(int set, epoll_event* out, int most, std::int64_t timeout) = 0;

  // Makes the doorbell, if there is none yet, so that no ring fails for want of a descriptor.
  // Returns 0 or an errno.
  virtual int bell_create() noexcept = 0;
  // The doorbell: makes `set` report kBell once. `every_waiter` makes it report until the set is
  // closed, so that all who wait in it wake.
  virtual void ring(int set, bool every_waiter) noexcept = 0;
  // Takes a ring back that was not heard; of this process's bell only.
  virtual void hush(int set) noexcept = 0;

  // Kernel timers (for queues that somebody may poll). Programming takes an expiration back that
  // nobody has seen; INT64_MAX stands for never.
  virtual int timer_create(bool wall_clock) noexcept = 0;
  virtual int timer_program(int timer, std::int64_t deadline) noexcept = 0;

  // Files (inotify). watch_add watches the file, or the directory that the directory `fd` is in,
  // for `what` besides what it was watched for, and returns the watch's number.
  virtual int watcher_create() noexcept = 0;
  virtual int watch_add(int watcher, int fd, std::uint32_t what, bool parent) noexcept = 0;
  virtual void watch_remove(int watcher, int watch) noexcept = 0;
  // Stores what is pending, at most `most` events (kFileEvents or more), and returns how many.
  virtual int watcher_read(int watcher, file_event* out, int most) noexcept = 0;
  // Returns an errno: EBADF, or EINVAL when the descriptor's object has no place in a file system.
  virtual int file_now(int fd, file_state& out) noexcept = 0;

  // Tells the one listener of every edge of the set until it is closed; a child of fork forgets
  // all. Returns an errno: no thread or descriptor to be had.
  virtual int watch_edges(int set, edge_listener& listener, std::uint32_t cookie) noexcept = 0;
  virtual void forget_edges() noexcept = 0;
  // Sends SIGIO to a process, or to a process group if negative; 0 only asks. Returns an errno.
  virtual int send_sigio(long owner, bool ask_only) noexcept = 0;

  // Descriptors.
  virtual bool is_open(int fd) noexcept = 0;
  virtual void discard(int fd) noexcept = 0;
  virtual int examine(int fd, object_facts& out) noexcept = 0;
  virtual std::uint32_t poll_now(int fd, std::uint32_t events) noexcept = 0;
  virtual std::int64_t bytes_to_read(int fd, object kind) noexcept = 0;  // -1: no such figure
  // A TCP socket whose next byte is an urgent one: what a read gives, which is not in the figure above.
  virtual std::int64_t bytes_behind_mark(int fd) noexcept = 0;
  // A TCP socket that is nothing now, but listened or was connected: Linux shows it as it shows a
  // socket that never did.
  virtual bool has_ended(int fd) noexcept = 0;
  virtual std::int64_t backlog(int fd) noexcept = 0;  // listening sockets
  virtual std::int64_t counted(int fd) noexcept = 0;  // eventfd, timerfd: the counter; -1: no such
  virtual std::int64_t room_to_write(int fd, object kind) noexcept = 0;
  virtual std::int64_t unsent(int fd) noexcept = 0;           // bytes in the send buffer, -1: none
  virtual bool sending_is_shut(int fd) noexcept = 0;          // own shutdown(SHUT_WR)
  virtual std::int64_t distance_to_end(int fd) noexcept = 0;  // size - offset of a file
  virtual int take_socket_error(int fd) noexcept = 0;         // consumes it

  // The signals of the process; null where they cannot be counted.
  virtual signal_counter* signals() noexcept { return nullptr; }

  // Processes. process_open returns a descriptor that means the process and no later one of its
  // number, and reports input when it has ended; -ESRCH when there is none.
  virtual int process_open(std::int64_t pid) noexcept = 0;
  virtual bool process_ended(int process) noexcept = 0;
  // The status of one that has ended, in wait's form; false when the kernel does not tell it.
  virtual bool process_status(int process, std::int64_t pid, int& status) noexcept = 0;
  virtual bool is_process(int fd) noexcept = 0;
  virtual bool may_signal(std::int64_t pid) noexcept = 0;
  // What all processes do: a descriptor, or -EOPNOTSUPP where the kernel does not tell.
  virtual int process_events_open() noexcept = 0;
  virtual void process_events_close(int events) noexcept = 0;
  virtual int process_events_read(int events, process_event* out, int most) noexcept = 0;

  // The process's mounts: a descriptor that reports EPOLLPRI when one came or went. mounts_list
  // stores what identifies each, at most `most`, and returns how many there are, or -errno.
  virtual int mounts_open() noexcept = 0;
  virtual std::int64_t mounts_list(int mounts, std::uint64_t* out, std::size_t most) noexcept = 0;
};

// Names of the registrations that are the library's own; real ones have index >= 1.
inline constexpr std::uint64_t kBell = 0;
inline constexpr std::uint64_t kTimer = std::uint64_t{1} << 32;
inline constexpr std::uint64_t kWallTimer = std::uint64_t{2} << 32;
inline constexpr std::uint64_t kWatcher = std::uint64_t{3} << 32;
inline constexpr std::uint64_t kInnerSet = std::uint64_t{4} << 32;  // + set number << 40
inline constexpr std::uint64_t kOwnSet = std::uint64_t{5} << 32;
inline constexpr std::uint64_t kWatchedQueue = std::uint64_t{6} << 32;  // + queue number << 40
inline constexpr std::uint64_t kProcesses = std::uint64_t{7} << 32;
inline constexpr std::uint64_t kProcessEvents = std::uint64_t{8} << 32;  // in the set of processes
inline constexpr std::uint64_t kMounts = std::uint64_t{9} << 32;
inline constexpr std::uint64_t kSignalWatch = std::uint64_t{10} << 32;

}  // namespace quay::core
