// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's aio calls, put in front of libc: quay's engine serves them.
// Contract: <quay/aio.h>. All of them or none: what one call has submitted only the others of the
//           same engine can find. Programs that were built with libc's <aio.h> thus may name queues
//           and ports in their struct sigevent; for the rest the results are libc's.
// Invariants: the calls with 64 in their names are the same where struct aiocb64 is; elsewhere libc
//             keeps all of them.
#include <quay/aio.h>

#include "hooks/original.hpp"

#if defined(__LP64__)

// <aio.h> of the BSD face has bound the plain names to quay's: these are the symbols themselves.
// NOLINTBEGIN(bugprone-macro-parentheses): declarations, which parentheses would break
#define QUAY_AIO_HOOK(type, name, arguments, call)              \
  QUAY_HOOK type hook_##name arguments __asm__(#name);          \
  QUAY_HOOK type hook_##name##64 arguments __asm__(#name "64"); \
  type hook_##name arguments { return quay_##name call; }       \
  type hook_##name##64 arguments { return quay_##name call; }
// NOLINTEND(bugprone-macro-parentheses)

QUAY_AIO_HOOK(int, aio_read, (aiocb * block), (block))
QUAY_AIO_HOOK(int, aio_write, (aiocb * block), (block))
QUAY_AIO_HOOK(int, aio_fsync, (int op, aiocb* block), (op, block))
QUAY_AIO_HOOK(int, aio_error, (const aiocb* block), (block))
QUAY_AIO_HOOK(ssize_t, aio_return, (aiocb * block), (block))
QUAY_AIO_HOOK(int, aio_cancel, (int fd, aiocb* block), (fd, block))
QUAY_AIO_HOOK(int, aio_suspend, (const aiocb* const blocks[], int count, const timespec* timeout),
              (blocks, count, timeout))
QUAY_AIO_HOOK(int, lio_listio, (int mode, aiocb* const blocks[], int count, sigevent* event),
              (mode, blocks, count, event))

#endif
