// SPDX-License-Identifier: BSD-2-Clause
//
// What: the entry points of libquay-hooks; see hook_points.hpp.
#include "faces/hook_points.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "faces/process_system.hpp"
#include "host/linux_host.hpp"
#include "host/signals.hpp"

using quay::faces::descriptors;
using quay::host::signal_engine;

int quay_hook_concerns(int fd) {
  if (fd < 0) {
    if (fd == quay::host::kSelfTestDescriptor) quay::host::hooks_announced();
    return 0;
  }
  if (!descriptors().concerns_us(fd)) return 0;
  // A child of vfork runs in our memory but closes its own descriptors.
  return syscall(SYS_getpid) == quay::faces::system_pid() ? 1 : 0;
}

void quay_hook_closing(int fd) { descriptors().closing(fd); }
void quay_hook_closed(int fd) { descriptors().closed(fd); }
int quay_hook_is_ours(int fd) { return descriptors().owner_of(fd) != nullptr ? 1 : 0; }

void quay_hook_duplicated(int from, int to) {
  if (quay::core::descriptor_owner* owner = descriptors().owner_of(from); owner != nullptr) {
    owner->duplicated(from, to);
  }
}

int quay_hook_is_closing(int fd) { return descriptors().is_closing(fd) ? 1 : 0; }
int quay_hook_highest(void) { return descriptors().highest(); }

void quay_hook_unmapping(void) { quay::host::mapping_changed(); }

QUAY_HANDLER_SAFE int quay_hook_watches_signal(int number) {
  return signal_engine::watches(number) ? 1 : 0;
}
int quay_hook_sigaction(int number, const struct sigaction* act, struct sigaction* old) {
  return signal_engine::instance().change(number, act, old);
}
void quay_hook_signal_taken(int number) { signal_engine::instance().consumed(number); }
void quay_hook_before_exec(void) { signal_engine::instance().before_exec(); }
void quay_hook_after_exec(void) { signal_engine::instance().after_exec(); }
