// SPDX-License-Identifier: BSD-2-Clause
//
// What: see facilities.hpp.
#include "facilities.hpp"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdio>

namespace quay::tool {

namespace {

// Newer than the headers this may be compiled with.
constexpr long kPidfdOpen = 434;
constexpr long kCloseRange = 436;
constexpr long kEpollPwait2 = 441;
constexpr long kIoUringSetup = 425;
constexpr int kDupfdQuery = 1024 + 3;

// What probing says: 0 is there, otherwise the errno that says it is not.
int close_if_open(long fd) {
  if (fd < 0) return errno;
  close(static_cast<int>(fd));
  return 0;
}

int probe_epoll_pwait2() {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return errno;
  epoll_event event;
  const timespec zero = {};
  const long n = syscall(kEpollPwait2, epoll, &event, 1, &zero, nullptr, size_t{8});
  const int error = n < 0 ? errno : 0;
  close(epoll);
  return error;
}

int probe_eventfd() { return close_if_open(eventfd(0, EFD_CLOEXEC)); }

int probe_timerfd() { return close_if_open(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)); }

// No descriptor has such a number, so nothing is closed.
int probe_close_range() { return syscall(kCloseRange, UINT_MAX, UINT_MAX, 0) < 0 ? errno : 0; }

int probe_pidfd() { return close_if_open(syscall(kPidfdOpen, getpid(), 0)); }

int probe_membarrier() {
  const long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  if (commands < 0) return errno;
  constexpr long kWanted = MEMBARRIER_CMD_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED;
  return (commands & kWanted) == kWanted ? 0 : ENOSYS;
}

int probe_io_uring() {
  std::array<unsigned char, 120> parameters = {};  // struct io_uring_params
  return close_if_open(syscall(kIoUringSetup, 1, parameters.data()));
}

int probe_dupfd_query() {
  const int fd = eventfd(0, EFD_CLOEXEC);
  if (fd < 0) return errno;
  const int same = fcntl(fd, kDupfdQuery, fd);
  const int error = same < 0 ? errno : 0;
  close(fd);
  return error;
}

struct question {
  const char* name;
  const char* use;
  bool needed;
  int (*ask)();
};

constexpr question kQuestions[] = {
    {"eventfd", "wakes a thread that sleeps in the kernel", true, probe_eventfd},
    {"timerfd", "lets a queue with timers be polled", true, probe_timerfd},
    {"epoll_pwait2", "waits that end to the nanosecond instead of the millisecond", false,
     probe_epoll_pwait2},
    {"close_range", "closes many descriptors in one call", false, probe_close_range},
    {"pidfd", "tells of the end of a process", false, probe_pidfd},
    {"membarrier", "spares threads locked instructions; contended locks are slow without", false,
     probe_membarrier},
    {"io_uring", "asynchronous input and output", false, probe_io_uring},
    {"F_DUPFD_QUERY", "tells cheaply whether two descriptors are the same open file", false,
     probe_dupfd_query},
};

}  // namespace

std::vector<facility> probe_facilities() {
  std::vector<facility> all;
  for (const question& each : kQuestions) {
    const int error = each.ask();
    facility found{each.name, each.use, error == 0, each.needed, {}};
    if (error == ENOSYS || error == EINVAL) found.reason = "this kernel does not have it";
    if (error == EPERM || error == EACCES) found.reason = "the system or a sandbox forbids it";
    if (error != 0 && found.reason.empty()) found.reason = strerror(error);
    all.push_back(std::move(found));
  }
  return all;
}

kernel_release probe_kernel() {
  utsname name = {};
  uname(&name);
  unsigned major = 0;
  unsigned minor = 0;
  unsigned need_major = 0;
  unsigned need_minor = 0;
  // NOLINTNEXTLINE(cert-err34-c): a release without a number is version 0.0.
  sscanf(name.release, "%u.%u", &major, &minor);
  sscanf(kOldestKernel, "%u.%u", &need_major, &need_minor);
  return {name.release, major != need_major ? major > need_major : minor >= need_minor};
}

}  // namespace quay::tool
