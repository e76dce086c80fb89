/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: the classic struct kevent, byte by byte: compiled programs depend on it.
 */
#include <sys/event.h>

#include "static_check.h"

#if UINTPTR_MAX > 0xffffffffu
STATIC_CHECK(sizeof(struct kevent) == 32);
STATIC_CHECK(offsetof(struct kevent, ident) == 0);
STATIC_CHECK(offsetof(struct kevent, filter) == 8);
STATIC_CHECK(offsetof(struct kevent, flags) == 10);
STATIC_CHECK(offsetof(struct kevent, fflags) == 12);
STATIC_CHECK(offsetof(struct kevent, data) == 16);
STATIC_CHECK(offsetof(struct kevent, udata) == 24);
#endif
STATIC_CHECK(sizeof(((struct kevent*)0)->data) == sizeof(intptr_t));
