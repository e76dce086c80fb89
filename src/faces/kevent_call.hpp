// SPDX-License-Identifier: BSD-2-Clause
//
// What: kevent() for a face: finds the queue and goes, by the lists there are, to a function of its own.
// Contract: semantics/kqueue.md section 2. A cancellation point when there is room for events.
// Locking: none here; kqueue/kevent.hpp takes the queue's mutex.
#pragma once

#include <pthread.h>

#include <cerrno>

#include "faces/process_system.hpp"
#include "kqueue/kevent.hpp"

namespace quay::faces {

// The entry has no frame: it ends with a jump to one of the others, which do the whole call.
template <class Layout>
class kevent_call {
 public:
  using work = kqueue::work;

  [[gnu::always_inline]] static int enter(int kq, const void* changes, int change_count,
                                          void* events, int event_count, const timespec* timeout) {
    if (event_count == 0) return change(kq, changes, change_count, timeout);
    if (change_count == 0) return fetch(kq, events, event_count, timeout);
    return both(kq, changes, change_count, events, event_count, timeout);
  }

 private:
  static int finish(kqueue::outcome r) noexcept {
    if (r.error != 0) errno = r.error;
    return r.value;
  }
  static kqueue::system& find_system() noexcept {
    kqueue::system* sys = existing_system();
    return sys != nullptr ? *sys : process_system();
  }

  [[gnu::noinline]] static int change(int kq, const void* changes, int count,
                                      const timespec* timeout) {
    kqueue::system& sys = find_system();
    kqueue::queue* const q = sys.queue_at(kq);
    if (q == nullptr || count != 1 || timeout != nullptr || !sys.hooked()) {
      return change_all(sys, q, kq, changes, count, timeout);
    }
    return finish(kqueue::change<Layout>(sys, *q, kq, changes));
  }
  [[gnu::noinline]] static int change_all(kqueue::system& sys, kqueue::queue* q, int kq,
                                          const void* changes, int count, const timespec* timeout) {
    return finish(
        kqueue::kevent<Layout, work::changes>(sys, q, kq, {changes, count, nullptr, 0}, timeout));
  }

  [[gnu::noinline]] static int fetch(int kq, void* events, int room, const timespec* timeout) {
    if (room > 0) pthread_testcancel();
    kqueue::system& sys = find_system();
    kqueue::queue* const q = sys.queue_at(kq);
    if (q == nullptr || !kqueue::polls(sys, room, timeout)) {
      return wait(sys, q, kq, events, room, timeout);
    }
    if (q->worth_a_glance()) return look(sys, *q, kq, events, room);
    return finish(kqueue::poll<Layout>(sys, *q, kq, events, room, nullptr));
  }

  [[gnu::noinline]] static int wait(kqueue::system& sys, kqueue::queue* q, int kq, void* events,
                                    int room, const timespec* timeout) {
    return finish(
        kqueue::kevent<Layout, work::events>(sys, q, kq, {nullptr, 0, events, room}, timeout));
  }

  // A poll in vain returns from this function only, without a jump after the system call, and what comes
  // after it always lies the same way across cache lines (decision 0006).
  [[gnu::noinline, gnu::aligned(64)]] static int look(kqueue::system& sys, kqueue::queue& q, int kq,
                                                      void* events, int room) {
    core::queue::glance seen;
    if (kqueue::finds_nothing(q, room, seen)) [[likely]]
      return 0;
    return take(sys, q, kq, events, room, &seen);
  }
  [[gnu::noinline]] static int take(kqueue::system& sys, kqueue::queue& q, int kq, void* events,
                                    int room, const core::queue::glance* seen) {
    return finish(kqueue::poll<Layout>(sys, q, kq, events, room, seen));
  }

  [[gnu::noinline]] static int both(int kq, const void* changes, int change_count, void* events,
                                    int event_count, const timespec* timeout) {
    if (event_count > 0) pthread_testcancel();
    kqueue::system& sys = find_system();
    return finish(kqueue::kevent<Layout, work::both>(
        sys, sys.queue_at(kq), kq, {changes, change_count, events, event_count}, timeout));
  }
};

}  // namespace quay::faces
