// SPDX-License-Identifier: BSD-2-Clause
//
// What: the calls of quay.h that act on a descriptor: one of ours answers itself, any other gets
//       libc's call.
// Contract: include/quay/quay.h; core::descriptor_owner.
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <quay/quay.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>

#include "faces/hook_points.hpp"
#include "faces/process_system.hpp"
#include "host/linux_host.hpp"

namespace {

using quay::core::descriptor_owner;
using quay::host::linux_host;

// `ask` puts the question to the owner of fd, `libc` is the call for everybody else. Not noexcept:
// both may be points of cancellation.
template <class Ask, class Libc>
auto answer(int fd, Ask ask, Libc libc) -> decltype(libc()) {
  descriptor_owner* owner = quay::faces::descriptors().owner_of(fd);
  if (owner == nullptr) return libc();
  const auto result = ask(*owner);
  if (result == descriptor_owner::kAskKernel) return libc();
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace

ssize_t quay_readv(int fd, const struct iovec* iov, int cnt) {
  return answer(
      fd,
      [&](descriptor_owner& o) {
        const long total = quay::core::total_of(linux_host::instance(), iov, cnt);
        return total < 0 ? total : o.read(fd, iov, cnt);
      },
      [&] { return readv(fd, iov, cnt); });
}

ssize_t quay_writev(int fd, const struct iovec* iov, int cnt) {
  return answer(
      fd,
      [&](descriptor_owner& o) {
        const long total = quay::core::total_of(linux_host::instance(), iov, cnt);
        return total < 0 ? total : o.write(fd, iov, cnt);
      },
      [&] { return writev(fd, iov, cnt); });
}

ssize_t quay_read(int fd, void* buf, size_t n) {
  return answer(
      fd,
      [&](descriptor_owner& o) {
        const iovec whole{buf, n};
        return n <= SSIZE_MAX ? o.read(fd, &whole, 1) : -EINVAL;
      },
      [&] { return read(fd, buf, n); });
}

ssize_t quay_write(int fd, const void* buf, size_t n) {
  return answer(
      fd,
      [&](descriptor_owner& o) {
        const iovec whole{const_cast<void*>(buf), n};
        return n <= SSIZE_MAX ? o.write(fd, &whole, 1) : -EINVAL;
      },
      [&] { return write(fd, buf, n); });
}

int quay_fstat(int fd, struct stat* st) {
  return answer(
      fd,
      [&](descriptor_owner& o) {
        struct stat found {};
        const int error = o.stat(fd, found);
        if (error != 0) return error;
        if (linux_host::instance().writable_prefix(st, sizeof *st) < sizeof *st) return -EFAULT;
        *st = found;
        return 0;
      },
      [&] { return fstat(fd, st); });
}

int quay_ioctl(int fd, unsigned long request, ...) {
  va_list args;
  va_start(args, request);
  void* argument = va_arg(args, void*);
  va_end(args);
  return answer(
      fd, [&](descriptor_owner& o) { return o.ioctl(fd, request, argument); },
      [&] { return ioctl(fd, request, argument); });
}

// The answer is negative for a process group.
static int sigio_owner(int fd) {
  int who = 0;
  bool ours = false;
  const int result = answer(
      fd,
      [&](descriptor_owner& o) {
        const int error = o.fcntl(fd, F_GETOWN, &who);
        ours = error == 0;
        return error;
      },
      [&] { return fcntl(fd, F_GETOWN); });
  return ours ? who : result;
}

int quay_fcntl(int fd, int cmd, ...) {
  va_list args;
  va_start(args, cmd);
  void* argument = va_arg(args, void*);
  va_end(args);
  if (cmd == F_GETOWN) return sigio_owner(fd);
  const int result = answer(
      fd, [&](descriptor_owner& o) { return o.fcntl(fd, cmd, argument); },
      [&] { return fcntl(fd, cmd, argument); });
  if (result >= 0 && (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)) {
    quay_hook_duplicated(fd, result);
  }
  return result;
}
