/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <quay/aio.h> first and alone: quay's names beside libc's, or beside the BSD face's that are
 *       bound to them.
 */
#include <quay/aio.h>

int quay_aio_alone(void);

int quay_aio_alone(void) {
  struct aiocb block;
  int (*own)(struct aiocb*) = quay_aio_read;
  int (*usual)(struct aiocb*) = aio_read;
  block.aio_fildes = -1;
  return own != 0 && usual != 0 && block.aio_fildes == -1;
}
