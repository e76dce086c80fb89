/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: the list macros that BSD programs expect of <sys/queue.h> and that libc's lacks.
 * Contract: queue(3) of FreeBSD; LIST_REPLACE, TAILQ_REPLACE and the *_END of OpenBSD.
 * Invariants:
 * 1. libc's header comes first and stays what it is: everything below is under #ifndef, so a libc
 *    that gains a macro, or a program that brings its own, wins.
 * 2. In the _SAFE loops the element under the hand may be removed and freed: its successor is read
 *    before the body runs. A _FROM loop starts at var, or at the head when var is NULL.
 */
#ifndef QUAY_BSD_SYS_QUEUE_H_
#define QUAY_BSD_SYS_QUEUE_H_

/* #include_next is an extension that -Wpedantic names in every program that includes this. */
#if defined(__GNUC__)
#pragma GCC system_header
#endif
#include <stddef.h>
#if !defined(__has_include_next)
#include_next <sys/queue.h>
#elif __has_include_next(<sys/queue.h>)
#include_next <sys/queue.h>
#endif

/* Singly linked lists: whole, for a libc without the header (musl); of the other kinds only what follows. */
#ifndef SLIST_HEAD
#define SLIST_HEAD(name, type) \
  struct name {                \
    struct type* slh_first;    \
  }
#define SLIST_HEAD_INITIALIZER(head) \
  { NULL }
#define SLIST_ENTRY(type)  \
  struct {                 \
    struct type* sle_next; \
  }
#define SLIST_FIRST(head) ((head)->slh_first)
#define SLIST_NEXT(elm, field) ((elm)->field.sle_next)
#define SLIST_EMPTY(head) (SLIST_FIRST(head) == NULL)
#define SLIST_INIT(head) ((void)(SLIST_FIRST(head) = NULL))
#define SLIST_FOREACH(var, head, field) \
  for ((var) = SLIST_FIRST(head); (var) != NULL; (var) = SLIST_NEXT(var, field))
#define SLIST_INSERT_HEAD(head, elm, field)     \
  do {                                          \
    SLIST_NEXT(elm, field) = SLIST_FIRST(head); \
    SLIST_FIRST(head) = (elm);                  \
  } while (0)
#define SLIST_INSERT_AFTER(at, elm, field)          \
  do {                                              \
    SLIST_NEXT(elm, field) = SLIST_NEXT(at, field); \
    SLIST_NEXT(at, field) = (elm);                  \
  } while (0)
#define SLIST_REMOVE_HEAD(head, field) \
  ((void)(SLIST_FIRST(head) = SLIST_NEXT(SLIST_FIRST(head), field)))
#define SLIST_REMOVE(head, elm, type, field)                                   \
  do {                                                                         \
    struct type** quay_link_ = &SLIST_FIRST(head);                             \
    while (*quay_link_ != (elm)) quay_link_ = &SLIST_NEXT(*quay_link_, field); \
    *quay_link_ = SLIST_NEXT(elm, field);                                      \
  } while (0)
#endif
#ifndef SLIST_END
#define SLIST_END(head) NULL
#endif
#ifndef SLIST_FOREACH_FROM
#define SLIST_FOREACH_FROM(var, head, field)                             \
  for ((var) = (var) != NULL ? (var) : SLIST_FIRST(head); (var) != NULL; \
       (var) = SLIST_NEXT(var, field))
#endif
#ifndef SLIST_FOREACH_SAFE
#define SLIST_FOREACH_SAFE(var, head, field, tvar)                                       \
  for ((var) = SLIST_FIRST(head); (var) != NULL && ((tvar) = SLIST_NEXT(var, field), 1); \
       (var) = (tvar))
#endif
#ifndef SLIST_FOREACH_PREVPTR
#define SLIST_FOREACH_PREVPTR(var, varp, head, field) \
  for ((varp) = &SLIST_FIRST(head); ((var) = *(varp)) != NULL; (varp) = &SLIST_NEXT(var, field))
#endif
#ifndef SLIST_REMOVE_AFTER
#define SLIST_REMOVE_AFTER(elm, field)                                  \
  do {                                                                  \
    SLIST_NEXT(elm, field) = SLIST_NEXT(SLIST_NEXT(elm, field), field); \
  } while (0)
#endif
#ifndef SLIST_CONCAT
#define SLIST_CONCAT(head1, head2, type, field)                            \
  do {                                                                     \
    struct type** quay_end_ = &SLIST_FIRST(head1);                         \
    while (*quay_end_ != NULL) quay_end_ = &SLIST_NEXT(*quay_end_, field); \
    *quay_end_ = SLIST_FIRST(head2);                                       \
    SLIST_INIT(head2);                                                     \
  } while (0)
