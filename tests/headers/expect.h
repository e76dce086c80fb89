/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: what the programs among these tests report with: EXPECT counts and prints, main returns
 *       EXPECT_RESULT().
 * Contract: one inclusion per program; C90, like the tests.
 */
#ifndef QUAY_TESTS_EXPECT_H_
#define QUAY_TESTS_EXPECT_H_

#include <stdio.h>

static int expect_failures;

#define EXPECT(condition)                                                     \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      ++expect_failures;                                                      \
    }                                                                         \
  } while (0)

#define EXPECT_RESULT() (expect_failures == 0 ? 0 : 1)

#endif /* QUAY_TESTS_EXPECT_H_ */
