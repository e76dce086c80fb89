// SPDX-License-Identifier: BSD-2-Clause
//
// What: epoll_ctl, put in front of libc: a queue or port that is in a set of the program's tells the kernel of
//       each event, where otherwise a bell may be left standing (docs/decisions/0005-late-bell.md).
// Contract: epoll_ctl(2).
#include <sys/epoll.h>

#include "faces/hook_points.hpp"
#include "hooks/original.hpp"

namespace {

constinit quay::hooks::original<int(int, int, int, epoll_event*) noexcept> libc_epoll_ctl{
    "epoll_ctl"};

[[gnu::constructor]] void look_up_originals() { libc_epoll_ctl.get(); }

}  // namespace

QUAY_HOOK int epoll_ctl(int set, int operation, int fd, epoll_event* event) noexcept {
  if (operation != EPOLL_CTL_DEL && quay_hook_is_ours(fd)) {
    quay_hook_file_call(fd, quay::core::file_call::epoll);
  }
  return libc_epoll_ctl.get()(set, operation, fd, event);
}