#endif
#ifndef SLIST_SWAP
#define SLIST_SWAP(head1, head2, type)             \
  do {                                             \
    struct type* quay_first_ = SLIST_FIRST(head1); \
    SLIST_FIRST(head1) = SLIST_FIRST(head2);       \
    SLIST_FIRST(head2) = quay_first_;              \
  } while (0)
#endif

/* Lists. */
#ifndef LIST_END
#define LIST_END(head) NULL
#endif
#ifndef LIST_FOREACH_FROM
#define LIST_FOREACH_FROM(var, head, field)                             \
  for ((var) = (var) != NULL ? (var) : LIST_FIRST(head); (var) != NULL; \
       (var) = LIST_NEXT(var, field))
#endif
#ifndef LIST_FOREACH_SAFE
#define LIST_FOREACH_SAFE(var, head, field, tvar)                                      \
  for ((var) = LIST_FIRST(head); (var) != NULL && ((tvar) = LIST_NEXT(var, field), 1); \
       (var) = (tvar))
#endif
#ifndef LIST_PREV
/* le_prev addresses the link that leads to elm; of a first element that is the head's. */
#define LIST_PREV(elm, head, type, field)                           \
  ((elm)->field.le_prev == &LIST_FIRST(head)                        \
       ? (struct type*)NULL                                         \
       : (struct type*)(void*)((char*)(void*)(elm)->field.le_prev - \
                               offsetof(struct type, field.le_next)))
#endif
#ifndef LIST_REPLACE
#define LIST_REPLACE(elm, elm2, field)                               \
  do {                                                               \
    if (((elm2)->field.le_next = (elm)->field.le_next) != NULL)      \
      (elm2)->field.le_next->field.le_prev = &(elm2)->field.le_next; \
    (elm2)->field.le_prev = (elm)->field.le_prev;                    \
    *(elm2)->field.le_prev = (elm2);                                 \
  } while (0)
#endif
#ifndef LIST_CONCAT
#define LIST_CONCAT(head1, head2, type, field)                                                  \
  do {                                                                                          \
    struct type** quay_end_ = &LIST_FIRST(head1);                                               \
    while (*quay_end_ != NULL) quay_end_ = &LIST_NEXT(*quay_end_, field);                       \
    if ((*quay_end_ = LIST_FIRST(head2)) != NULL) LIST_FIRST(head2)->field.le_prev = quay_end_; \
    LIST_INIT(head2);                                                                           \
  } while (0)
#endif
#ifndef LIST_SWAP
#define LIST_SWAP(head1, head2, type, field)                                              \
  do {                                                                                    \
    struct type* quay_first_ = LIST_FIRST(head1);                                         \
    LIST_FIRST(head1) = LIST_FIRST(head2);                                                \
    LIST_FIRST(head2) = quay_first_;                                                      \
    if (LIST_FIRST(head1) != NULL) LIST_FIRST(head1)->field.le_prev = &LIST_FIRST(head1); \
    if (LIST_FIRST(head2) != NULL) LIST_FIRST(head2)->field.le_prev = &LIST_FIRST(head2); \
  } while (0)
#endif

/* Singly linked tail queues. */
#ifndef STAILQ_FOREACH_FROM
#define STAILQ_FOREACH_FROM(var, head, field)                             \
  for ((var) = (var) != NULL ? (var) : STAILQ_FIRST(head); (var) != NULL; \
       (var) = STAILQ_NEXT(var, field))
#endif
#ifndef STAILQ_FOREACH_SAFE
#define STAILQ_FOREACH_SAFE(var, head, field, tvar)                                        \
  for ((var) = STAILQ_FIRST(head); (var) != NULL && ((tvar) = STAILQ_NEXT(var, field), 1); \
       (var) = (tvar))
#endif
#ifndef STAILQ_LAST
/* stqh_last addresses the link of the last element. */
#define STAILQ_LAST(head, type, field)                                          \
  (STAILQ_EMPTY(head) ? (struct type*)NULL                                      \
                      : (struct type*)(void*)((char*)(void*)(head)->stqh_last - \
                                              offsetof(struct type, field.stqe_next)))
#endif
#ifndef STAILQ_REMOVE_AFTER
#define STAILQ_REMOVE_AFTER(head, elm, field)                                          \
  do {                                                                                 \
    STAILQ_NEXT(elm, field) = STAILQ_NEXT(STAILQ_NEXT(elm, field), field);             \
    if (STAILQ_NEXT(elm, field) == NULL) (head)->stqh_last = &STAILQ_NEXT(elm, field); \
  } while (0)
