// SPDX-License-Identifier: BSD-2-Clause
//
// What: kevent() for programs built with QUAY_KEVENT_EXT: FreeBSD 12's struct kevent.
// Contract: semantics/headers.md; data is 64 bits wide, ext[4] is kept with the note.
#define QUAY_KEVENT_EXT 1
#pragma GCC visibility push(default)
#include <sys/event.h>
#pragma GCC visibility pop

#include <pthread.h>

#include <cerrno>

#include "faces/process_system.hpp"
#include "kqueue/kevent.hpp"

namespace {

using quay::core::event;

void load_ext(const void* from, event& to) {
  const auto& k = *static_cast<const struct kevent*>(from);
  to = {k.ident,
        k.udata,
        k.data,
        k.fflags,
        k.filter,
        k.flags,
        {k.ext[0], k.ext[1], k.ext[2], k.ext[3]}};
}

void store_ext(void* to, const event& from) {
  auto& k = *static_cast<struct kevent*>(to);
  k.ident = from.ident;
  k.filter = from.filter;
  k.flags = from.flags;
  k.fflags = from.fflags;
  k.data = from.data;
  k.udata = from.udata;
  for (int i = 0; i < 4; ++i) k.ext[i] = from.ext[i];
}

constexpr quay::kqueue::layout kExtended = {sizeof(struct kevent), load_ext, store_ext};

}  // namespace

// The header gives kevent() the name quay_kevent_ext in this layout.
int kevent(int kq, const struct kevent* changelist, int nchanges, struct kevent* eventlist,
           int nevents, const struct timespec* timeout) {
  if (nevents > 0) pthread_testcancel();
  quay::kqueue::system& sys = quay::faces::process_system();
  const quay::kqueue::outcome r = quay::kqueue::kevent<kExtended>(
      sys, sys.queue_at(kq), kq, {changelist, nchanges, eventlist, nevents}, timeout);
  if (r.error != 0) errno = r.error;
  return r.value;
}
