// SPDX-License-Identifier: BSD-2-Clause
//
// What: names apart from each other as C++ sees them.
#include "collisions.c"
