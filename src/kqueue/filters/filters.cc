// SPDX-License-Identifier: BSD-2-Clause
//
// What: the table of filters and the refusals; see filters.hpp.
#include "kqueue/filters/filters.hpp"

#include <sys/event.h>

#include <cerrno>

namespace quay::kqueue {

filter* const kFilters[kFilterNumbers] = {
    &read_filter,      // -1
    &write_filter,     // -2
    &aio_filter,       // -3
    &vnode_filter,     // -4
    &proc_filter,      // -5
    nullptr,           // -6 SIGNAL
    &timer_filter,     // -7
    &procdesc_filter,  // -8
    &fs_filter,        // -9
    &aio_filter,       // -10 LIO
    &user_filter,      // -11
    nullptr,           // -12 SENDFILE
    &empty_filter,     // -13
    nullptr,           // -14
    &except_filter,    // -15
    &child_filter,     // -16 kChildFilter
};
static_assert(EVFILT_READ == -1 && EVFILT_WRITE == -2 && EVFILT_VNODE == -4 && EVFILT_PROC == -5 &&
              EVFILT_PROCDESC == -8 && EVFILT_FS == -9 && EVFILT_TIMER == -7 &&
              EVFILT_USER == -11 && EVFILT_EMPTY == -13 && EVFILT_EXCEPT == -15);

namespace {

// A refusal by an attach function comes after the note was made: a posted entry shows it emptied.
int refuse_note(core::event& change, int error) noexcept {
  change.fflags = 0;
  change.data = 0;
  return error;
}

}  // namespace

int refuse(core::event& change, queue& q) noexcept {
  const dialect& d = q.rules();
  const bool adds = (change.flags & EV_ADD) != 0;
  switch (change.filter) {
    case EVFILT_AIO:
      if (d.aio_refusal == EINVAL) return EINVAL;
      return adds ? refuse_note(change, d.aio_refusal) : ENOENT;
    default:
      return EINVAL;
  }
}

}  // namespace quay::kqueue
