// SPDX-License-Identifier: BSD-2-Clause
//
// What: epoll, the doorbell, kernel timers, inotify and the clocks of the real host.
// Contract: core/host.hpp. Descriptors are made close-on-exec but for a queue's own, where the
//           caller decides.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <ctime>
#include <new>

#include "host/errno_guard.hpp"
#include "host/linux_host.hpp"

namespace quay::host {
namespace {

std::int64_t read_clock(clockid_t clock) noexcept {
  timespec t{};
  clock_gettime(clock, &t);
  return t.tv_sec * std::int64_t{1000000000} + t.tv_nsec;
}

timespec to_timespec(std::int64_t ns) noexcept {
  return {static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
}

int control(int set, int op, int fd, std::uint32_t events, std::uint64_t name) noexcept {
  epoll_event e{};
  e.events = events;
  e.data.u64 = name;
  return error_of(epoll_ctl(set, op, fd, &e));
}

}  // namespace

linux_host& linux_host::instance() noexcept {
  // Never destroyed: threads may wait in queues while the process exits.
  alignas(linux_host) static unsigned char storage[sizeof(linux_host)];
  static linux_host* const only = ::new (static_cast<void*>(storage)) linux_host;
  return *only;
}

std::int64_t linux_host::monotonic() noexcept { return read_clock(CLOCK_MONOTONIC); }
std::int64_t linux_host::wall() noexcept { return read_clock(CLOCK_REALTIME); }

// --- sets -----------------------------------------------------------------------------------------

int linux_host::set_create(bool close_on_exec) noexcept {
  errno_guard keep;
  const int fd = epoll_create1(close_on_exec ? EPOLL_CLOEXEC : 0);
  return fd >= 0 ? fd : -errno;
}

bool linux_host::is_set(int fd) noexcept {
  errno_guard keep;
  // Removing what was never added changes nothing, and only an epoll answers "not there".
  const int stranger = eventfd(0, EFD_CLOEXEC);
  if (stranger < 0) return false;
  const bool yes = control(fd, EPOLL_CTL_DEL, stranger, 0, 0) == ENOENT;
  syscall(SYS_close, stranger);
  return yes;
}

int linux_host::set_add(int set, int fd, std::uint32_t events, std::uint64_t name) noexcept {
  errno_guard keep;
  return control(set, EPOLL_CTL_ADD, fd, events, name);
}

int linux_host::set_modify(int set, int fd, std::uint32_t events, std::uint64_t name) noexcept {
  errno_guard keep;
  return control(set, EPOLL_CTL_MOD, fd, events, name);
}

int linux_host::set_remove(int set, int fd) noexcept {
  errno_guard keep;
  return control(set, EPOLL_CTL_DEL, fd, 0, 0);
}

int linux_host::set_wait(int set, epoll_event* out, int most, std::int64_t timeout) noexcept {
  errno_guard keep;
  if (timeout <= 0) {
    const int n = epoll_wait(set, out, most, timeout == 0 ? 0 : -1);
    return n >= 0 ? n : -errno;
  }
  static std::atomic<bool> no_pwait2{false};
#ifdef SYS_epoll_pwait2
  if (!no_pwait2.load(std::memory_order_relaxed)) {
    const timespec left = to_timespec(timeout);
    const int n = epoll_pwait2(set, out, most, &left, nullptr);
    if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return n >= 0 ? n : -errno;
    no_pwait2.store(true, std::memory_order_relaxed);
  }
#endif
  // Whole milliseconds, rounded up so that a wait never ends early.
  const std::int64_t ms = (timeout + 999999) / 1000000;
  const int n = epoll_wait(set, out, most, ms < INT_MAX ? static_cast<int>(ms) : INT_MAX);
  return n >= 0 ? n : -errno;
}

// --- the doorbell ---------------------------------------------------------------------------------

int linux_host::clapper(bool fresh) noexcept {
  int fd = clapper_.load(std::memory_order_acquire);
  if (fd >= 0 && !fresh) return fd;
  const int made = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made < 0) return -1;
  if (clapper_.compare_exchange_strong(fd, made, std::memory_order_acq_rel)) return made;
  syscall(SYS_close, made);
  return clapper_.load(std::memory_order_acquire);
}

void linux_host::ring(int set, bool every_waiter) noexcept {
  errno_guard keep;
  const std::uint32_t bits = EPOLLIN | (every_waiter ? 0u : static_cast<std::uint32_t>(EPOLLET));
  for (const bool fresh : {false, true}) {
    const int fd = clapper(fresh);
    if (fd < 0) return;
    int error = control(set, EPOLL_CTL_MOD, fd, bits, core::kBell);
    if (error == ENOENT) error = control(set, EPOLL_CTL_ADD, fd, bits, core::kBell);
    // EBADF or EPERM with a living set: the program closed our eventfd; make another.
    if (error == 0 || fcntl(set, F_GETFD) < 0) return;
  }
}

void linux_host::hush(int set) noexcept {
  errno_guard keep;
  control(set, EPOLL_CTL_MOD, clapper_.load(std::memory_order_acquire), 0, core::kBell);
}

// --- timers ---------------------------------------------------------------------------------------

int linux_host::timer_create(bool wall_clock) noexcept {
  errno_guard keep;
  const int fd =
      timerfd_create(wall_clock ? CLOCK_REALTIME : CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  return fd >= 0 ? fd : -errno;
}

int linux_host::timer_program(int timer, std::int64_t deadline) noexcept {
  errno_guard keep;
  itimerspec when{};
  when.it_value = to_timespec(deadline > 0 ? deadline : 1);  // zero would disarm
  return error_of(timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, nullptr));
}

// --- files that grow ------------------------------------------------------------------------------

int linux_host::watcher_create() noexcept {
  errno_guard keep;
  const int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  return fd >= 0 ? fd : -errno;
}

int linux_host::watch_add(int watcher, int fd) noexcept {
  errno_guard keep;
  char path[40];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const int watch = inotify_add_watch(watcher, path, IN_MODIFY);
  return watch >= 0 ? watch : -errno;
}

void linux_host::watch_remove(int watcher, int watch) noexcept {
  errno_guard keep;
  inotify_rm_watch(watcher, watch);
}

int linux_host::watcher_read(int watcher, std::int32_t* fired, int most) noexcept {
  errno_guard keep;
  alignas(inotify_event) char buffer[4096];
  const int fits = static_cast<int>(sizeof buffer / (sizeof(inotify_event) + NAME_MAX + 1));
  int n = 0;
  while (n + fits <= most) {
    const ssize_t got = read(watcher, buffer, sizeof buffer);
    if (got <= 0) break;
    for (ssize_t at = 0; at < got;) {
      const auto* e = reinterpret_cast<const inotify_event*>(buffer + at);
      if (n < most) fired[n++] = (e->mask & IN_Q_OVERFLOW) ? -1 : e->wd;
      at += static_cast<ssize_t>(sizeof(inotify_event) + e->len);
    }
  }
  return n;
}

}  // namespace quay::host
