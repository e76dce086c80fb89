// SPDX-License-Identifier: BSD-2-Clause
//
// What: <quay/port_source.h> first and alone, in C++.
#include "port_source_alone.c"
