// SPDX-License-Identifier: BSD-2-Clause
//
// What: <sys/event.h>: kqueue, kqueue1, kqueuex, kevent in both layouts.
// Contract: semantics/kqueue.md sections 2 and 6, semantics/headers.md.
#pragma GCC visibility push(default)
#include <sys/event.h>
#pragma GCC visibility pop

#include <fcntl.h>
#include <quay/quay.h>

#include <cerrno>

#include "faces/kevent_call.hpp"

namespace {

using layout = quay::kqueue::classic_event;
static_assert(quay::kqueue::is_layout_of<struct kevent, layout>());

int make_queue(bool close_on_exec, bool private_queue, bool copied_on_fork) noexcept {
  const quay::kqueue::dialect& freebsd = *quay::kqueue::find_dialect(QUAY_DIALECT_FREEBSD);
  const int fd =
      quay::faces::process_system().open(freebsd, close_on_exec, private_queue, copied_on_fork);
  if (fd >= 0) return fd;
  errno = -fd;
  return -1;
}

}  // namespace

int kqueue(void) { return make_queue(false, false, false); }

int kqueue1(int flags) {
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK | QUAY_PRIVATE)) != 0) {
    errno = EINVAL;
    return -1;
  }
  return make_queue((flags & O_CLOEXEC) != 0, (flags & QUAY_PRIVATE) != 0, false);
}

int kqueuex(unsigned int flags) {
  if ((flags & ~static_cast<unsigned int>(KQUEUE_CLOEXEC | KQUEUE_CPONFORK)) != 0) {
    errno = EINVAL;
    return -1;
  }
  return make_queue((flags & KQUEUE_CLOEXEC) != 0, false, (flags & KQUEUE_CPONFORK) != 0);
}

int kevent(int kq, const struct kevent* changelist, int nchanges, struct kevent* eventlist,
           int nevents, const struct timespec* timeout) {
  return quay::faces::kevent_call<layout>::enter(kq, changelist, nchanges, eventlist, nevents,
                                                 timeout);
}
