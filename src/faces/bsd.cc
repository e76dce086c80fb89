// SPDX-License-Identifier: BSD-2-Clause
//
// What: <sys/event.h>: kqueue, kqueue1, kqueuex, kevent in both layouts.
// Contract: semantics/kqueue.md sections 2 and 6, semantics/headers.md.
#pragma GCC visibility push(default)
#include <sys/event.h>
#pragma GCC visibility pop

#include <fcntl.h>
#include <pthread.h>
#include <quay/quay.h>

#include <cerrno>

#include "faces/process_system.hpp"
#include "kqueue/kevent.hpp"

namespace {

using quay::core::event;

int finish(quay::kqueue::outcome r) noexcept {
  if (r.error != 0) errno = r.error;
  return r.value;
}

int make_queue(bool close_on_exec, bool private_queue, bool copied_on_fork) noexcept {
  const quay::kqueue::dialect& freebsd = *quay::kqueue::find_dialect(QUAY_DIALECT_FREEBSD);
  const int fd =
      quay::faces::process_system().open(freebsd, close_on_exec, private_queue, copied_on_fork);
  if (fd >= 0) return fd;
  errno = -fd;
  return -1;
}

void load_classic(const void* from, event& to) {
  const auto& k = *static_cast<const struct kevent*>(from);
  to.ident = k.ident;
  to.udata = k.udata;
  to.data = k.data;
  to.fflags = k.fflags;
  to.filter = k.filter;
  to.flags = k.flags;
  to.ext[0] = to.ext[1] = to.ext[2] = to.ext[3] = 0;
}

void store_classic(void* to, const event& from) {
  auto& k = *static_cast<struct kevent*>(to);
  k.ident = from.ident;
  k.filter = from.filter;
  k.flags = from.flags;
  k.fflags = from.fflags;
  k.data = static_cast<intptr_t>(from.data);
  k.udata = from.udata;
}

constexpr quay::kqueue::layout kClassic = {sizeof(struct kevent), load_classic, store_classic};

// Apart from kevent(), which ends with it: a poll in vain returns from one function only, as after a
// system call every return is mispredicted.
[[gnu::noinline]] int look(quay::kqueue::system& sys, quay::kqueue::queue& q, int kq,
                           struct kevent* eventlist, int nevents, const struct timespec* timeout) {
  quay::core::queue::glance seen;
  if (quay::kqueue::finds_nothing(sys, q, nevents, timeout, seen)) return 0;
  return finish(quay::kqueue::kevent<kClassic>(sys, &q, kq, {nullptr, 0, eventlist, nevents},
                                               timeout, &seen));
}

[[gnu::noinline]] int change(quay::kqueue::system& sys, quay::kqueue::queue* q, int kq,
                             const struct kevent* changelist, int nchanges,
                             const struct timespec* timeout) {
  return finish(quay::kqueue::kevent<kClassic, true>(sys, q, kq, {changelist, nchanges, nullptr, 0},
                                                     timeout));
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
  if (nevents > 0) pthread_testcancel();
  quay::kqueue::system* sys = quay::faces::existing_system();
  if (sys == nullptr) sys = &quay::faces::process_system();
  quay::kqueue::queue* const q = sys->queue_at(kq);
  if (nchanges == 0 && timeout != nullptr && q != nullptr && q->worth_a_glance()) {
    return look(*sys, *q, kq, eventlist, nevents, timeout);
  }
  if (nevents == 0) return change(*sys, q, kq, changelist, nchanges, timeout);
  return finish(quay::kqueue::kevent<kClassic>(
      *sys, q, kq, {changelist, nchanges, eventlist, nevents}, timeout));
}
