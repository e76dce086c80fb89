// SPDX-License-Identifier: BSD-2-Clause
//
// What: what a named pipe's descriptor answers; see named.hpp.
// Contract: semantics/pipes-signalfd.md A7, the generation rule: the end of file is not shown to
//           who opened the pipe when no writer was there, until one has come and gone. The kernel
//           follows the same rule, in poll only. To the seed a read finds the end all the same, once
//           any reader was there to see it: we know of those in this process.
#include "pipe/named.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "host/linux_host.hpp"
#include "host/pipes.hpp"
#include "pipe/sigio.hpp"

namespace quay::pipe {
namespace {

constexpr timespec kNow{0, 0};
constexpr int kReadEvents = POLLIN | POLLPRI | POLLRDNORM | POLLRDBAND;

// What the number is now: without hooks it may have been closed, and be anything.
struct found {
  bool ours = false;
  bool reads = false;
  bool writes = false;
};
found look_at(int fd) noexcept {
  struct stat st {};
  if (host::kernel_stat(fd, st) != 0 || !S_ISFIFO(st.st_mode)) return {};
  const long flags = host::kernel_control(fd, F_GETFL, nullptr);
  if (flags < 0) return {};
  const auto mode = static_cast<int>(flags) & O_ACCMODE;
  return {true, mode != O_WRONLY, mode != O_RDONLY};
}

short kernel_shows(int fd) noexcept {
  pollfd p{fd, POLLIN | POLLOUT, 0};
  return host::kernel_poll(&p, 1, &kNow, nullptr) < 0 ? static_cast<short>(POLLNVAL) : p.revents;
}

// False: a signal was handled.
bool wait_for_bytes(int fd) {
  pollfd p{fd, POLLIN, 0};
  return host::await_poll(&p, 1, nullptr, nullptr) >= 0;
}

bool at_end(int fd) noexcept { return (kernel_shows(fd) & POLLHUP) != 0; }
bool widowed(int fd) noexcept { return (kernel_shows(fd) & POLLERR) != 0; }

int bytes_in(int fd) noexcept {
  int n = 0;
  return host::kernel_ioctl(fd, FIONREAD, &n) == 0 ? n : 0;
}

}  // namespace

// --- who else has the pipe ------------------------------------------------------------------------

bool named::take_in(int fd) noexcept {
  if (!descriptors_.assign(fd, *this)) return false;
  int before = highest_.load();
  while (before < fd && !highest_.compare_exchange_weak(before, fd)) {
  }
  return true;
}

template <class F>
bool named::any_of_its_file(int fd, F f) noexcept {
  struct stat file {};
  if (host::kernel_stat(fd, file) != 0) return false;
  const int last = highest_.load();
  for (int n = 0; n <= last; ++n) {
    if (descriptors_.owner_of(n) != this) continue;
    struct stat st {};
    const bool same =
        host::kernel_stat(n, st) == 0 && st.st_ino == file.st_ino && st.st_dev == file.st_dev;
    if (same && f(n)) return true;
  }
  return false;
}

void named::tell_notes(int fd) noexcept {
  if (!observed_.load()) return;
  any_of_its_file(fd, [this](int each) {
    descriptors_.changed(each);
    return false;
  });
}

// Whether a writer of ours waits for a reader to come back.
bool named::leaves_widows(const char* path) {
  if (!observed_.load()) return false;
  const int there = host::open_path(path, O_PATH | O_CLOEXEC);
  if (there < 0) return false;
  const bool any = any_of_its_file(there, widowed);
  host::linux_host::instance().discard(there);
  return any;
}

// --- calls ----------------------------------------------------------------------------------------

int named::open(const char* path, int flags) {
  if ((flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) != 0) return -EINVAL;
  const bool reads = (flags & O_ACCMODE) != O_WRONLY && (flags & O_PATH) == 0;
  const bool awaited = reads && leaves_widows(path);
  const int fd = host::open_path(path, flags);
  if (fd < 0 || (flags & O_PATH) != 0 || !look_at(fd).ours) return fd;
  if (!take_in(fd)) {
    host::linux_host::instance().discard(fd);
    return -ENOMEM;
  }
  if (awaited) tell_notes(fd);
  return fd;
}

long named::read(int fd, const iovec* parts, int count) {
  for (;;) {
    const long n = host::kernel_read(fd, parts, count);
    if (n > 0) tell_notes(fd);
    if (n != 0 || !look_at(fd).ours) return n;
    // Nothing was asked for, there is something after all, or the end of file is to be seen.
    std::size_t wanted = 0;
    for (int i = 0; i < count; ++i) wanted += parts[i].iov_len;
    const short shows = kernel_shows(fd);
    if (wanted == 0 || (shows & (POLLHUP | POLLNVAL)) != 0) return 0;
    if ((shows & POLLIN) != 0) continue;
    if (any_of_its_file(fd, at_end)) return 0;
    if (host::is_nonblocking(fd)) return -EAGAIN;
    if (!wait_for_bytes(fd)) return -EINTR;
  }
}

long named::write(int fd, const iovec* parts, int count) {
  const long n = host::kernel_write(fd, parts, count);
  if (n > 0) tell_notes(fd);
  // To write nothing is refused, too, where nobody reads.
  if (n != 0 || !look_at(fd).writes || !widowed(fd)) return n;
  host::raise_sigpipe();
  return -EPIPE;
}

// The kernel's pipes know SIGIO, but not all of the requests that name its owner.
int named::ioctl(int fd, unsigned long request, void* argument) noexcept {
  const found what = look_at(fd);
  const bool counts = request == FIONREAD && !what.reads;
  const bool sets = names_sigio_owner(request);
  const bool gets = asks_for_sigio_owner(request);
  if (!what.ours || !(counts || sets || gets)) return kAskKernel;
  auto& os = host::linux_host::instance();
  auto* number = static_cast<int*>(argument);
  const std::size_t there = sets ? os.readable_prefix(number, sizeof *number)
                                 : os.writable_prefix(number, sizeof *number);
  if (there != sizeof *number) return -EFAULT;
  if (counts) {
    *number = 0;
    return 0;
  }
  if (sets) {
    const std::intptr_t owner = sigio_owner(request, *number);
    return static_cast<int>(host::kernel_control(fd, F_SETOWN, reinterpret_cast<void*>(owner)));
  }
  f_owner_ex owner{};
  const long error = host::kernel_control(fd, F_GETOWN_EX, &owner);
  if (error == 0) {
    *number = sigio_owner(request, owner.type == F_OWNER_PGRP ? -owner.pid : owner.pid);
  }
  return static_cast<int>(error);
}

// To the seed a named pipe is a file that may be truncated, to no effect.
int named::answer(int fd, core::file_call what) noexcept {
  const found now = look_at(fd);
  if (!now.ours || what != core::file_call::truncate) return kAskKernel;
  return now.writes ? 0 : -EINVAL;
}

// The kernel says POLLHUP to readers and POLLERR to writers; to the seed both are the end of file,
// which also reads.
int named::poll(int fd, short events) noexcept {
  const found what = look_at(fd);
  if (!what.ours) return kAskKernel;
  constexpr int kIn = POLLIN | POLLRDNORM;
  constexpr int kOut = POLLOUT | POLLWRNORM;
  const short shows = kernel_shows(fd);
  bool ended = (shows & (POLLHUP | POLLERR)) != 0;
  // The end is kept from who asks for bytes only.
  if (what.reads && (events & kReadEvents) == 0) ended = ended || any_of_its_file(fd, at_end);
  int ready = 0;
  if (what.reads && (ended || (shows & POLLIN) != 0)) ready |= events & kIn;
  if (what.writes && (ended || (shows & POLLOUT) != 0)) ready |= events & kOut;
  return ended ? ready | POLLHUP : ready;
}

// Of what it is not open for nothing is ever ready.
bool named::observe(int fd, bool writing, core::observation& out) noexcept {
  const found what = look_at(fd);
  if (!what.ours) return false;
  out = {};
  if (writing ? !what.writes : !what.reads) return true;
  observed_.store(true);  // before the look: who moves bytes moves them, then asks
  const short shows = kernel_shows(fd);
  out.eof = (shows & (writing ? POLLERR : POLLHUP)) != 0;
  const int held = bytes_in(fd);
  if (writing) {
    const long size = host::kernel_control(fd, F_GETPIPE_SZ, nullptr);
    out.ready = (shows & POLLOUT) != 0;
    out.data = size > held ? size - held : 0;
  } else {
    out.ready = held > 0;
    out.data = held;
  }
  return true;
}

}  // namespace quay::pipe
