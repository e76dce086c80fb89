/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What: what the consumers' C programs have in common: a check that ends the program.
 */
#ifndef QUAY_CONSUMER_CHECK_H_
#define QUAY_CONSUMER_CHECK_H_

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(what)                                                   \
  do {                                                                \
    if (!(what)) {                                                    \
      printf("line %d: %s (%s)\n", __LINE__, #what, strerror(errno)); \
      exit(1);                                                        \
    }                                                                 \
  } while (0)

static const struct timespec moment = {0, 20000000};

#endif
