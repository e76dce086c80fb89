// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the hooks of calls on one descriptor have in common, whatever the layouts of the program's
//       types: descriptors.cc serves those that libc's plain names have, wide_times.cc the others.
// Contract: core::descriptor_owner, through faces/hook_points.hpp.
#pragma once

#include <fcntl.h>

#include <cerrno>

#include "core/descriptors.hpp"
#include "faces/hook_points.hpp"
#include "faces/stat_layout.hpp"
#include "hooks/answers.hpp"

namespace quay::hooks {

template <class Libc>
int control(int fd, int command, void* argument, Libc& libc) noexcept {
  if (!quay_hook_is_ours(fd)) return libc.get()(fd, command, argument);
  int owner = 0;  // negative for a process group
  const bool asks = command == F_GETOWN;
  const int result = quay_hook_fcntl(fd, command, asks ? &owner : argument);
  if (result == 0 && asks) return owner;
  return settle(result, [&] {
    const int made = libc.get()(fd, command, argument);
    if (made >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) {
      quay_hook_duplicated(fd, made);
    }
    return made;
  });
}

template <class Libc>
int device_control(int fd, unsigned long request, void* argument, Libc& libc) noexcept {
  const int result =
      quay_hook_is_ours(fd) ? quay_hook_ioctl(fd, request, argument) : QUAY_HOOK_PASS;
  return settle(result, [&] { return libc.get()(fd, request, argument); });
}

// Static, because `struct stat` names another type in wide_times.cc than elsewhere.
template <class Stat, class Libc>
static int status(int fd, Stat* out, Libc libc) noexcept {
  struct statx found {};
  int result = quay_hook_is_ours(fd) ? quay_hook_stat(fd, &found) : QUAY_HOOK_PASS;
  if (result == 0 && quay_hook_writable(out, sizeof *out) < sizeof *out) result = -EFAULT;
  if (result == 0 && !faces::lay_out(found, *out)) result = -EOVERFLOW;
  return settle(result, libc);
}

template <class Libc>
int request(int fd, core::file_call what, Libc libc) noexcept {
  return settle(quay_hook_is_ours(fd) ? quay_hook_file_call(fd, what) : QUAY_HOOK_PASS, libc);
}

inline bool names_descriptor(const char* path, int flags) noexcept {
  return (flags & AT_EMPTY_PATH) != 0 && (path == nullptr || *path == '\0');
}

}  // namespace quay::hooks

// The one argument after `last` that a call may have, if it has it.
#define QUAY_TAKE_ARGUMENT(last)        \
  va_list args;                         \
  va_start(args, last);                 \
  void* argument = va_arg(args, void*); \
  va_end(args)
