// SPDX-License-Identifier: BSD-2-Clause
//
// What: <quay/quay.h> first and alone, as C++.
#include "kfilter_alone.c"
