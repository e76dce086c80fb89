// SPDX-License-Identifier: BSD-2-Clause
//
// What: the calls of quay.h that act on a descriptor: on a queue they answer as the BSD kernels
//       do, on anything else they are libc's.
// Contract: semantics/kqueue.md section 6.
#include <fcntl.h>
#include <poll.h>
#include <quay/quay.h>
#include <sys/event.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>

#include "faces/process_system.hpp"

namespace {

quay::kqueue::queue* queue_at(int fd) noexcept {
  quay::kqueue::system* sys = quay::faces::existing_system();
  return sys != nullptr ? sys->queue_at(fd) : nullptr;
}

int fail(int error) noexcept {
  errno = error;
  return -1;
}

}  // namespace

ssize_t quay_read(int fd, void* buf, size_t n) {
  return queue_at(fd) != nullptr ? fail(ENXIO) : read(fd, buf, n);
}
ssize_t quay_readv(int fd, const struct iovec* iov, int cnt) {
  return queue_at(fd) != nullptr ? fail(ENXIO) : readv(fd, iov, cnt);
}
ssize_t quay_write(int fd, const void* buf, size_t n) {
  return queue_at(fd) != nullptr ? fail(ENXIO) : write(fd, buf, n);
}
ssize_t quay_writev(int fd, const struct iovec* iov, int cnt) {
  return queue_at(fd) != nullptr ? fail(ENXIO) : writev(fd, iov, cnt);
}

int quay_fstat(int fd, struct stat* st) {
  quay::kqueue::queue* q = queue_at(fd);
  if (q == nullptr) return fstat(fd, st);
  if (st == nullptr) return fail(EFAULT);
  quay::core::queue::section hold(*q);
  if (!q->matches_locked(fd)) return fail(EBADF);
  *st = {};
  st->st_mode = S_IFIFO;
  st->st_blksize = sizeof(struct kevent);
  if (q->rules().stat_size_is_count) st->st_size = q->pending_locked();
  return 0;
}

int quay_ioctl(int fd, unsigned long request, ...) {
  va_list args;
  va_start(args, request);
  void* argument = va_arg(args, void*);
  va_end(args);
  return queue_at(fd) != nullptr ? fail(ENOTTY) : ioctl(fd, request, argument);
}

int quay_fcntl(int fd, int cmd, ...) {
  va_list args;
  va_start(args, cmd);
  void* argument = va_arg(args, void*);
  va_end(args);
  return fcntl(fd, cmd, argument);
}

int quay_poll(struct pollfd* fds, nfds_t n, int timeout_ms) { return poll(fds, n, timeout_ms); }
