/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: what the two halves of both_layouts_run tell each other, free of struct kevent.
 */
#ifndef QUAY_TESTS_BOTH_LAYOUTS_H_
#define QUAY_TESTS_BOTH_LAYOUTS_H_

#include <stdint.h>

/* What a half saw of one event. */
struct seen_event {
  uintptr_t ident;
  int filter;
  unsigned fflags;
  int64_t data;
  void* udata;
  uint64_t ext[4]; /* all ones where the layout has none */
};

/* The half with the extended layout. Each returns kevent()'s result. */
int ext_add_user_event(int kq, uintptr_t ident, void* udata, const uint64_t ext[4]);
int ext_trigger_user_event(int kq, uintptr_t ident);
int ext_take_events(int kq, struct seen_event* seen, int room);
/* Bytes of a struct kevent, and bytes by which a std::vector of two has them apart. */
int ext_size();
int ext_stride();

#endif /* QUAY_TESTS_BOTH_LAYOUTS_H_ */
