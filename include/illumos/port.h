/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <port.h>: event ports with illumos' names, values and layouts, for Linux programs.
 * Contract: port_create(3C) and its family; docs/man/port_create.3 and docs/design.md tell what differs here.
 * Invariants:
 * 1. Compiles alone, first, in C and C++.
 * 2. timer_create(), mq_notify() and their relatives are quay's own in a program that includes this
 *    header: they know SIGEV_PORT and pass everything else to libc.
 */
#ifndef QUAY_ILLUMOS_PORT_H_
#define QUAY_ILLUMOS_PORT_H_

#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/port.h>
#include <sys/types.h>
#include <time.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define QUAY_CALL_ extern __attribute__((__visibility__("default")))

/* A 32-bit program whose struct timespec is glibc's wide one reaches calls of other names. */
#if defined(__USE_TIME_BITS64) && defined(__TIMESIZE) && __TIMESIZE == 32
#define QUAY_WIDE_(name) __asm__(name "_time64")
#define QUAY_WIDE_TIMES_ 1
#else
#define QUAY_WIDE_(name)
#endif

QUAY_CALL_ int port_create(void);
/* flags: O_CLOEXEC, QUAY_PRIVATE of <quay/quay.h>. */
QUAY_CALL_ int port_create1(int flags);
QUAY_CALL_ int port_associate(int port, int source, uintptr_t object, int events, void* user)
    QUAY_WIDE_("port_associate");
QUAY_CALL_ int port_dissociate(int port, int source, uintptr_t object);
QUAY_CALL_ int port_send(int port, int events, void* user);
QUAY_CALL_ int port_sendn(int ports[], int errors[], uint_t nent, int events, void* user);
QUAY_CALL_ int port_get(int port, port_event_t* pe, struct timespec* timeout)
    QUAY_WIDE_("port_get");
QUAY_CALL_ int port_getn(int port, port_event_t list[], uint_t max, uint_t* nget,
                         struct timespec* timeout) QUAY_WIDE_("port_getn");
QUAY_CALL_ int port_alert(int port, int flags, int events, void* user);

/* sigev_notify of an event that goes to a port: sigev_value.sival_ptr is a port_notify_t. */
#define SIGEV_PORT 0x51

/*
 * The program's calls of these reach quay's functions, which pass on what is no port's. A program
 * that wants libc's own defines QUAY_KEEP_LIBC_TIMERS.
 */
#if !defined(QUAY_KEEP_LIBC_TIMERS) && defined(__REDIRECT_NTH) && defined(__USE_POSIX199309)
extern int __REDIRECT_NTH(timer_create,
                          (clockid_t clock, struct sigevent* __restrict event,
                           timer_t* __restrict timer),
                          quay_timer_create);
#if defined(QUAY_WIDE_TIMES_)
/* libc has renamed these two itself. */
extern int quay_timer_settime_time64(timer_t timer, int flags,
                                     const struct itimerspec* __restrict value,
                                     struct itimerspec* __restrict old) __THROW;
extern int quay_timer_gettime_time64(timer_t timer, struct itimerspec* value) __THROW;
#define timer_settime quay_timer_settime_time64
#define timer_gettime quay_timer_gettime_time64
#else
extern int __REDIRECT_NTH(timer_settime,
                          (timer_t timer, int flags, const struct itimerspec* __restrict value,
                           struct itimerspec* __restrict old),
                          quay_timer_settime);
extern int __REDIRECT_NTH(timer_gettime, (timer_t timer, struct itimerspec* value),
                          quay_timer_gettime);
#endif
extern int __REDIRECT_NTH(timer_getoverrun, (timer_t timer), quay_timer_getoverrun);
extern int __REDIRECT_NTH(timer_delete, (timer_t timer), quay_timer_delete);
extern int __REDIRECT_NTH(mq_notify, (mqd_t queue, const struct sigevent* event), quay_mq_notify);
extern int __REDIRECT_NTH(mq_close, (mqd_t queue), quay_mq_close);
#endif

#undef QUAY_CALL_
#undef QUAY_WIDE_
#undef QUAY_WIDE_TIMES_

#if defined(__cplusplus)
} /* extern "C" */
#endif

#endif /* QUAY_ILLUMOS_PORT_H_ */
