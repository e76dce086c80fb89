// SPDX-License-Identifier: BSD-2-Clause
//
// What: epoll, the doorbell, kernel timers and the clocks of the real host.
// Contract: core/host.hpp. Descriptors are made close-on-exec but for a queue's own, where the
//           caller decides. What discard() closes is made by the system call itself, too: a
//           sanitizer that saw one half would take the next use of the number for a race.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <ctime>
#include <new>
#include <string_view>

#include "host/errno_guard.hpp"
#include "host/linux_host.hpp"
#include "host/system_call.hpp"

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

// The system call itself: libc's would be taken by the thread sanitizer for a use of a descriptor
// that races its close, which is what verify_locked() is there for.
int control(int set, int op, int fd, std::uint32_t events, std::uint64_t name) noexcept {
  epoll_event e{};
  e.events = events;
  e.data.u64 = name;
  return static_cast<int>(-system_call(SYS_epoll_ctl, set, op, fd, &e));
}

bool is_stamped(int fd) noexcept {
  return system_call(SYS_fcntl, fd, F_GETSIG) == linux_host::kClapperStamp;
}

// What the kernel calls its epoll sets: asks without a descriptor of our own.
bool is_called_a_set(int fd) noexcept {
  char link[40];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  char name[40];
  constexpr std::string_view kSet = "anon_inode:[eventpoll]";
  const long n = syscall(SYS_readlinkat, AT_FDCWD, link, name, sizeof name);
  return n > 0 && std::string_view(name, static_cast<std::size_t>(n)) == kSet;
}

// A look, which is no cancellation point.
int look(int set, epoll_event* out, int most) noexcept {
#ifdef SYS_epoll_wait
  return static_cast<int>(system_call(SYS_epoll_wait, set, out, most, 0));
#else
  return static_cast<int>(system_call(SYS_epoll_pwait, set, out, most, 0, nullptr));
#endif
}

}  // namespace

linux_host& linux_host::instance() noexcept {
  // Never destroyed: threads may wait in queues while the process exits.
  alignas(linux_host) static unsigned char storage[sizeof(linux_host)];
  static linux_host* const only = ::new (static_cast<void*>(storage)) linux_host;
  return *only;
}

std::int64_t linux_host::monotonic() noexcept { return read_clock(CLOCK_MONOTONIC); }
std::int64_t linux_host::monotonic_tick() noexcept { return read_clock(CLOCK_MONOTONIC_COARSE); }
std::int64_t linux_host::wall() noexcept { return read_clock(CLOCK_REALTIME); }

// --- sets -----------------------------------------------------------------------------------------

int linux_host::set_create(bool close_on_exec) noexcept {
  errno_guard keep;
  const int fd = static_cast<int>(syscall(SYS_epoll_create1, close_on_exec ? EPOLL_CLOEXEC : 0));
  return fd >= 0 ? fd : -errno;
}

bool linux_host::is_set(int fd) noexcept {
  errno_guard keep;
  // Removing what was never added changes nothing, and only an epoll answers "not there".
  const int stranger = static_cast<int>(syscall(SYS_eventfd2, 0, EFD_CLOEXEC));
  if (stranger < 0) return is_called_a_set(fd);
  const bool yes = control(fd, EPOLL_CTL_DEL, stranger, 0, 0) == ENOENT;
  syscall(SYS_close, stranger);
  return yes;
}

int linux_host::set_add(int set, int fd, std::uint32_t events, std::uint64_t name) noexcept {
  // The program's own file on that number must not be taken for the bell.
  if (int mine = fd; clapper_.load(std::memory_order_relaxed) == fd && !is_stamped(fd)) {
    clapper_.compare_exchange_strong(mine, -1, std::memory_order_relaxed);
  }
  return control(set, EPOLL_CTL_ADD, fd, events, name);
}

int linux_host::set_modify(int set, int fd, std::uint32_t events, std::uint64_t name) noexcept {
  return control(set, EPOLL_CTL_MOD, fd, events, name);
}

int linux_host::set_remove(int set, int fd) noexcept {
  return control(set, EPOLL_CTL_DEL, fd, 0, 0);
}

int linux_host::set_wait(int set, epoll_event* out, int most, std::int64_t timeout) {
  if (timeout == 0) return look(set, out, most);
  errno_guard keep;
  if (timeout < 0) {
    const int n = epoll_wait(set, out, most, -1);
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
  const int made = static_cast<int>(syscall(SYS_eventfd2, 1, EFD_CLOEXEC | EFD_NONBLOCK));
  if (made < 0) return -1;
  fcntl(made, F_SETSIG, kClapperStamp);
  if (clapper_.compare_exchange_strong(fd, made, std::memory_order_acq_rel)) return made;
  syscall(SYS_close, made);
  return clapper_.load(std::memory_order_acquire);
}

int linux_host::bell_create() noexcept {
  errno_guard keep;
  return clapper(false) >= 0 ? 0 : errno;
}

void linux_host::ring(int set, bool every_waiter) noexcept {
  errno_guard keep;
  const std::uint32_t bits = EPOLLIN | (every_waiter ? 0u : static_cast<std::uint32_t>(EPOLLET));
  for (const bool fresh : {false, true}) {
    const int fd = clapper(fresh);
    if (fd < 0) return;
    int error = control(set, EPOLL_CTL_MOD, fd, bits, core::kBell);
    if (error == ENOENT && is_stamped(fd)) {
      error = control(set, EPOLL_CTL_ADD, fd, bits, core::kBell);
    }
    // An error with a living set: the program closed our eventfd; make another.
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
  if (deadline != INT64_MAX) when.it_value = to_timespec(deadline > 0 ? deadline : 1);
  return error_of(timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, nullptr));
}

}  // namespace quay::host
