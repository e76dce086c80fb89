// SPDX-License-Identifier: BSD-2-Clause
//
// What: kevent() of programs with FreeBSD 12's struct kevent.
#define QUAY_KEVENT_EXT 1
#include "kevent_call.hpp"

int kevent(int kq, const struct kevent* changes, int change_count, struct kevent* events,
           int event_count, const struct timespec* timeout) {
  return quay::trace::trace_kevent(quay::trace::call::quay_kevent_ext, kq, changes, change_count,
                                   events, event_count, timeout);
}
