/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: filters of a program's own for kevent(): NetBSD's kfilter interface, for objects that live in
 *       the process.
 * Contract: kfilter_register(9) and knote(9) of NetBSD; docs/man/kfilter.3 says where a process
 *       differs from a kernel.
 * Invariants:
 * 1. Compiles alone, first, in C and C++.
 * 2. A filter's functions are called without any lock of the library, and may take the program's.
 */
#ifndef QUAY_KFILTER_H_
#define QUAY_KFILTER_H_

#include <stddef.h>
#include <stdint.h>
/* The macros for the lists below, where libc has them: musl does not. */
#if !defined(__has_include)
#include <sys/queue.h>
#elif __has_include(<sys/queue.h>)
#include <sys/queue.h>
#endif

#if defined(__cplusplus)
extern "C" {
#endif

#define QUAY_CALL_ extern __attribute__((__visibility__("default")))

/*
 * One registration, as a filter's functions see it. f_attach gets the note itself, which it may link
 * into a klist; f_event gets the note's present values, of which it may change kn_flags (EV_EOF,
 * EV_ONESHOT), kn_fflags, kn_data and kn_hook.
 */
struct knote {
  struct {
    struct knote* sle_next;
  } kn_selnext;    /* SLIST_ENTRY(knote): for the klist; the program's while attached */
  uintptr_t kn_id; /* ident of the change */
  int kn_filter;
  unsigned short kn_flags; /* EV_*; f_attach may set EV_CLEAR */
  unsigned int kn_fflags;  /* what the event will carry */
  int64_t kn_data;         /* likewise */
  unsigned int kn_sfflags; /* fflags and data of the last change */
  int64_t kn_sdata;
  void* kn_hook; /* the filter's own */
};

/* The notes on one object. The program guards it, in its functions and around knote(). */
struct klist { /* SLIST_HEAD(klist, knote) */
  struct knote* slh_first;
};

struct filterops {
  int f_isfd;                         /* ident is a descriptor: the note ends when it is closed */
  int (*f_attach)(struct knote* kn);  /* returns 0, or the errno with which the change fails */
  void (*f_detach)(struct knote* kn); /* the note is gone once this returns */
  int (*f_event)(struct knote* kn, long hint); /* nonzero: the note has an event. hint: 0, or
                                                  knote()'s */
};

/*
 * kfilter_register: makes a filter known by a name and gives it a number for kevent(), in all
 * dialects. A number is never given twice in the life of a process.
 *
 * retfilter: where the number goes, or NULL.
 * Returns: 0, or an errno, which is in errno too: EINVAL (no name, no functions, no number left),
 *       EEXIST, ENOMEM.
 * Threads: any. Not async-signal-safe.
 */
QUAY_CALL_ int kfilter_register(const char* name, const struct filterops* ops, int* retfilter);

/*
 * kfilter_unregister: forgets a filter. Changes that name its number fail with EINVAL from then on.
 *
 * Returns: 0, or an errno, which is in errno too: EINVAL (no name, or a filter of the system's),
 *       ENOENT, EBUSY (notes exist).
 * Threads: any. Not async-signal-safe.
 */
QUAY_CALL_ int kfilter_unregister(const char* name);

/*
 * knote: asks every note on the list whether it has an event, and wakes the queues of those that do.
 *
 * Threads: any, with the list held still: by the lock that f_attach and f_detach take, too. Not
 *       async-signal-safe, and not to be called from a filter's function.
 */
QUAY_CALL_ void knote(struct klist* list, long hint);
#define KNOTE(list, hint)                             \
  do {                                                \
    if ((list)->slh_first != NULL) knote(list, hint); \
  } while (0)

/* The functions of what is always ready, with data 0. */
QUAY_CALL_ const struct filterops seltrue_filtops;

#undef QUAY_CALL_

#if defined(__cplusplus)
} /* extern "C" */
#endif

#endif /* QUAY_KFILTER_H_ */
