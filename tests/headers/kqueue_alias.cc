// SPDX-License-Identifier: BSD-2-Clause
//
// What: kqueue_alias.c in C++.
#include "kqueue_alias.c"
