// SPDX-License-Identifier: BSD-2-Clause
//
// What: timer_create, mq_notify and their relatives of a program that includes <port.h>: those that
//       tell a port are quay's, all others libc's.
// Contract: semantics/ports.md 4.5 and 4.7.
#pragma GCC visibility push(default)
#define QUAY_KEEP_LIBC_TIMERS 1
#include <port.h>

#if defined(__USE_TIME_BITS64) && __TIMESIZE == 32
#define QUAY_WIDE_(name) __asm__(name "_time64")
#else
#define QUAY_WIDE_(name)
#endif
extern "C" {
int quay_timer_create(clockid_t clock, struct sigevent* event, timer_t* timer);
int quay_timer_settime(timer_t timer, int flags, const struct itimerspec* value,
                       struct itimerspec* old) QUAY_WIDE_("quay_timer_settime");
int quay_timer_gettime(timer_t timer, struct itimerspec* value) QUAY_WIDE_("quay_timer_gettime");
int quay_timer_getoverrun(timer_t timer);
int quay_timer_delete(timer_t timer);
int quay_mq_notify(mqd_t queue, const struct sigevent* event);
int quay_mq_close(mqd_t queue);
}
#pragma GCC visibility pop

#include <cerrno>

#include "faces/port_notify.hpp"
#include "faces/process_system.hpp"
#include "host/linux_host.hpp"
#include "port/sources/mq.hpp"
#include "port/sources/timer.hpp"

namespace {

using quay::faces::process_ports;
using quay::port::timer_source;

int finish(int error) noexcept {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

quay::core::host& os() noexcept { return quay::host::linux_host::instance(); }

template <class T>
bool readable(const T* p) noexcept {
  return p != nullptr && os().readable_prefix(p, sizeof *p) == sizeof *p;
}

// The port that an event is to go to, and the cookie: an errno.
int find_target(const sigevent& event, quay::port::port*& target, void*& user) noexcept {
  port_notify_t notify{};
  if (const int error = quay::faces::read_port_notify(event, notify); error != 0) return error;
  user = notify.portnfy_user;
  target = process_ports().find_or_adopt(notify.portnfy_port);
  return target != nullptr ? 0 : process_ports().why_not(notify.portnfy_port);
}

}  // namespace

int quay_timer_create(clockid_t clock, struct sigevent* event, timer_t* timer) {
  if (!readable(event) || event->sigev_notify != SIGEV_PORT) {
    return timer_create(clock, event, timer);
  }
  quay::port::port* target = nullptr;
  void* user = nullptr;
  if (const int error = find_target(*event, target, user); error != 0) return finish(error);
  if (timer == nullptr || os().writable_prefix(timer, sizeof *timer) < sizeof *timer) {
    return finish(EFAULT);
  }
  return finish(process_ports().timers().create(*target, clock, user, *timer));
}

int quay_timer_settime(timer_t timer, int flags, const struct itimerspec* value,
                       struct itimerspec* old) {
  if (!timer_source::is_ours(timer)) return timer_settime(timer, flags, value, old);
  if (!readable(value)) return finish(value == nullptr ? EINVAL : EFAULT);
  if (old != nullptr && os().writable_prefix(old, sizeof *old) < sizeof *old) return finish(EFAULT);
  return finish(process_ports().timers().set(timer, (flags & TIMER_ABSTIME) != 0, *value, old));
}

int quay_timer_gettime(timer_t timer, struct itimerspec* value) {
  if (!timer_source::is_ours(timer)) return timer_gettime(timer, value);
  if (value == nullptr || os().writable_prefix(value, sizeof *value) < sizeof *value) {
    return finish(EFAULT);
  }
  return finish(process_ports().timers().get(timer, *value));
}

int quay_timer_getoverrun(timer_t timer) {
  if (!timer_source::is_ours(timer)) return timer_getoverrun(timer);
  int count = 0;
  const int error = process_ports().timers().overrun(timer, count);
  return error == 0 ? count : finish(error);
}

int quay_timer_delete(timer_t timer) {
  if (!timer_source::is_ours(timer)) return timer_delete(timer);
  return finish(process_ports().timers().remove(timer));
}

int quay_mq_notify(mqd_t queue, const struct sigevent* event) {
  quay::port::mq_source& queues = process_ports().queues();
  if (!readable(event) || event->sigev_notify != SIGEV_PORT) {
    if (event == nullptr && queues.remove(queue)) return 0;
    return mq_notify(queue, event);
  }
  quay::port::port* target = nullptr;
  void* user = nullptr;
  int error = find_target(*event, target, user);
  if (error == EBADFD) error = EBADF;
  return finish(error == 0 ? queues.add(*target, queue, user) : error);
}

int quay_mq_close(mqd_t queue) {
  process_ports().queues().remove(queue);
  return mq_close(queue);
}