#endif
#ifndef STAILQ_SWAP
#define STAILQ_SWAP(head1, head2, type)                                 \
  do {                                                                  \
    struct type* quay_first_ = STAILQ_FIRST(head1);                     \
    struct type** quay_last_ = (head1)->stqh_last;                      \
    STAILQ_FIRST(head1) = STAILQ_FIRST(head2);                          \
    (head1)->stqh_last = (head2)->stqh_last;                            \
    STAILQ_FIRST(head2) = quay_first_;                                  \
    (head2)->stqh_last = quay_last_;                                    \
    if (STAILQ_EMPTY(head1)) (head1)->stqh_last = &STAILQ_FIRST(head1); \
    if (STAILQ_EMPTY(head2)) (head2)->stqh_last = &STAILQ_FIRST(head2); \
  } while (0)
#endif

/* Simple queues: NetBSD's and OpenBSD's name of the same. */
#ifndef SIMPLEQ_END
#define SIMPLEQ_END(head) NULL
#endif
#ifndef SIMPLEQ_FOREACH_SAFE
#define SIMPLEQ_FOREACH_SAFE(var, head, field, tvar)                                         \
  for ((var) = SIMPLEQ_FIRST(head); (var) != NULL && ((tvar) = SIMPLEQ_NEXT(var, field), 1); \
       (var) = (tvar))
#endif
#ifndef SIMPLEQ_LAST
#define SIMPLEQ_LAST(head, type, field)                                         \
  (SIMPLEQ_EMPTY(head) ? (struct type*)NULL                                     \
                       : (struct type*)(void*)((char*)(void*)(head)->sqh_last - \
                                               offsetof(struct type, field.sqe_next)))
#endif

/* Tail queues. */
#ifndef TAILQ_END
#define TAILQ_END(head) NULL
#endif
#ifndef TAILQ_FOREACH_FROM
#define TAILQ_FOREACH_FROM(var, head, field)                             \
  for ((var) = (var) != NULL ? (var) : TAILQ_FIRST(head); (var) != NULL; \
       (var) = TAILQ_NEXT(var, field))
#endif
#ifndef TAILQ_FOREACH_SAFE
#define TAILQ_FOREACH_SAFE(var, head, field, tvar)                                       \
  for ((var) = TAILQ_FIRST(head); (var) != NULL && ((tvar) = TAILQ_NEXT(var, field), 1); \
       (var) = (tvar))
#endif
#ifndef TAILQ_FOREACH_REVERSE_FROM
#define TAILQ_FOREACH_REVERSE_FROM(var, head, headname, field)                    \
  for ((var) = (var) != NULL ? (var) : TAILQ_LAST(head, headname); (var) != NULL; \
       (var) = TAILQ_PREV(var, headname, field))
#endif
#ifndef TAILQ_FOREACH_REVERSE_SAFE
#define TAILQ_FOREACH_REVERSE_SAFE(var, head, headname, field, tvar) \
  for ((var) = TAILQ_LAST(head, headname);                           \
       (var) != NULL && ((tvar) = TAILQ_PREV(var, headname, field), 1); (var) = (tvar))
#endif
#ifndef TAILQ_REPLACE
#define TAILQ_REPLACE(head, elm, elm2, field)                           \
  do {                                                                  \
    if (((elm2)->field.tqe_next = (elm)->field.tqe_next) != NULL)       \
      (elm2)->field.tqe_next->field.tqe_prev = &(elm2)->field.tqe_next; \
    else                                                                \
      (head)->tqh_last = &(elm2)->field.tqe_next;                       \
    (elm2)->field.tqe_prev = (elm)->field.tqe_prev;                     \
    *(elm2)->field.tqe_prev = (elm2);                                   \
  } while (0)
#endif
#ifndef TAILQ_SWAP
#define TAILQ_SWAP(head1, head2, type, field)                   \
  do {                                                          \
    struct type* quay_first_ = TAILQ_FIRST(head1);              \
    struct type** quay_last_ = (head1)->tqh_last;               \
    TAILQ_FIRST(head1) = TAILQ_FIRST(head2);                    \
    (head1)->tqh_last = (head2)->tqh_last;                      \
    TAILQ_FIRST(head2) = quay_first_;                           \
    (head2)->tqh_last = quay_last_;                             \
    if (TAILQ_EMPTY(head1))                                     \
      (head1)->tqh_last = &TAILQ_FIRST(head1);                  \
    else                                                        \
      TAILQ_FIRST(head1)->field.tqe_prev = &TAILQ_FIRST(head1); \
    if (TAILQ_EMPTY(head2))                                     \
      (head2)->tqh_last = &TAILQ_FIRST(head2);                  \
    else                                                        \
      TAILQ_FIRST(head2)->field.tqe_prev = &TAILQ_FIRST(head2); \
  } while (0)
#endif

#endif /* QUAY_BSD_SYS_QUEUE_H_ */
