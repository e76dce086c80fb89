/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <sys/event.h> first and alone: what it must bring along is there, with the types promised.
 * Contract: shared by C and C++ (event_alone.cc includes this file).
 */
#include <sys/event.h>

int event_alone(void);

int event_alone(void) {
  /* The header's types, and those it pulls in. */
  struct kevent change;
  struct timespec timeout;
  struct timeval time_of_day;
  struct kfilter_mapping mapping;
  uintptr_t ident = 0;
  pid_t pid = 0;
  size_t size = 0;
  void* null = NULL;

  /* An assignment between unequal function types does not compile (C++) or warns (C). */
  int (*kqueue_call)(void) = kqueue;
  int (*kqueue1_call)(int) = kqueue1;
  int (*kqueuex_call)(unsigned int) = kqueuex;
  int (*kevent_call)(int, const struct kevent*, int, struct kevent*, int, const struct timespec*) =
      kevent;

  /* The same of the fields, by way of pointers. */
  uintptr_t* ident_field = &change.ident;
  short* filter_field = &change.filter;
  unsigned short* flags_field = &change.flags;
  unsigned int* fflags_field = &change.fflags;
#if defined(QUAY_KEVENT_EXT)
  int64_t* data_field = &change.data;
  uint64_t* ext_field = change.ext;
#else
  intptr_t* data_field = &change.data;
#endif
  void** udata_field = &change.udata;
  char** name_field = &mapping.name;
  size_t* len_field = &mapping.len;
  uint32_t* mapping_filter_field = &mapping.filter;

  timeout.tv_sec = 0;
  timeout.tv_nsec = 0;
  time_of_day.tv_usec = 0;
#if defined(QUAY_KEVENT_EXT)
  (void)ext_field;
#endif
  return timeout.tv_nsec == 0 && time_of_day.tv_usec == 0 && ident == 0 && pid == 0 && size == 0 &&
         null == NULL && kqueue_call != NULL && kqueue1_call != NULL && kqueuex_call != NULL &&
         kevent_call != NULL && ident_field != NULL && filter_field != NULL &&
         flags_field != NULL && fflags_field != NULL && data_field != NULL && udata_field != NULL &&
         name_field != NULL && len_field != NULL && mapping_filter_field != NULL;
}
