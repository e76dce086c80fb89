/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: SIGEV_KEVENT and its members, after <aio.h> and <sys/event.h> in either order, lie in
 * struct sigevent without touching what glibc keeps there for every kind of notification. Contract:
 * aio(4) of FreeBSD: sigev_notify, sigev_notify_kqueue, sigev_notify_kevent_flags, sigev_value.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/event.h>
/* Reversed on purpose: macros must not depend on what came first. */
#include <aio.h>
#include <signal.h>
#include <string.h>

#include "expect.h"
#include "static_check.h"

STATIC_CHECK(SIGEV_KEVENT == 3);

static int kind(int notify) {
  switch (notify) {
    case SIGEV_SIGNAL:
    case SIGEV_NONE:
    case SIGEV_THREAD:
    case SIGEV_THREAD_ID:
      return 1;
    case SIGEV_KEVENT: /* does not compile when it is one of glibc's */
      return 2;
    default:
      return 0;
  }
}

int main(void) {
  struct aiocb request;
  int mark;
  memset(&request, 0, sizeof(request));

  request.aio_sigevent.sigev_signo = 11;
  request.aio_sigevent.sigev_notify = SIGEV_KEVENT;
  request.aio_sigevent.sigev_value.sival_ptr = &mark;
  request.aio_sigevent.sigev_notify_kqueue = 0x11223344;
  request.aio_sigevent.sigev_notify_kevent_flags = EV_ONESHOT;

  EXPECT(kind(request.aio_sigevent.sigev_notify) == 2);
  EXPECT(request.aio_sigevent.sigev_signo == 11);
  EXPECT(request.aio_sigevent.sigev_value.sival_ptr == &mark);
  EXPECT(request.aio_sigevent.sigev_notify_kqueue == 0x11223344);
  EXPECT(request.aio_sigevent.sigev_notify_kevent_flags == EV_ONESHOT);

  /* glibc's own members have kept their names and meaning. */
  request.aio_sigevent.sigev_notify_function = NULL;
  request.aio_sigevent.sigev_notify_attributes = NULL;
  EXPECT(request.aio_sigevent.sigev_notify == SIGEV_KEVENT);
  EXPECT(request.aio_sigevent.sigev_signo == 11);
  return EXPECT_RESULT();
}
