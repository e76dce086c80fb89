/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <sys/event.h> where programs written for libkqueue look for it without pkg-config: as <kqueue/sys/event.h>, and by
 *       -I.../include/kqueue.
 */
#include "../../quay-bsd/sys/event.h"
