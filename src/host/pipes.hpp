// SPDX-License-Identifier: BSD-2-Clause
//
// What: what pipes ask of Linux beyond core::host: shared memory, sleeping in it, and the kernel
//       pipe behind each of ours, whose ends tell who is still alive.
// Contract: functions return 0 or an errno, or a value that cannot be negative with -errno for
//           failure; the caller's errno is left alone.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace quay::host {

// Zeroed pages, touched as used, that children of fork share. Null: refused.
void* map_shared(std::size_t bytes) noexcept;
// Puts fresh pages where these were, which other processes keep.
void renew_shared(void* base, std::size_t bytes) noexcept;

// Memory that can be handed to another process: an object that nobody can shrink under who has it
// mapped, close-on-exec. Or -errno.
int make_object(std::size_t bytes) noexcept;
bool is_object(int fd, std::size_t bytes) noexcept;
// Puts the object where other memory of ours was; false: refused, and nothing changed.
bool map_object(int object, void* over, std::size_t bytes) noexcept;
// A second view of shared memory. Null: refused.
void* view_again(void* base, std::size_t bytes) noexcept;

// Sleeps while word == expected: 0 when woken, EINTR when a signal was handled. With
// sleep::every_signal also for handlers that restart calls; without, those leave the sleep
// undisturbed. sleep::doubting also returns 0 after a while. A point of cancellation.
enum class sleep : std::uint8_t { sound, every_signal, doubting };
int sleep_shared(std::atomic<std::uint32_t>& word, std::uint32_t expected, sleep how);
void wake_shared(std::atomic<std::uint32_t>& word) noexcept;  // all sleepers

std::int64_t coarse_wall() noexcept;
std::uint32_t this_cpu() noexcept;  // where the thread runs, or did a moment ago
std::size_t physical_memory() noexcept;
void raise_sigpipe() noexcept;  // in the calling thread
void raise_sigio(int owner) noexcept;

int make_kernel_pipe(int fds[2], int flags) noexcept;
bool is_nonblocking(int fd) noexcept;
int keep_alive(int fd) noexcept;                // a duplicate, close-on-exec
int other_side(int fd, bool writing) noexcept;  // the same pipe, opened anew at its other side
// ppoll without the hooks in between; null: for ever, or the thread's own mask.
int kernel_poll(pollfd* fds, std::size_t n, const timespec* timeout, const sigset_t* mask) noexcept;
// The same, and a point of cancellation.
int await_poll(pollfd* fds, std::size_t n, const timespec* timeout, const sigset_t* mask);
bool hung_up(int fd) noexcept;           // nobody has the other side open
bool is_nameless_pipe(int fd) noexcept;  // of a fifo, that pipe() made it
// One token fills a shortened pipe.
void shorten_kernel_pipe(int fd) noexcept;
bool leave_token(int writing_end) noexcept;  // false: it was full
bool take_tokens(int reading_end) noexcept;  // false: there were none
// Room for a whole ring, and putting a piece of one there.
void widen_kernel_pipe(int fd) noexcept;
void put_into_kernel_pipe(int writing_end, const void* bytes, std::size_t n) noexcept;
bool survives_exec(int fd) noexcept;
int kernel_stat(int fd, struct stat& out) noexcept;
long kernel_control(int fd, int command, void* argument) noexcept;
int make_fifo(const char* path, mode_t mode) noexcept;
// These three may wait, and are points of cancellation.
int open_path(const char* path, int flags);
long kernel_read(int fd, const iovec* parts, int count);
long kernel_write(int fd, const iovec* parts, int count);
long kernel_ioctl(int fd, unsigned long request, void* argument) noexcept;

// One thread of the process that sleeps until the other sides of pipes are gone.
class hangup_watch {
 public:
  using report = void (*)(std::uint64_t name);
  // Reports once, from the thread, when nobody has fd's other side open. The thread starts with
  // the first watch.
  int watch(int fd, std::uint64_t name, report tell) noexcept;
  void forget(int fd) noexcept;
  void reset_after_fork() noexcept;

 private:
  int start(report tell) noexcept;

  std::atomic<int> set_{-1};
};

}  // namespace quay::host
