/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: ways in which servers and event libraries use the header.
 * Contract: each function is one such way; they only have to compile, without a warning.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/event.h>
#include <sys/queue.h>
#include <sys/sysctl.h>
#include <sys/time.h>
#include <sys/types.h>

#define AS_UDATA(pointer) ((void*)(pointer))

struct connection {
  int fd;
  unsigned generation : 1;
  LIST_ENTRY(connection) link;
};

void by_fields(struct kevent* change, struct connection* c, short filter, int wanted);
void tagged_pointer(struct kevent* change, struct connection* c);
struct connection* untag(const struct kevent* event, unsigned* generation);
int change_and_collect_in_one_array(int kq, struct kevent* list, int n);
int walk(int kq, struct kevent* list, int room, const struct timespec* timeout);
void pair(struct kevent* list, int fd, void* udata);
unsigned vnode_mask(void);
int own_marks(const struct kevent* event);

/* Field by field, the flags in an int. */
void by_fields(struct kevent* change, struct connection* c, short filter, int wanted) {
  change->ident = (uintptr_t)c->fd;
  change->filter = filter;
  change->flags = (unsigned short)(wanted | EV_ADD);
  change->fflags = 0;
  change->data = 0;
  change->udata = AS_UDATA(c);
}

/* A bit hidden in the pointer, taken off again. */
void tagged_pointer(struct kevent* change, struct connection* c) {
  EV_SET(change, c->fd, EVFILT_READ, EV_ADD | EV_CLEAR, NOTE_LOWAT, 1,
         AS_UDATA((uintptr_t)c | c->generation));
}
struct connection* untag(const struct kevent* event, unsigned* generation) {
  *generation = (unsigned)((uintptr_t)event->udata & 1);
  return (struct connection*)((uintptr_t)event->udata & (uintptr_t)~1);
}

/* One array for both lists; the count of one call is the count of the next. */
int change_and_collect_in_one_array(int kq, struct kevent* list, int n) {
  struct timespec timeout = {0, 0};
  n = kevent(kq, list, n, list, n, &timeout);
  return n < 0 ? 0 : n;
}

/* The loop of every server: errors first, then by filter. */
int walk(int kq, struct kevent* list, int room, const struct timespec* timeout) {
  int i, sum = 0, n = kevent(kq, NULL, 0, list, room, timeout);
  for (i = 0; i < n; i++) {
    struct kevent* event = &list[i];
    if (event->flags & EV_ERROR) {
      sum -= (int)event->data;
      continue;
    }
    if ((event->flags & EV_EOF) && event->fflags) sum += (int)event->fflags;
    switch (event->filter) {
      case EVFILT_READ:
      case EVFILT_WRITE:
        sum += (int)event->data;
        break;
      case EVFILT_TIMER:
      case EVFILT_SIGNAL:
        sum += (int)(intptr_t)event->udata;
        break;
      case EVFILT_PROC:
        sum += (event->fflags & (unsigned)NOTE_EXIT) != 0;
        break;
#ifdef EVFILT_USER
      case EVFILT_USER:
        EV_SET(event, event->ident, event->filter, EV_DELETE, 0, 0, event->udata);
        break;
#endif
      default:
        break;
    }
  }
  return sum;
}

/* Two changes at once, by pointer arithmetic, 0 for udata. */
void pair(struct kevent* list, int fd, void* udata) {
  int n = 0;
  EV_SET(list, fd, EVFILT_READ, EV_ADD, 0, 0, 0);
  EV_SET(list + 1, fd, EVFILT_WRITE, EV_DELETE, 0, 0, 0);
  EV_SET(&list[n++], (uintptr_t)fd, EVFILT_EMPTY, EV_ADD | EV_ONESHOT, 0, 0, udata);
}

/* What is there is used. */
unsigned vnode_mask(void) {
  return NOTE_ATTRIB | NOTE_WRITE | NOTE_RENAME | NOTE_DELETE | NOTE_EXTEND | NOTE_LINK
#ifdef NOTE_REVOKE
         | NOTE_REVOKE
#endif
#ifdef NOTE_CLOSE_WRITE
         | NOTE_CLOSE_WRITE
#endif
      ;
}

/* A mark in a change, under a name that the program may bring itself. */
#ifndef EV_OOBAND
#define EV_OOBAND EV_FLAG1
#endif
int own_marks(const struct kevent* event) { return (event->flags & (EV_OOBAND | EV_FLAG0)) != 0; }
