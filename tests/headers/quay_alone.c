/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <quay/quay.h> first and alone: types, prototypes and the layout of struct quay_stats.
 */
#include <quay/quay.h>

#include "static_check.h"

int quay_alone(void);

int quay_alone(void) {
  int (*kqueue_call)(int, int) = quay_kqueue;
  int (*close_call)(int) = quay_close;
  ssize_t (*read_call)(int, void*, size_t) = quay_read;
  ssize_t (*readv_call)(int, const struct iovec*, int) = quay_readv;
  ssize_t (*write_call)(int, const void*, size_t) = quay_write;
  ssize_t (*writev_call)(int, const struct iovec*, int) = quay_writev;
  int (*fstat_call)(int, struct stat*) = quay_fstat;
  int (*ioctl_call)(int, unsigned long, ...) = quay_ioctl;
  int (*fcntl_call)(int, int, ...) = quay_fcntl;
  int (*poll_call)(struct pollfd*, nfds_t, int) = quay_poll;
  int (*tunable_set_call)(const char*, long) = quay_tunable_set;
  long (*tunable_get_call)(const char*) = quay_tunable_get;
  int (*stats_get_call)(struct quay_stats*, size_t) = quay_stats_get;
  return kqueue_call != NULL && close_call != NULL && read_call != NULL && readv_call != NULL &&
         write_call != NULL && writev_call != NULL && fstat_call != NULL && ioctl_call != NULL &&
         fcntl_call != NULL && poll_call != NULL && tunable_set_call != NULL &&
         tunable_get_call != NULL && stats_get_call != NULL;
}

/* Members are appended, never moved: programs of every age read the same bytes. */
#define MEMBER_AT(member, offset) STATIC_CHECK(offsetof(struct quay_stats, member) == (offset))
MEMBER_AT(version, 0);
MEMBER_AT(hooked, 4);
MEMBER_AT(queues, 8);
MEMBER_AT(notes, 16);
MEMBER_AT(timers, 24);
MEMBER_AT(events_delivered, 32);
MEMBER_AT(kevent_calls, 40);
MEMBER_AT(harvests, 48);
MEMBER_AT(sleeps, 56);
MEMBER_AT(spin_hits, 64);
MEMBER_AT(doorbells, 72);
MEMBER_AT(epoll_ctls, 80);
MEMBER_AT(lazy_disarms, 88);
MEMBER_AT(identity_checks, 96);
MEMBER_AT(stale_dropped, 104);
MEMBER_AT(rebuilds, 112);
MEMBER_AT(timer_programmings, 120);
MEMBER_AT(forks_survived, 128);
MEMBER_AT(ports, 136);
MEMBER_AT(port_queued, 144);
MEMBER_AT(port_waiters, 152);
MEMBER_AT(port_sent, 160);
MEMBER_AT(port_delivered, 168);
MEMBER_AT(port_denied, 176);
MEMBER_AT(port_cancelled, 184);
MEMBER_AT(port_refused, 192);
STATIC_CHECK(sizeof(struct quay_stats) == 200);
STATIC_CHECK(QUAY_STATS_VERSION == 2);
