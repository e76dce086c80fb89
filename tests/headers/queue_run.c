/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: the list macros that <sys/queue.h> adds to libc's, on lists of four elements.
 * Contract: queue(3) of FreeBSD and OpenBSD. Elements that a _SAFE loop removes are overwritten
 * with bytes that no pointer survives.
 */
#include <sys/queue.h>
/* NULL and the like must not depend on what came first. */
#include <string.h>

#include "expect.h"

/* libc's own TAILQ_HEAD and TAILQ_ENTRY pass empty macro arguments, which C90 had not. */
#if defined(__clang__) && !defined(__cplusplus)
#pragma clang diagnostic ignored "-Wc99-extensions"
#endif

enum { kElements = 4 };

/*
 * libc's TAILQ_LAST and TAILQ_PREV read an element's link as if it were a head. An optimizer that
 * sees the link being written, in the same function, may hold the two for different objects.
 */
#define SETTLE() __asm__ __volatile__("" ::: "memory")

struct item {
  int number;
  SLIST_ENTRY(item) slink;
  LIST_ENTRY(item) link;
  STAILQ_ENTRY(item) stail;
  SIMPLEQ_ENTRY(item) simple;
  TAILQ_ENTRY(item) tail;
};

SLIST_HEAD(slist_head, item);
LIST_HEAD(list_head, item);
STAILQ_HEAD(stailq_head, item);
SIMPLEQ_HEAD(simpleq_head, item);
TAILQ_HEAD(tailq_head, item);

/* Fresh elements 1 to 4. */
static struct item* fresh(struct item* items) {
  int i;
  memset(items, 0, sizeof(*items) * kElements);
  for (i = 0; i < kElements; ++i) items[i].number = i + 1;
  return items;
}

static void destroy(struct item* item) { memset(item, 0xa5, sizeof(*item)); }

static void slist(void) {
  struct item items[kElements], more[kElements];
  struct item *var, *next, **link;
  struct slist_head head = SLIST_HEAD_INITIALIZER(head);
  struct slist_head other = SLIST_HEAD_INITIALIZER(other);
  int digits = 0, i;

  fresh(items);
  for (i = kElements - 1; i >= 0; --i) SLIST_INSERT_HEAD(&head, &items[i], slink);
  SLIST_REMOVE_AFTER(&items[0], slink);
  SLIST_FOREACH(var, &head, slink) digits = digits * 10 + var->number;
  EXPECT(digits == 134);

  var = &items[2];
  digits = 0;
  SLIST_FOREACH_FROM(var, &head, slink) digits = digits * 10 + var->number;
  EXPECT(digits == 34);
  var = NULL;
  digits = 0;
  SLIST_FOREACH_FROM(var, &head, slink) digits = digits * 10 + var->number;
  EXPECT(digits == 134);

  SLIST_FOREACH_PREVPTR(var, link, &head, slink) {
    if (var->number == 3) break;
  }
  EXPECT(link == &items[0].slink.sle_next);

  fresh(more);
  SLIST_INSERT_HEAD(&other, &more[1], slink);
  SLIST_CONCAT(&head, &other, item, slink);
  EXPECT(SLIST_EMPTY(&other));
  SLIST_SWAP(&head, &other, item);
  EXPECT(SLIST_EMPTY(&head));
  digits = 0;
  SLIST_FOREACH_SAFE(var, &other, slink, next) {
    digits = digits * 10 + var->number;
    SLIST_REMOVE_HEAD(&other, slink);
    destroy(var);
  }
  EXPECT(digits == 1342);
  EXPECT(SLIST_EMPTY(&other) && SLIST_FIRST(&other) == SLIST_END(&other));
  SLIST_CONCAT(&head, &other, item, slink);
  EXPECT(SLIST_EMPTY(&head));
}

