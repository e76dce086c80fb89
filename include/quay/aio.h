/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: POSIX asynchronous I/O by quay's own engine, under names of its own.
 * Contract: the calls of <aio.h> with struct aiocb of libc, plus FreeBSD's aio_readv() and
 *       aio_writev(). A block that was submitted here is asked after, waited for and cancelled
 *       here: the engine and libc's aio know nothing of each other. The <aio.h> of the BSD face
 *       gives these calls their usual names.
 *       A request that names a queue in its struct sigevent (SIGEV_KEVENT of <sys/event.h>) ends as
 *       an event of EVFILT_AIO, a list as one of EVFILT_LIO. docs/man/aio.3 has the whole story.
 * Invariants:
 * 1. Compiles alone, first, in C and C++.
 */
#ifndef QUAY_AIO_H_
#define QUAY_AIO_H_

#include <aio.h>
#include <sys/types.h>
#include <time.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define QUAY_CALL_ extern __attribute__((__visibility__("default")))

/* In a 32-bit program off_t and struct timespec have two sizes: the wide ones reach calls of other names. */
#if defined(__USE_FILE_OFFSET64) && defined(__TIMESIZE) && __TIMESIZE == 32
#define QUAY_OFFSET_(name) __asm__(name "64")
#else
#define QUAY_OFFSET_(name)
#endif
#if defined(__USE_TIME_BITS64) && defined(__TIMESIZE) && __TIMESIZE == 32
#define QUAY_WIDE_(name) __asm__(name "_time64")
#else
#define QUAY_WIDE_(name)
#endif

/*
 * quay_aio_read, quay_aio_write: transfer aio_nbytes at aio_offset; quay_aio_readv,
 * quay_aio_writev: with aio_buf an array of aio_nbytes struct iovec. quay_aio_fsync: op is O_SYNC or
 * O_DSYNC; covers the writes submitted on the descriptor before.
 *
 * Returns: 0 when the request is accepted (it may have finished already); -1 with EAGAIN, EBADF,
 *       EINVAL or EFAULT.
 * Threads: any. Not async-signal-safe.
 */
QUAY_CALL_ int quay_aio_read(struct aiocb* block) QUAY_OFFSET_("quay_aio_read");
QUAY_CALL_ int quay_aio_write(struct aiocb* block) QUAY_OFFSET_("quay_aio_write");
QUAY_CALL_ int quay_aio_readv(struct aiocb* block) QUAY_OFFSET_("quay_aio_readv");
QUAY_CALL_ int quay_aio_writev(struct aiocb* block) QUAY_OFFSET_("quay_aio_writev");
QUAY_CALL_ int quay_aio_fsync(int op, struct aiocb* block);

/*
 * quay_aio_error: EINPROGRESS, 0, or the errno of the request; EINVAL for a block that is none.
 * quay_aio_return: the request's own result, once: bytes, or -1 with its errno; EINVAL when there is
 * none to be had. Its event, if it has one, leaves the queue.
 *
 * Threads: any. quay_aio_error is async-signal-safe, quay_aio_return too but for requests that
 *       name a queue.
 */
QUAY_CALL_ int quay_aio_error(const struct aiocb* block);
QUAY_CALL_ ssize_t quay_aio_return(struct aiocb* block);

/*
 * quay_aio_suspend: waits until one of the blocks is not in progress.
 *
 * Returns: 0; -1 with EAGAIN (the timeout), EINTR or EINVAL.
 * Threads: any. Async-signal-safe.
 */
QUAY_CALL_ int quay_aio_suspend(const struct aiocb* const blocks[], int count,
                                const struct timespec* timeout) QUAY_WIDE_("quay_aio_suspend");

/*
 * quay_aio_cancel: gives up one request on fd, or all with block NULL.
 *
 * Returns: AIO_CANCELED, AIO_NOTCANCELED (one at least goes on), AIO_ALLDONE; -1 with EBADF or
 *       EINVAL.
 * Threads: any. Not async-signal-safe.
 */
QUAY_CALL_ int quay_aio_cancel(int fd, struct aiocb* block);

/*
 * quay_lio_listio: submits a list; LIO_WAIT waits for all of it, LIO_NOWAIT tells its end by `event`.
 *
 * Returns: 0; -1 with EAGAIN, EINVAL, EINTR, or EIO: some member failed, see aio_error of each.
 * Threads: any. Not async-signal-safe.
 */
QUAY_CALL_ int quay_lio_listio(int mode, struct aiocb* const blocks[], int count,
                               struct sigevent* event) QUAY_OFFSET_("quay_lio_listio");

#undef QUAY_CALL_
#undef QUAY_OFFSET_
#undef QUAY_WIDE_

#if defined(__cplusplus)
} /* extern "C" */
#endif

#endif /* QUAY_AIO_H_ */
