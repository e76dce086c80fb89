// SPDX-License-Identifier: BSD-2-Clause
//
// What: <aio.h> of the BSD face first and alone, as C++ sees it.
#include "aio_alone.c"
