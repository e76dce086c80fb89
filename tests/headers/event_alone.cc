// SPDX-License-Identifier: BSD-2-Clause
//
// What: <sys/event.h> first and alone, as C++.
#include "event_alone.c"
