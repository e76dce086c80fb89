// SPDX-License-Identifier: BSD-2-Clause
//
// What: what a queue's descriptor answers to read, write, fstat, ioctl, fcntl and sendmsg.
// Contract: semantics/kqueue.md section 6; seeds dragonfly-kern_event.c (FIOASYNC, FIOSETOWN) and
//           netbsd-kern_event.c (KFILTER_BYNAME, KFILTER_BYFILTER, F_SETFL).
// Locking: a queue's mutex for what the queue knows; user memory is asked about first and touched
//          without it.
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/event.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kqueue/filters/filters.hpp"
#include "kqueue/kfilter.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {

// A number that was closed unseen (unhooked, or by the system call itself) may mean anything by now.
queue* system::meant_by(int fd) noexcept {
  queue* q = queue_at(fd);
  if (q == nullptr) return q;
  const std::uint32_t life = q->life();
  if (os_.is_set(fd)) return q;
  end_unseen(fd, *q, life);
  return nullptr;
}

long system::read(int fd, const iovec*, int) noexcept {
  return meant_by(fd) != nullptr ? -ENXIO : kAskKernel;
}
long system::write(int fd, const iovec*, int) noexcept {
  return meant_by(fd) != nullptr ? -ENXIO : kAskKernel;
}

int system::stat(int fd, struct stat& out) noexcept {
  queue* q = meant_by(fd);
  if (q == nullptr) return kAskKernel;
  core::queue::section hold(*q);
  if (!q->matches_locked(fd)) return kAskKernel;
  out = {};
  out.st_mode = S_IFIFO;
  out.st_blksize = sizeof(struct kevent);
  if (q->rules().stat_size_is_count) out.st_size = q->pending_locked();
  return 0;
}

int system::ioctl(int fd, unsigned long request, void* argument) noexcept {
  queue* q = meant_by(fd);
  if (q == nullptr) return kAskKernel;
  const dialect& d = q->rules();
  if (request == FIOCLEX || request == FIONCLEX) return kAskKernel;
  if (d.has_sigio && (request == FIOASYNC || request == FIOSETOWN)) {
    if (os_.readable_prefix(argument, sizeof(int)) < sizeof(int)) return -EFAULT;
    int value = 0;
    std::memcpy(&value, argument, sizeof value);
    return request == FIOASYNC ? -set_async(*q, value != 0) : -set_owner(*q, value);
  }
  if (d.has_filter_names && (request == KFILTER_BYNAME || request == KFILTER_BYFILTER)) {
    return -look_up_filter(d, request, argument);
  }
  return -ENOTTY;
}

int system::fcntl(int fd, int command, void* argument) noexcept {
  queue* q = meant_by(fd);
  if (q == nullptr) return kAskKernel;
  const dialect& d = q->rules();
  const auto value = reinterpret_cast<std::intptr_t>(argument);
  switch (command) {
    case F_SETFL: {
      if (d.set_flags_refused) return -ENOTTY;
      const int error = d.has_sigio ? set_async(*q, (value & O_ASYNC) != 0) : 0;
      return error != 0 ? -error : kAskKernel;
    }
    case F_SETOWN:
      return d.has_sigio ? -set_owner(*q, static_cast<int>(value)) : -ENOTTY;
    case F_GETOWN:
      return -ENOTTY;  // no system lets a queue be asked
    default:
      return kAskKernel;
  }
}

// The kernel knows, but for a bell that was left standing, or whose ring another thread decided
// upon before this one took the event. A signal handler may ask while its thread holds the mutex.
int system::poll(int fd, short events) noexcept {
  if (core::holds_mutex()) return kAskKernel;
  queue* q = meant_by(fd);
  if (q == nullptr) return kAskKernel;
  core::queue::section hold(*q);
  if (!q->matches_locked(fd)) return kAskKernel;
  q->hush_locked();
  if (!q->list_tells_all_locked()) return kAskKernel;
  return q->ready_count() != 0 ? events & (POLLIN | POLLRDNORM) : 0;
}

int system::answer(int fd, core::file_call what) noexcept {
  queue* q = what == core::file_call::epoll && !core::holds_mutex() ? meant_by(fd) : nullptr;
  if (q == nullptr) return kAskKernel;
  core::queue::section hold(*q);
  if (q->matches_locked(fd)) q->leave_no_bell_locked();
  return kAskKernel;
}

// A queue belongs to the process that made it.
int system::sending(int fd) noexcept {
  const queue* q = queue_at(fd);
  return q != nullptr ? q->rules().sending_refusal : 0;
}

// --- SIGIO ----------------------------------------------------------------------------------------

int system::set_async(queue& q, bool on) noexcept {
  if (on) {
    const int error = os_.watch_edges(q.descriptor(), *this, q.number());
    if (error != 0) return error;
  }
  core::queue::section hold(q);
  if (q.closed_locked()) return EBADF;
  q.set_async_locked(on);
  return 0;
}

int system::set_owner(queue& q, long pid) noexcept {
  if (pid != 0 && os_.send_sigio(pid, true) == ESRCH) return ESRCH;
  q.set_owner(pid);
  return 0;
}

void system::edge(std::uint32_t number) noexcept {
  queue* q = queue_number(number);
  if (q == nullptr) return;
  core::queue::section hold(*q);
  if (!q->closed_locked()) q->expect_edge_locked();
}

// --- names of filters -----------------------------------------------------------------------------

int system::look_up_filter(const dialect& d, unsigned long request, void* argument) noexcept {
  if (os_.writable_prefix(argument, sizeof(kfilter_mapping)) < sizeof(kfilter_mapping)) {
    return EFAULT;
  }
  kfilter_mapping map;
  std::memcpy(&map, argument, sizeof map);
  if (request == KFILTER_BYFILTER) {
    const auto number = static_cast<std::int32_t>(map.filter);
    const char* name = number > 0 ? name_of_filter(number) : name_of_filter(d, number);
    if (name == nullptr) return ENOENT;
    // As copyoutstr() does it: what fits is written, and no NUL when it does not.
    const std::size_t size = std::strlen(name) + 1;
    const std::size_t fits = size < map.len ? size : map.len;
    if (os_.writable_prefix(map.name, fits) < fits) return EFAULT;
    std::memcpy(map.name, name, fits);
    return fits == size ? 0 : ENAMETOOLONG;
  }
  constexpr std::size_t kLongest = 32;  // KFILTER_MAXNAME
  const std::size_t most = os_.readable_prefix(map.name, kLongest);
  const std::size_t length = most != 0 ? strnlen(map.name, most) : 0;
  if (length == most) return most < kLongest ? EFAULT : ENAMETOOLONG;
  int number = filter_named(d, map.name);
  if (number == 0) number = std::max(filter_named(map.name), 0);  // one that the program registered
  if (number == 0) return ENOENT;
  static_cast<kfilter_mapping*>(argument)->filter = static_cast<std::uint32_t>(number);
  return 0;
}

}  // namespace quay::kqueue
