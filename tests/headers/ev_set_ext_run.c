/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: EV_SET with the extended layout.
 */
#define QUAY_KEVENT_EXT
#include "ev_set_run.c"
