// SPDX-License-Identifier: BSD-2-Clause
//
// What: <sys/event.h> first and alone, with the extended layout, as C++.
#define QUAY_KEVENT_EXT
#define event_alone event_alone_ext
#include "event_alone.c"
