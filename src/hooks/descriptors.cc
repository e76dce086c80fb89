// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's calls that ask or set something of a descriptor, put in front of libc: one of ours
//       answers itself, every other costs one table look-up.
// Contract: semantics/kqueue.md section 6; core::descriptor_owner. read, write, poll and their like
//           are in pipes.cc.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>

#include "faces/hook_points.hpp"
#include "faces/stat_layout.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::original;

constinit original<int(int, int, ...)> libc_fcntl{"fcntl"};
constinit original<int(int, int, ...)> libc_fcntl64{"fcntl64"};
constinit original<int(int, unsigned long, ...) noexcept> libc_ioctl{"ioctl"};
constinit original<int(int, struct stat*) noexcept> libc_fstat{"fstat"};
constinit original<int(int, struct stat64*) noexcept> libc_fstat64{"fstat64"};
constinit original<int(int, const char*, struct stat*, int) noexcept> libc_fstatat{"fstatat"};
constinit original<int(int, const char*, struct stat64*, int) noexcept> libc_fstatat64{"fstatat64"};
constinit original<off_t(int, off_t, int) noexcept> libc_lseek{"lseek"};
constinit original<off64_t(int, off64_t, int) noexcept> libc_lseek64{"lseek64"};

[[gnu::constructor]] void look_up_originals() {
  libc_fcntl.get();
  libc_fcntl64.get();
  libc_ioctl.get();
  libc_fstat.get();
  libc_fstat64.get();
  libc_fstatat.get();
  libc_fstatat64.get();
  libc_lseek.get();
  libc_lseek64.get();
}

int answer(int result) noexcept {
  if (result >= 0) return result;
  errno = -result;
  return -1;
}

template <class Libc>
int control(int fd, int command, void* argument, Libc& libc) noexcept {
  if (!quay_hook_is_ours(fd)) return libc.get()(fd, command, argument);
  const int result = quay_hook_fcntl(fd, command, argument);
  if (result != QUAY_HOOK_PASS) return answer(result);
  const int made = libc.get()(fd, command, argument);
  if (made >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) {
    quay_hook_duplicated(fd, made);
  }
  return made;
}

template <class Stat, class Libc>
int status(int fd, Stat* out, Libc libc) noexcept {
  if (!quay_hook_is_ours(fd)) return libc();
  struct statx found {};
  const int result = quay_hook_stat(fd, &found);
  if (result == QUAY_HOOK_PASS) return libc();
  if (result < 0) return answer(result);
  if (out == nullptr) return answer(-EFAULT);
  if (!quay::faces::lay_out(found, *out)) return answer(-EOVERFLOW);
  return 0;
}

bool names_descriptor(const char* path, int flags) noexcept {
  return (flags & AT_EMPTY_PATH) != 0 && (path == nullptr || *path == '\0');
}

}  // namespace

#define QUAY_TAKE_ARGUMENT(last)        \
  va_list args;                         \
  va_start(args, last);                 \
  void* argument = va_arg(args, void*); \
  va_end(args)

QUAY_HOOK int fcntl(int fd, int command, ...) {
  QUAY_TAKE_ARGUMENT(command);
  return control(fd, command, argument, libc_fcntl);
}

QUAY_HOOK int fcntl64(int fd, int command, ...) {
  QUAY_TAKE_ARGUMENT(command);
  return control(fd, command, argument, libc_fcntl64);
}

QUAY_HOOK int ioctl(int fd, unsigned long request, ...) noexcept {
  QUAY_TAKE_ARGUMENT(request);
  const int result =
      quay_hook_is_ours(fd) ? quay_hook_ioctl(fd, request, argument) : QUAY_HOOK_PASS;
  return result != QUAY_HOOK_PASS ? answer(result) : libc_ioctl.get()(fd, request, argument);
}

QUAY_HOOK int fstat(int fd, struct stat* out) noexcept {
  return status(fd, out, [&] { return libc_fstat.get()(fd, out); });
}

QUAY_HOOK int fstat64(int fd, struct stat64* out) noexcept {
  return status(fd, out, [&] { return libc_fstat64.get()(fd, out); });
}

QUAY_HOOK int fstatat(int fd, const char* path, struct stat* out, int flags) noexcept {
  const auto libc = [&] { return libc_fstatat.get()(fd, path, out, flags); };
  return names_descriptor(path, flags) ? status(fd, out, libc) : libc();
}

QUAY_HOOK int fstatat64(int fd, const char* path, struct stat64* out, int flags) noexcept {
  const auto libc = [&] { return libc_fstatat64.get()(fd, path, out, flags); };
  return names_descriptor(path, flags) ? status(fd, out, libc) : libc();
}

// None of our objects has a place to go to.
QUAY_HOOK off_t lseek(int fd, off_t offset, int whence) noexcept {
  return quay_hook_is_ours(fd) ? answer(-ESPIPE) : libc_lseek.get()(fd, offset, whence);
}

QUAY_HOOK off64_t lseek64(int fd, off64_t offset, int whence) noexcept {
  return quay_hook_is_ours(fd) ? answer(-ESPIPE) : libc_lseek64.get()(fd, offset, whence);
}
