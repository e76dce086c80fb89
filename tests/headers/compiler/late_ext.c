/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: a program that asks for the extended layout when it already has the classic one is told so.
 */
#include <sys/event.h>
#define QUAY_KEVENT_EXT
#include <sys/event.h>
