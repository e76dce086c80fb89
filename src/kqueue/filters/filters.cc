// SPDX-License-Identifier: BSD-2-Clause
//
// What: the table of filters and the refusals; see filters.hpp.
#include "kqueue/filters/filters.hpp"

#include <sys/event.h>

#include <cerrno>
#include <climits>

namespace quay::kqueue {

lookup find_filter(const dialect& d, std::int16_t number) noexcept {
  switch (number) {
    case EVFILT_READ:
      return {&read_filter()};
    case EVFILT_WRITE:
      return {&write_filter()};
    case EVFILT_TIMER:
      return {&timer_filter()};
    case EVFILT_USER:
      return {d.has_user ? &user_filter() : nullptr};
    case EVFILT_EXCEPT:
      return {d.has_except ? &except_filter() : nullptr};
    case EVFILT_EMPTY:
      return {d.has_empty ? &empty_filter() : nullptr};
    default:
      return {nullptr};
  }
}

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
    case EVFILT_VNODE: {
      // Files are not watched yet; on anything else this is the documented answer.
      const bool number = change.ident <= static_cast<std::uintptr_t>(INT_MAX);
      if (!number || !q.os().is_open(static_cast<int>(change.ident))) return EBADF;
      return adds ? refuse_note(change, d.unsupported_filter) : ENOENT;
    }
    case EVFILT_PROC:
      if (!adds) return ENOENT;
      return refuse_note(
          change, q.os().process_exists(static_cast<std::int64_t>(change.ident)) ? EINVAL : ESRCH);
    case EVFILT_AIO:
      if (d.aio_refusal == EINVAL) return EINVAL;
      return adds ? refuse_note(change, d.aio_refusal) : ENOENT;
    default:
      return EINVAL;
  }
}

}  // namespace quay::kqueue
