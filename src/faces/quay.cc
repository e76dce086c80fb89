// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay.h: queues of a chosen dialect, closing, tunables and figures.
// Contract: include/quay/quay.h.
#include <quay/quay.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/event.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "faces/hook_points.hpp"
#include "faces/process_system.hpp"

using quay::faces::process_system;

int quay_kqueue(int dialect, int flags) {
  const quay::kqueue::dialect* d = quay::kqueue::find_dialect(dialect);
  constexpr int kKnown = O_CLOEXEC | O_NONBLOCK | QUAY_PRIVATE | KQUEUE_CLOEXEC | KQUEUE_CPONFORK;
  if (d == nullptr || (flags & ~kKnown) != 0) {
    errno = EINVAL;
    return -1;
  }
  const bool close_on_exec = (flags & (O_CLOEXEC | KQUEUE_CLOEXEC)) != 0;
  const int fd = process_system().open(*d, close_on_exec, (flags & QUAY_PRIVATE) != 0,
                                       (flags & KQUEUE_CPONFORK) != 0);
  if (fd >= 0) return fd;
  errno = -fd;
  return -1;
}

int quay_expose(int fd) {
  if (quay::port::system* ports = quay::faces::existing_ports(); ports != nullptr) {
    if (quay::port::port* p = ports->at(fd); p != nullptr) return p->expose(), 0;
  }
  quay::kqueue::system* queues = quay::faces::existing_system();
  const int error = queues != nullptr ? queues->expose(fd) : EBADF;
  if (error == 0) return 0;
  errno = error;
  return -1;
}

int quay_close(int fd) {
  // With the hooks in front, close() announces itself; announcing twice would be one too many.
  if (process_system().hooked()) return close(fd);
  // A point of cancellation, but not between the announcements.
  pthread_testcancel();
  int state = 0;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  quay_hook_closing(fd);
  const int result = close(fd);
  quay_hook_closed(fd);
  pthread_setcancelstate(state, nullptr);
  return result;
}

int quay_tunable_set(const char* name, long value) {
  const int error = name != nullptr ? quay::faces::set_tunable(name, value) : EFAULT;
  if (error == 0) return 0;
  errno = error;
  return -1;
}

long quay_tunable_get(const char* name) {
  if (name == nullptr) {
    errno = EFAULT;
    return -1;
  }
  const long value = quay::faces::get_tunable(name);
  if (value < 0) errno = ENOENT;
  return value;
}

int quay_stats_get(struct quay_stats* out, size_t size) {
  if (out == nullptr) {
    errno = EFAULT;
    return -1;
  }
  quay::kqueue::system& sys = process_system();
  const quay::core::counters& c = sys.count();
  const quay::kqueue::system::totals t = sys.sum();
  const auto read = [](const std::atomic<std::uint64_t>& a) {
    return a.load(std::memory_order_relaxed);
  };
  struct quay_stats s {};
  s.version = QUAY_STATS_VERSION;
  s.hooked = sys.hooked() ? 1 : 0;
  s.queues = read(c.queues);
  s.notes = t.notes;
  s.timers = read(c.timers);
  s.events_delivered = t.delivered;
  s.kevent_calls = t.calls;
  s.harvests = t.harvests;
  s.sleeps = read(c.sleeps);
  s.spin_hits = read(c.spin_hits);
  s.doorbells = read(c.doorbells);
  s.epoll_ctls = read(c.epoll_ctls);
  s.lazy_disarms = read(c.lazy_disarms);
  s.identity_checks = read(c.identity_checks);
  s.stale_dropped = read(c.stale_dropped);
  s.rebuilds = read(c.rebuilds);
  s.timer_programmings = read(c.timer_programmings);
  s.forks_survived = read(c.forks_survived);
  if (quay::port::system* ports = quay::faces::existing_ports(); ports != nullptr) {
    const quay::port::system::totals p = ports->sum();
    s.ports = p.ports;
    s.port_queued = p.queued;
    s.port_waiters = p.waiters;
    s.port_sent = p.sent;
    s.port_delivered = p.delivered;
    s.port_denied = p.denied;
    s.port_cancelled = p.cancelled;
    s.port_refused = p.refused;
  }
  std::memcpy(out, &s, std::min(size, sizeof s));
  return 0;
}
