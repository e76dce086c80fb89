// SPDX-License-Identifier: BSD-2-Clause
//
// What: kevent() for programs built with QUAY_KEVENT_EXT: FreeBSD 12's struct kevent.
// Contract: semantics/headers.md; data is 64 bits wide, ext[4] is kept with the note.
#define QUAY_KEVENT_EXT 1
#pragma GCC visibility push(default)
#include <sys/event.h>
#pragma GCC visibility pop

#include "faces/kevent_call.hpp"

namespace {

using layout = quay::kqueue::wide_event;
static_assert(quay::kqueue::is_layout_of<struct kevent, layout>());

}  // namespace

// The header gives kevent() the name quay_kevent_ext in this layout.
int kevent(int kq, const struct kevent* changelist, int nchanges, struct kevent* eventlist,
           int nevents, const struct timespec* timeout) {
  return quay::faces::kevent_call<layout>::enter(kq, changelist, nchanges, eventlist, nevents,
                                                 timeout);
}
