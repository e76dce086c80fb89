// SPDX-License-Identifier: BSD-2-Clause
//
// What: the constants as C++ sees them.
#include "values.c"
