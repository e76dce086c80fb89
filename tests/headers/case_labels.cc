// SPDX-License-Identifier: BSD-2-Clause
//
// What: constants as case labels in C++, where a narrowing label is an error.
#include "case_labels.c"
