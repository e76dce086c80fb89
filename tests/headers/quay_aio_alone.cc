// SPDX-License-Identifier: BSD-2-Clause
//
// What: <quay/aio.h> first and alone, as C++ sees it.
#include "quay_aio_alone.c"
