/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: EV_SET fills every field, evaluates every argument once and captures no argument.
 * Contract: shared by both layouts and both languages (the other ev_set_* files include this one).
 */
#include <string.h>
#include <sys/event.h>

#include "expect.h"

static int evaluations;

/* Counts itself; the seven digits of the count say which argument was evaluated how often. */
static int once(int position, int value) {
  int weight = 1;
  while (position-- > 0) weight *= 10;
  evaluations += weight;
  return value;
}

static void fills_every_field(void) {
  struct kevent change;
  int mark;
  memset(&change, 0xa5, sizeof(change));
  EV_SET(&change, 7, EVFILT_WRITE, EV_ADD | EV_CLEAR, NOTE_LOWAT, -3, &mark);
  EXPECT(change.ident == 7);
  EXPECT(change.filter == EVFILT_WRITE);
  EXPECT(change.flags == (EV_ADD | EV_CLEAR));
  EXPECT(change.fflags == NOTE_LOWAT);
  EXPECT(change.data == -3);
  EXPECT(change.udata == &mark);
#if defined(QUAY_KEVENT_EXT)
  EXPECT(change.ext[0] == 0 && change.ext[1] == 0 && change.ext[2] == 0 && change.ext[3] == 0);
#endif
}

static void keeps_the_widest_values(void) {
  struct kevent change;
  EV_SET(&change, UINTPTR_MAX, -32768, 0xffff, 0xffffffffu, INTPTR_MIN, (void*)UINTPTR_MAX);
  EXPECT(change.ident == UINTPTR_MAX);
  EXPECT(change.filter == -32768);
  EXPECT(change.flags == 0xffff);
  EXPECT(change.fflags == 0xffffffffu);
  EXPECT(change.data == INTPTR_MIN);
  EXPECT((uintptr_t)change.udata == UINTPTR_MAX);
  EV_SET(&change, -1, EVFILT_READ, EV_DELETE, 0, INTPTR_MAX, 0);
  EXPECT(change.ident == UINTPTR_MAX);
  EXPECT(change.data == INTPTR_MAX);
}

static void evaluates_each_argument_once(void) {
  struct kevent changes[2];
  struct kevent* slot = changes;
  char marks[4];
  char* mark = marks;
  memset(changes, 0, sizeof(changes));
  evaluations = 0;
  EV_SET(slot++, once(0, 5), once(1, EVFILT_TIMER), once(2, EV_ADD), once(3, NOTE_SECONDS),
         once(4, 9), mark++);
  EXPECT(slot == changes + 1);
  EXPECT(mark == marks + 1);
  EXPECT(evaluations == 11111);
  EXPECT(changes[0].ident == 5 && changes[0].filter == EVFILT_TIMER && changes[0].flags == EV_ADD);
  EXPECT(changes[0].fflags == NOTE_SECONDS && changes[0].data == 9);
  EXPECT(changes[0].udata == marks);
}

/* Variables called as a macro might call its own: with a capture the values would be swapped. */
static void captures_no_argument(void) {
  struct kevent event;
  struct kevent *kevp = &event, *kev = &event, *kevp_ = &event, *ev = &event, *e = &event;
  int ident = 1, filter = EVFILT_READ, flags = EV_ADD, fflags = 2, data = 3;
  int a = 11, b = EVFILT_WRITE, c = EV_DELETE, d = 12, f = 14;
  int ident_ = 21, filter_ = EVFILT_USER, flags_ = EV_ENABLE, fflags_ = 22, data_ = 23;
  void *udata = &ident, *udata_ = &ident_, *p = &a;

  EV_SET(kevp, ident, filter, flags, fflags, data, udata);
  EXPECT(event.ident == 1 && event.filter == EVFILT_READ && event.flags == EV_ADD);
  EXPECT(event.fflags == 2 && event.data == 3 && event.udata == &ident);

  EV_SET(e, a, b, c, d, f, p);
  EXPECT(event.ident == 11 && event.filter == EVFILT_WRITE && event.flags == EV_DELETE);
  EXPECT(event.fflags == 12 && event.data == 14 && event.udata == &a);

  EV_SET(kevp_, ident_, filter_, flags_, fflags_, data_, udata_);
  EXPECT(event.ident == 21 && event.filter == EVFILT_USER && event.flags == EV_ENABLE);
  EXPECT(event.fflags == 22 && event.data == 23 && event.udata == &ident_);

  /* An event made from itself, field by field. */
  EV_SET(ev, kev->ident, kev->filter, kev->flags, kev->fflags, kev->data, kev->udata);
  EXPECT(event.ident == 21 && event.filter == EVFILT_USER && event.flags == EV_ENABLE);
  EXPECT(event.fflags == 22 && event.data == 23 && event.udata == &ident_);
}

static void accepts_every_kind_of_udata(void) {
  static const char text[] = "text";
  const char* constant = text;
  volatile int word = 0;
  struct kevent change;
  intptr_t number = -2;
  unsigned long id = 42;

  EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, 0);
  EXPECT(change.udata == NULL);
  EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, NULL);
  EXPECT(change.udata == NULL);
  EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, text);
  EXPECT(change.udata == text);
  EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, constant);
  EXPECT(change.udata == text);
  EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, &word);
  EXPECT(change.udata == (void*)(uintptr_t)&word);
  EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, number);
  EXPECT((intptr_t)change.udata == -2);
  EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, id);
  EXPECT((uintptr_t)change.udata == 42);
  EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, 7);
  EXPECT((uintptr_t)change.udata == 7);
  EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, &change);
  EXPECT(change.udata == &change);
}

/* A statement like any other, also without braces. */
static void is_one_statement(void) {
  struct kevent change;
  int yes = 1;
  if (yes)
    EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, NULL);
  else
    EV_SET(&change, 2, EVFILT_READ, EV_ADD, 0, 0, NULL);
  EXPECT(change.ident == 1);
}

#if !defined(QUAY_TESTS_EV_SET_MORE)
#define QUAY_TESTS_EV_SET_MORE() (void)0
#endif

int main(void) {
  fills_every_field();
  keeps_the_widest_values();
  evaluates_each_argument_once();
  captures_no_argument();
  accepts_every_kind_of_udata();
  is_one_statement();
  QUAY_TESTS_EV_SET_MORE();
  return EXPECT_RESULT();
}
