// SPDX-License-Identifier: BSD-2-Clause
//
// What: <aio.h> before <sys/event.h>, in C++, where glibc's enumerator names are scoped
// differently.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <aio.h>
#include <sys/event.h>

void notify_by_queue(struct aiocb* request, int kq, void* udata);

void notify_by_queue(struct aiocb* request, int kq, void* udata) {
  request->aio_sigevent.sigev_notify = SIGEV_KEVENT;
  request->aio_sigevent.sigev_notify_kqueue = kq;
  request->aio_sigevent.sigev_notify_kevent_flags = EV_CLEAR;
  request->aio_sigevent.sigev_value.sival_ptr = udata;
}
