/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: the extended struct kevent (FreeBSD 12), byte by byte.
 */
#define QUAY_KEVENT_EXT
#include <sys/event.h>

#include "static_check.h"

#if UINTPTR_MAX > 0xffffffffu
STATIC_CHECK(sizeof(struct kevent) == 64);
STATIC_CHECK(offsetof(struct kevent, ident) == 0);
STATIC_CHECK(offsetof(struct kevent, filter) == 8);
STATIC_CHECK(offsetof(struct kevent, flags) == 10);
STATIC_CHECK(offsetof(struct kevent, fflags) == 12);
STATIC_CHECK(offsetof(struct kevent, data) == 16);
STATIC_CHECK(offsetof(struct kevent, udata) == 24);
STATIC_CHECK(offsetof(struct kevent, ext) == 32);
#endif
STATIC_CHECK(sizeof(((struct kevent*)0)->data) == 8);
STATIC_CHECK(sizeof(((struct kevent*)0)->ext) == 32);