static void list(void) {
  struct item items[kElements], more[kElements];
  struct item *var, *next;
  struct list_head head = LIST_HEAD_INITIALIZER(head);
  struct list_head other = LIST_HEAD_INITIALIZER(other);
  int digits = 0, i;

  fresh(items);
  for (i = kElements - 1; i >= 0; --i) LIST_INSERT_HEAD(&head, &items[i], link);
  EXPECT(LIST_PREV(&items[0], &head, item, link) == NULL);
  EXPECT(LIST_PREV(&items[2], &head, item, link) == &items[1]);

  fresh(more);
  more[0].number = 9;
  LIST_REPLACE(&items[1], &more[0], link);
  destroy(&items[1]);
  LIST_REPLACE(&items[3], &more[3], link);
  destroy(&items[3]);
  LIST_FOREACH(var, &head, link) digits = digits * 10 + var->number;
  EXPECT(digits == 1934);
  EXPECT(LIST_PREV(&items[2], &head, item, link) == &more[0]);

  var = NULL;
  digits = 0;
  LIST_FOREACH_FROM(var, &head, link) digits = digits * 10 + var->number;
  EXPECT(digits == 1934);
  var = &items[2];
  digits = 0;
  LIST_FOREACH_FROM(var, &head, link) digits = digits * 10 + var->number;
  EXPECT(digits == 34);

  LIST_INSERT_HEAD(&other, &more[1], link);
  LIST_SWAP(&head, &other, item, link);
  EXPECT(LIST_FIRST(&head) == &more[1] && LIST_NEXT(&more[1], link) == NULL);
  EXPECT(LIST_PREV(&more[1], &head, item, link) == NULL);
  EXPECT(LIST_PREV(&items[0], &other, item, link) == NULL);
  LIST_CONCAT(&head, &other, item, link);
  EXPECT(LIST_EMPTY(&other) && LIST_FIRST(&other) == LIST_END(&other));
  EXPECT(LIST_PREV(&items[0], &head, item, link) == &more[1]);

  digits = 0;
  LIST_FOREACH_SAFE(var, &head, link, next) {
    digits = digits * 10 + var->number;
    LIST_REMOVE(var, link);
    destroy(var);
  }
  EXPECT(digits == 21934);
  EXPECT(LIST_EMPTY(&head));
}

static void stailq(void) {
  struct item items[kElements], more[kElements];
  struct item *var, *next;
  struct stailq_head head = STAILQ_HEAD_INITIALIZER(head);
  struct stailq_head other = STAILQ_HEAD_INITIALIZER(other);
  int digits = 0, i;

  EXPECT(STAILQ_LAST(&head, item, stail) == NULL);
  fresh(items);
  for (i = 0; i < kElements; ++i) STAILQ_INSERT_TAIL(&head, &items[i], stail);
  EXPECT(STAILQ_LAST(&head, item, stail) == &items[3]);

  STAILQ_REMOVE_AFTER(&head, &items[0], stail);
  EXPECT(STAILQ_LAST(&head, item, stail) == &items[3]);
  STAILQ_REMOVE_AFTER(&head, &items[2], stail);
  EXPECT(STAILQ_LAST(&head, item, stail) == &items[2]);

  var = &items[2];
  STAILQ_FOREACH_FROM(var, &head, stail) digits = digits * 10 + var->number;
  EXPECT(digits == 3);
  var = NULL;
  digits = 0;
  STAILQ_FOREACH_FROM(var, &head, stail) digits = digits * 10 + var->number;
  EXPECT(digits == 13);

  STAILQ_SWAP(&head, &other, item);
  EXPECT(STAILQ_EMPTY(&head) && STAILQ_LAST(&other, item, stail) == &items[2]);
  /* The empty one is whole again: its end is its own. */
  fresh(more);
  STAILQ_INSERT_TAIL(&head, &more[3], stail);
  STAILQ_INSERT_TAIL(&other, &more[1], stail);
  EXPECT(STAILQ_FIRST(&head) == &more[3] && STAILQ_NEXT(&items[2], stail) == &more[1]);

  digits = 0;
  STAILQ_FOREACH_SAFE(var, &other, stail, next) {
    digits = digits * 10 + var->number;
    STAILQ_REMOVE_HEAD(&other, stail);
    destroy(var);
  }
  EXPECT(digits == 132);
  EXPECT(STAILQ_EMPTY(&other));
}

