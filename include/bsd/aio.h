/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <aio.h> for BSD programs: libc's, with its calls bound to quay's engine, and FreeBSD's
 *       aio_readv() and aio_writev().
 * Contract: aio(4) of FreeBSD; docs/man/aio.3. struct aiocb is libc's: same size, same members.
 * Invariants:
 * 1. Names are functions, not macros: a program may have members or variables called aio_read, and
 *    may take the address of the function. libc's declarations go to names nobody uses; binding a
 *    second time what _FILE_OFFSET_BITS has bound already would be an error.
 * 2. aiocb64 and aiocb are the same on 64-bit systems, and so are the calls; elsewhere the calls
 *    with 64 in their names are not offered.
 */
#ifndef QUAY_BSD_AIO_H_
#define QUAY_BSD_AIO_H_

#if defined(__GNUC__)
#pragma GCC system_header /* as the one that it includes: include_next is no ISO C */
#endif

#define aio_read quay_libc_aio_read_
#define aio_write quay_libc_aio_write_
#define aio_fsync quay_libc_aio_fsync_
#define aio_error quay_libc_aio_error_
#define aio_return quay_libc_aio_return_
#define aio_suspend quay_libc_aio_suspend_
#define aio_cancel quay_libc_aio_cancel_
#define lio_listio quay_libc_lio_listio_
#define aio_read64 quay_libc_aio_read64_
#define aio_write64 quay_libc_aio_write64_
#define aio_fsync64 quay_libc_aio_fsync64_
#define aio_error64 quay_libc_aio_error64_
#define aio_return64 quay_libc_aio_return64_
#define aio_suspend64 quay_libc_aio_suspend64_
#define aio_cancel64 quay_libc_aio_cancel64_
#define lio_listio64 quay_libc_lio_listio64_
#include_next <aio.h>
#undef aio_read
#undef aio_write
#undef aio_fsync
#undef aio_error
#undef aio_return
#undef aio_suspend
#undef aio_cancel
#undef lio_listio
#undef aio_read64
#undef aio_write64
#undef aio_fsync64
#undef aio_error64
#undef aio_return64
#undef aio_suspend64
#undef aio_cancel64
#undef lio_listio64

/* The array of struct iovec of aio_readv() and aio_writev(), and its length. */
#define aio_iov aio_buf
#define aio_iovcnt aio_nbytes

#if defined(__cplusplus)
extern "C" {
#endif

#define QUAY_AIO_AS_(type, name, arguments, suffix)        \
  extern type name arguments __asm__("quay_" #name suffix) \
      __attribute__((__visibility__("default")))
#define QUAY_AIO_CALL_(type, name, arguments) QUAY_AIO_AS_(type, name, arguments, "")
/* In a 32-bit program off_t and struct timespec have two sizes: the wide ones reach calls of other names. */
#if defined(__USE_FILE_OFFSET64) && defined(__TIMESIZE) && __TIMESIZE == 32
#define QUAY_AIO_OFFSET_(type, name, arguments) QUAY_AIO_AS_(type, name, arguments, "64")
#else
#define QUAY_AIO_OFFSET_ QUAY_AIO_CALL_
#endif
#if defined(__USE_TIME_BITS64) && defined(__TIMESIZE) && __TIMESIZE == 32
#define QUAY_AIO_TIME_(type, name, arguments) QUAY_AIO_AS_(type, name, arguments, "_time64")
#else
#define QUAY_AIO_TIME_ QUAY_AIO_CALL_
#endif

QUAY_AIO_OFFSET_(int, aio_read, (struct aiocb * block));
QUAY_AIO_OFFSET_(int, aio_write, (struct aiocb * block));
QUAY_AIO_OFFSET_(int, aio_readv, (struct aiocb * block));
QUAY_AIO_OFFSET_(int, aio_writev, (struct aiocb * block));
QUAY_AIO_CALL_(int, aio_fsync, (int op, struct aiocb* block));
QUAY_AIO_CALL_(int, aio_error, (const struct aiocb* block));
QUAY_AIO_CALL_(ssize_t, aio_return, (struct aiocb * block));
QUAY_AIO_TIME_(int, aio_suspend,
               (const struct aiocb* const blocks[], int count, const struct timespec* timeout));
QUAY_AIO_CALL_(int, aio_cancel, (int fd, struct aiocb* block));
QUAY_AIO_OFFSET_(int, lio_listio,
                 (int mode, struct aiocb* const blocks[], int count, struct sigevent* event));

#undef QUAY_AIO_CALL_
#undef QUAY_AIO_OFFSET_
#undef QUAY_AIO_TIME_
#undef QUAY_AIO_AS_

#if defined(__USE_LARGEFILE64) && defined(__LP64__)
#define QUAY_AIO_CALL64_(type, name, arguments) \
  extern type name##64 arguments __asm__("quay_" #name) __attribute__((__visibility__("default")))

QUAY_AIO_CALL64_(int, aio_read, (struct aiocb64 * block));
QUAY_AIO_CALL64_(int, aio_write, (struct aiocb64 * block));
QUAY_AIO_CALL64_(int, aio_fsync, (int op, struct aiocb64* block));
QUAY_AIO_CALL64_(int, aio_error, (const struct aiocb64* block));
QUAY_AIO_CALL64_(ssize_t, aio_return, (struct aiocb64 * block));
QUAY_AIO_CALL64_(int, aio_suspend,
                 (const struct aiocb64* const blocks[], int count, const struct timespec* timeout));
QUAY_AIO_CALL64_(int, aio_cancel, (int fd, struct aiocb64* block));
QUAY_AIO_CALL64_(int, lio_listio,
                 (int mode, struct aiocb64* const blocks[], int count, struct sigevent* event));

#undef QUAY_AIO_CALL64_
#endif

#if defined(__cplusplus)
} /* extern "C" */
#endif

#endif /* QUAY_BSD_AIO_H_ */
