// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's aio calls, put in front of libc: quay's engine serves them.
// Contract: <quay/aio.h>. All of them or none: what one call has submitted only the others of the
//           same engine can find. Programs that were built with libc's <aio.h> thus may name queues
//           and ports in their struct sigevent; for the rest the results are libc's.
// Invariants: of libc's names for the widths of offset and time, each goes to quay's for the same.
#include <quay/aio.h>

#include "hooks/original.hpp"

// <aio.h> of the BSD face has bound the plain names to quay's: these are the symbols themselves.
// NOLINTBEGIN(bugprone-macro-parentheses): declarations, which parentheses would break
#define QUAY_AIO_HOOK(type, name, ours, arguments, call) \
  extern "C" type our_##name arguments __asm__(ours);    \
  QUAY_HOOK type hook_##name arguments __asm__(#name);   \
  type hook_##name arguments { return our_##name call; }
// NOLINTEND(bugprone-macro-parentheses)

// `wide`: what quay's own name ends with for the offsets that libc's has with 64 at its end.
#define QUAY_AIO_HOOKS(type, name, wide, arguments, call)   \
  QUAY_AIO_HOOK(type, name, "quay_" #name, arguments, call) \
  QUAY_AIO_HOOK(type, name##64, "quay_" #name wide, arguments, call)

#if defined(__TIMESIZE) && __TIMESIZE == 32
#define QUAY_WIDE "64"
QUAY_AIO_HOOK(int, __aio_suspend_time64, "quay_aio_suspend_time64",
              (const aiocb* const blocks[], int count, const void* timeout),
              (blocks, count, timeout))
#else
#define QUAY_WIDE ""
#endif

QUAY_AIO_HOOKS(int, aio_read, QUAY_WIDE, (aiocb * block), (block))
QUAY_AIO_HOOKS(int, aio_write, QUAY_WIDE, (aiocb * block), (block))
QUAY_AIO_HOOKS(int, aio_fsync, "", (int op, aiocb* block), (op, block))
QUAY_AIO_HOOKS(int, aio_error, "", (const aiocb* block), (block))
QUAY_AIO_HOOKS(ssize_t, aio_return, "", (aiocb * block), (block))
QUAY_AIO_HOOKS(int, aio_cancel, "", (int fd, aiocb* block), (fd, block))
QUAY_AIO_HOOKS(int, aio_suspend, "",
               (const aiocb* const blocks[], int count, const timespec* timeout),
               (blocks, count, timeout))
QUAY_AIO_HOOKS(int, lio_listio, QUAY_WIDE,
               (int mode, aiocb* const blocks[], int count, sigevent* event),
               (mode, blocks, count, event))
