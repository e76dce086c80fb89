// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's calls that ask or set something of a descriptor, put in front of libc: one of ours
//       answers itself, every other costs one table look-up.
// Contract: semantics/kqueue.md section 6; file_calls.hpp. read, write, poll and their like are in
//           pipes.cc; the names for 64-bit times in 32-bit programs in wide_times.cc.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>

#include "hooks/file_calls.hpp"
#include "hooks/original.hpp"

namespace {

using quay::core::file_call;
using quay::hooks::control;
using quay::hooks::device_control;
using quay::hooks::names_descriptor;
using quay::hooks::original;
using quay::hooks::request;
using quay::hooks::settle;
using quay::hooks::status;

constinit original<int(int, int, ...)> libc_fcntl{"fcntl"};
constinit original<int(int, int, ...)> libc_fcntl64{"fcntl64"};
constinit original<int(int, unsigned long, ...) noexcept> libc_ioctl{"ioctl"};
constinit original<int(int, struct stat*) noexcept> libc_fstat{"fstat"};
constinit original<int(int, struct stat64*) noexcept> libc_fstat64{"fstat64"};
constinit original<int(int, const char*, struct stat*, int) noexcept> libc_fstatat{"fstatat"};
constinit original<int(int, const char*, struct stat64*, int) noexcept> libc_fstatat64{"fstatat64"};
constinit original<off_t(int, off_t, int) noexcept> libc_lseek{"lseek"};
constinit original<off64_t(int, off64_t, int) noexcept> libc_lseek64{"lseek64"};
constinit original<int(int, off_t) noexcept> libc_ftruncate{"ftruncate"};
constinit original<int(int, off64_t) noexcept> libc_ftruncate64{"ftruncate64"};
constinit original<int(int, mode_t) noexcept> libc_fchmod{"fchmod"};
constinit original<int(int, const char*, mode_t, int) noexcept> libc_fchmodat{"fchmodat"};
constinit original<int(int, uid_t, gid_t) noexcept> libc_fchown{"fchown"};
constinit original<int(int, const char*, uid_t, gid_t, int) noexcept> libc_fchownat{"fchownat"};
constinit original<int(int, const timespec*) noexcept> libc_futimens{"futimens"};
constinit original<int(int, const timeval*) noexcept> libc_futimes{"futimes"};
constinit original<int(int, int) noexcept> libc_flock{"flock"};

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
  libc_ftruncate.get();
  libc_ftruncate64.get();
  libc_fchmod.get();
  libc_fchmodat.get();
  libc_fchown.get();
  libc_fchownat.get();
  libc_futimens.get();
  libc_futimes.get();
  libc_flock.get();
}

template <class Offset, class Libc>
Offset seek(int fd, Offset offset, int whence, Libc& libc) noexcept {
  // None of our objects has a place to go to.
  const int result = quay_hook_is_ours(fd) ? -ESPIPE : QUAY_HOOK_PASS;
  return settle(result, [&] { return libc.get()(fd, offset, whence); });
}

}  // namespace

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
  return device_control(fd, request, argument, libc_ioctl);
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

QUAY_HOOK off_t lseek(int fd, off_t offset, int whence) noexcept {
  return seek(fd, offset, whence, libc_lseek);
}

QUAY_HOOK off64_t lseek64(int fd, off64_t offset, int whence) noexcept {
  return seek(fd, offset, whence, libc_lseek64);
}

QUAY_HOOK int ftruncate(int fd, off_t length) noexcept {
  return request(fd, file_call::truncate, [=] { return libc_ftruncate.get()(fd, length); });
}

QUAY_HOOK int ftruncate64(int fd, off64_t length) noexcept {
  return request(fd, file_call::truncate, [=] { return libc_ftruncate64.get()(fd, length); });
}

QUAY_HOOK int fchmod(int fd, mode_t mode) noexcept {
  return request(fd, file_call::mode, [=] { return libc_fchmod.get()(fd, mode); });
}

QUAY_HOOK int fchmodat(int fd, const char* path, mode_t mode, int flags) noexcept {
  const auto libc = [=] { return libc_fchmodat.get()(fd, path, mode, flags); };
  return names_descriptor(path, flags) ? request(fd, file_call::mode, libc) : libc();
}

QUAY_HOOK int fchown(int fd, uid_t user, gid_t group) noexcept {
  return request(fd, file_call::owner, [=] { return libc_fchown.get()(fd, user, group); });
}

QUAY_HOOK int fchownat(int fd, const char* path, uid_t user, gid_t group, int flags) noexcept {
  const auto libc = [=] { return libc_fchownat.get()(fd, path, user, group, flags); };
  return names_descriptor(path, flags) ? request(fd, file_call::owner, libc) : libc();
}

QUAY_HOOK int futimens(int fd, const timespec times[2]) noexcept {
  return request(fd, file_call::times, [=] { return libc_futimens.get()(fd, times); });
}

QUAY_HOOK int futimes(int fd, const timeval times[2]) noexcept {
  return request(fd, file_call::times, [=] { return libc_futimes.get()(fd, times); });
}

QUAY_HOOK int flock(int fd, int operation) noexcept {
  return request(fd, file_call::lock, [=] { return libc_flock.get()(fd, operation); });
}
