// SPDX-License-Identifier: BSD-2-Clause
//
// What: names left to other programs, in C++.
#include "forbidden_names.c"
