/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <kqueue/sys/event.h>, first and alone, is <sys/event.h>.
 */
#include <kqueue/sys/event.h>

int kqueue_alias(struct kevent* k);

int kqueue_alias(struct kevent* k) {
  EV_SET(k, 1, EVFILT_USER, EV_ADD, 0, 0, 0);
  return kqueue();
}
