// SPDX-License-Identifier: BSD-2-Clause
//
// What: what a named pipe's descriptor answers; see named.hpp.
// Contract: semantics/pipes-signalfd.md A7, the generation rule: the end of file is not shown to
//           who opened the pipe when no writer was there, until one has come and gone. The kernel
//           follows the same rule, in poll only: its hang-up is the answer for every call.
#include "pipe/named.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "host/linux_host.hpp"
#include "host/pipes.hpp"

namespace quay::pipe {
namespace {

constexpr timespec kNow{0, 0};

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

int bytes_in(int fd) noexcept {
  int n = 0;
  return host::kernel_ioctl(fd, FIONREAD, &n) == 0 ? n : 0;
}

}  // namespace

int named::open(const char* path, int flags) {
  if ((flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) != 0) return -EINVAL;
  const int fd = host::open_path(path, flags);
  if (fd < 0 || (flags & O_PATH) != 0 || !look_at(fd).ours) return fd;
  if (descriptors_.assign(fd, *this)) return fd;
  host::linux_host::instance().discard(fd);
  return -ENOMEM;
}

long named::read(int fd, const iovec* parts, int count) {
  for (;;) {
    const long n = host::kernel_read(fd, parts, count);
    if (n != 0 || !look_at(fd).ours) return n;
    // Nothing was asked for, there is something after all, or the end of file is to be seen.
    std::size_t wanted = 0;
    for (int i = 0; i < count; ++i) wanted += parts[i].iov_len;
    const short shows = kernel_shows(fd);
    if (wanted == 0 || (shows & (POLLHUP | POLLNVAL)) != 0) return 0;
    if ((shows & POLLIN) != 0) continue;
    if (host::is_nonblocking(fd)) return -EAGAIN;
    if (!wait_for_bytes(fd)) return -EINTR;
  }
}

int named::ioctl(int fd, unsigned long request, void* argument) noexcept {
  const found what = look_at(fd);
  if (!what.ours || what.reads || request != FIONREAD) return kAskKernel;
  if (host::linux_host::instance().writable_prefix(argument, sizeof(int)) != sizeof(int)) {
    return -EFAULT;
  }
  *static_cast<int*>(argument) = 0;
  return 0;
}

// The kernel says POLLHUP to readers and POLLERR to writers; to the seed both are the end of file,
// which also reads.
int named::poll(int fd, short events) noexcept {
  const found what = look_at(fd);
  if (!what.ours) return kAskKernel;
  constexpr int kIn = POLLIN | POLLRDNORM;
  constexpr int kOut = POLLOUT | POLLWRNORM;
  const short shows = kernel_shows(fd);
  const bool ended = (shows & (POLLHUP | POLLERR)) != 0;
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
