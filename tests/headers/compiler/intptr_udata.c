/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: a program of the time when NetBSD's udata was an intptr_t. It compiles in C; that the
 *       compiler warns is right, hence it is compiled by a test and not by the build.
 */
#include <sys/event.h>

void remember(struct kevent* change, intptr_t number);
intptr_t recall(const struct kevent* event);

void remember(struct kevent* change, intptr_t number) { change->udata = number; }
intptr_t recall(const struct kevent* event) { return (intptr_t)event->udata; }
