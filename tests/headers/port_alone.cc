// SPDX-License-Identifier: BSD-2-Clause
//
// What: <port.h> first and alone, in C++.
#include "port_alone.c"
