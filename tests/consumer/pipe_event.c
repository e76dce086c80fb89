// SPDX-License-Identifier: BSD-2-Clause
//
// What: a stranger's C program: a byte in a pipe arrives as a READ event; the closed descriptor's note is gone.
// Contract: exit status 0 iff so.
#include <errno.h>
#include <stdio.h>
#include <sys/event.h>
#include <unistd.h>

static int fail(const char* what) {
  perror(what);
  return 1;
}

int main(void) {
  static const struct timespec at_once = {0, 0};
  int ends[2];
  struct kevent change;
  struct kevent event;
  int queue = kqueue();
  if (queue < 0 || pipe(ends) != 0) return fail("kqueue or pipe");
  EV_SET(&change, (uintptr_t)ends[0], EVFILT_READ, EV_ADD, 0, 0, NULL);
  if (kevent(queue, &change, 1, NULL, 0, NULL) != 0) return fail("EV_ADD");
  if (kevent(queue, NULL, 0, &event, 1, &at_once) != 0) return fail("an event out of nothing");
  if (write(ends[1], "q", 1) != 1) return fail("write");
  if (kevent(queue, NULL, 0, &event, 1, NULL) != 1) return fail("kevent");
  if (event.ident != (uintptr_t)ends[0] || event.filter != EVFILT_READ || event.data != 1) {
    return fail("another event than expected");
  }
  close(ends[0]);
  if (kevent(queue, NULL, 0, &event, 1, &at_once) != 0)
    return fail("an event of a closed descriptor");
  EV_SET(&change, (uintptr_t)ends[0], EVFILT_READ, EV_DELETE, 0, 0, NULL);
  if (kevent(queue, &change, 1, NULL, 0, NULL) != -1 || errno != EBADF) return fail("EV_DELETE");
  return 0;
}
