// SPDX-License-Identifier: BSD-2-Clause
//
// What: a stranger's program that knows only quay.h: makes a queue of another dialect and closes it.
// Contract: exit status 0 iff both succeed.
#include <quay/quay.h>
#include <stdio.h>

int main(void) {
  int queue = quay_kqueue(QUAY_DIALECT_NETBSD, 0);
  if (queue < 0 || quay_close(queue) != 0) {
    perror("quay");
    return 1;
  }
  return 0;
}
