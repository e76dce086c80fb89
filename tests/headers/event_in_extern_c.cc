// SPDX-License-Identifier: BSD-2-Clause
//
// What: a C++ program that wraps its C headers in extern "C", as many do.
extern "C" {
#include <quay/quay.h>
#include <sys/event.h>
#include <sys/queue.h>
#include <sys/sysctl.h>
}

void event_in_extern_c(struct kevent* change, void* udata);

void event_in_extern_c(struct kevent* change, void* udata) {
  EV_SET(change, 1, EVFILT_READ, EV_ADD, 0, 0, udata);
}
