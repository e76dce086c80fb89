/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <sys/event.h> by the name under which software that was written for libkqueue may include it.
 */
#include <sys/event.h>
