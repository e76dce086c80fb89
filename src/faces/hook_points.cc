// SPDX-License-Identifier: BSD-2-Clause
//
// What: the entry points of libquay-hooks; see hook_points.hpp.
#include "faces/hook_points.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include "faces/process_system.hpp"
#include "host/linux_host.hpp"

using quay::faces::existing_system;

int quay_hook_concerns(int fd) {
  if (fd < 0) {
    if (fd == quay::host::kSelfTestDescriptor) quay::host::hooks_announced();
    return 0;
  }
  const quay::kqueue::system* sys = existing_system();
  if (sys == nullptr || !sys->concerns_us(fd)) return 0;
  // A child of vfork runs in our memory but closes its own descriptors.
  return syscall(SYS_getpid) == quay::faces::system_pid() ? 1 : 0;
}

void quay_hook_closing(int fd) {
  if (quay::kqueue::system* sys = existing_system(); sys != nullptr) sys->closing(fd);
}

void quay_hook_closed(int fd) {
  if (quay::kqueue::system* sys = existing_system(); sys != nullptr) sys->closed(fd);
}

int quay_hook_is_queue(int fd) {
  const quay::kqueue::system* sys = existing_system();
  return sys != nullptr && sys->queue_at(fd) != nullptr ? 1 : 0;
}

void quay_hook_duplicated(int from, int to) {
  if (quay::kqueue::system* sys = existing_system(); sys != nullptr) sys->duplicated(from, to);
}

int quay_hook_is_closing(int fd) {
  const quay::kqueue::system* sys = existing_system();
  return sys != nullptr && sys->is_closing(fd) ? 1 : 0;
}

int quay_hook_highest(void) {
  const quay::kqueue::system* sys = existing_system();
  return sys != nullptr ? sys->highest_known() : -1;
}

void quay_hook_unmapping(void) { quay::host::mapping_changed(); }
