// SPDX-License-Identifier: BSD-2-Clause
//
// What: the layout that C sees, seen by C++.
#include "layout.c"
