// SPDX-License-Identifier: BSD-2-Clause
//
// What: kevent() for programs built with QUAY_KEVENT_EXT: FreeBSD 12's struct kevent.
// Contract: semantics/headers.md; data is 64 bits wide, ext[4] is kept with the note.
#define QUAY_KEVENT_EXT 1
#pragma GCC visibility push(default)
#include <sys/event.h>
#pragma GCC visibility pop

#include <cstddef>

#include "faces/kevent_call.hpp"

namespace {

using layout = quay::kqueue::wide_event;
static_assert(sizeof(struct kevent) == sizeof(layout) &&
              offsetof(struct kevent, filter) == offsetof(layout, filter) &&
              offsetof(struct kevent, flags) == offsetof(layout, flags) &&
              offsetof(struct kevent, fflags) == offsetof(layout, fflags) &&
              offsetof(struct kevent, data) == offsetof(layout, data) &&
              offsetof(struct kevent, udata) == offsetof(layout, udata) &&
              offsetof(struct kevent, ext) == offsetof(layout, ext));

}  // namespace

// The header gives kevent() the name quay_kevent_ext in this layout.
int kevent(int kq, const struct kevent* changelist, int nchanges, struct kevent* eventlist,
           int nevents, const struct timespec* timeout) {
  return quay::faces::kevent_call<layout>::enter(kq, changelist, nchanges, eventlist, nevents,
                                                 timeout);
}