static void simpleq(void) {
  struct item items[kElements];
  struct item *var, *next;
  struct simpleq_head head = SIMPLEQ_HEAD_INITIALIZER(head);
  int digits = 0, i;

  EXPECT(SIMPLEQ_LAST(&head, item, simple) == NULL);
  fresh(items);
  for (i = 0; i < kElements; ++i) SIMPLEQ_INSERT_TAIL(&head, &items[i], simple);
  EXPECT(SIMPLEQ_LAST(&head, item, simple) == &items[3]);
  SIMPLEQ_FOREACH_SAFE(var, &head, simple, next) {
    digits = digits * 10 + var->number;
    SIMPLEQ_REMOVE_HEAD(&head, simple);
    destroy(var);
  }
  EXPECT(digits == 1234);
  EXPECT(SIMPLEQ_EMPTY(&head) && SIMPLEQ_FIRST(&head) == SIMPLEQ_END(&head));
}

static void tailq(void) {
  struct item items[kElements], more[kElements];
  struct item *var, *next;
  struct tailq_head head = TAILQ_HEAD_INITIALIZER(head);
  struct tailq_head other = TAILQ_HEAD_INITIALIZER(other);
  int digits = 0, i;

  fresh(items);
  for (i = 0; i < kElements; ++i) TAILQ_INSERT_TAIL(&head, &items[i], tail);
  fresh(more);
  more[0].number = 9;
  more[1].number = 8;
  TAILQ_REPLACE(&head, &items[0], &more[0], tail);
  TAILQ_REPLACE(&head, &items[3], &more[1], tail);
  destroy(&items[0]);
  destroy(&items[3]);
  SETTLE();
  EXPECT(TAILQ_FIRST(&head) == &more[0] && TAILQ_LAST(&head, tailq_head) == &more[1]);

  var = &items[2];
  TAILQ_FOREACH_FROM(var, &head, tail) digits = digits * 10 + var->number;
  EXPECT(digits == 38);
  var = &items[2];
  digits = 0;
  TAILQ_FOREACH_REVERSE_FROM(var, &head, tailq_head, tail) digits = digits * 10 + var->number;
  EXPECT(digits == 329);

  TAILQ_SWAP(&head, &other, item, tail);
  SETTLE();
  EXPECT(TAILQ_EMPTY(&head) && TAILQ_LAST(&other, tailq_head) == &more[1]);
  TAILQ_INSERT_TAIL(&head, &more[3], tail);
  TAILQ_SWAP(&head, &other, item, tail);
  SETTLE();
  EXPECT(TAILQ_FIRST(&other) == &more[3] && TAILQ_LAST(&other, tailq_head) == &more[3]);

  digits = 0;
  TAILQ_FOREACH_REVERSE_SAFE(var, &head, tailq_head, tail, next) {
    digits = digits * 10 + var->number;
    if (var->number == 3) {
      TAILQ_REMOVE(&head, var, tail);
      destroy(var);
      SETTLE();
    }
  }
  EXPECT(digits == 8329);
  digits = 0;
  TAILQ_FOREACH_SAFE(var, &head, tail, next) {
    digits = digits * 10 + var->number;
    TAILQ_REMOVE(&head, var, tail);
    destroy(var);
  }
  EXPECT(digits == 928);
  EXPECT(TAILQ_EMPTY(&head) && TAILQ_FIRST(&head) == TAILQ_END(&head));
}

int main(void) {
  slist();
  list();
  stailq();
  simpleq();
  tailq();
  return EXPECT_RESULT();
}
