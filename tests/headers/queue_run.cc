// SPDX-License-Identifier: BSD-2-Clause
//
// What: the list macros in C++.
#include "queue_run.c"
