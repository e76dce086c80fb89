/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <aio.h> of the BSD face first and alone, with 64-bit offsets, where libc's own binds its
 *       names to others: types, prototypes, and names that remain free for members and variables.
 */
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include <aio.h>

#include "static_check.h"

struct operations {
  int aio_read, aio_write, aio_return, aio_suspend, lio_listio;
};

int aio_alone(void);

int aio_alone(void) {
  int (*read_call)(struct aiocb*) = aio_read;
  int (*write_call)(struct aiocb*) = aio_write;
  int (*readv_call)(struct aiocb*) = aio_readv;
  int (*writev_call)(struct aiocb*) = aio_writev;
  int (*fsync_call)(int, struct aiocb*) = aio_fsync;
  int (*error_call)(const struct aiocb*) = aio_error;
  ssize_t (*return_call)(struct aiocb*) = aio_return;
  int (*cancel_call)(int, struct aiocb*) = aio_cancel;
  int (*suspend_call)(const struct aiocb* const*, int, const struct timespec*) = aio_suspend;
  int (*list_call)(int, struct aiocb* const*, int, struct sigevent*) = lio_listio;
  struct operations o = {1, 2, 3, 4, 5};
  int lio_listio_result = o.aio_read + o.lio_listio;
  struct aiocb block;
  block.aio_iov = 0;
  block.aio_iovcnt = 0;
  return read_call != 0 && write_call != 0 && readv_call != 0 && writev_call != 0 &&
         fsync_call != 0 && error_call != 0 && return_call != 0 && cancel_call != 0 &&
         suspend_call != 0 && list_call != 0 && lio_listio_result == 6 && block.aio_iov == 0;
}

STATIC_CHECK(sizeof(((struct aiocb*)0)->aio_offset) == 8);
