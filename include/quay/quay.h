/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: the calls that are quay's own: queues of a chosen dialect, file calls that know what a
 *       queue's descriptor is, tunables and counters.
 * Contract: on a queue's descriptor the file calls do what the BSD kernels do, on every other what
 *       libc's call of the same name does. A program that runs with libquay-hooks may use libc's
 *       names instead.
 * Invariants:
 * 1. Compiles alone, first, in C and C++.
 * 2. struct quay_stats only grows, at its end; `version` counts that.
 */
#ifndef QUAY_QUAY_H_
#define QUAY_QUAY_H_

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/select.h> /* sigset_t */
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define QUAY_CALL_ extern __attribute__((__visibility__("default")))

/* Whose kqueue a queue behaves like; docs/differences.md lists the differences. */
#define QUAY_DIALECT_FREEBSD 0 /* what kqueue() makes */
#define QUAY_DIALECT_NETBSD 1
#define QUAY_DIALECT_DRAGONFLY 2
#define QUAY_DIALECT_OPENBSD 3

/*
 * A flag of quay_kqueue() and kqueue1(), apart from every O_* and KQUEUE_* bit: the program
 * promises to call kevent() on the queue and nothing else: not to poll or select it and not to let
 * another queue watch it. User events and timers then need no system call.
 */
#define QUAY_PRIVATE 0x40000000

/*
 * An fflag of EVFILT_READ and EVFILT_WRITE, apart from their NOTE_* bits: the program does not want
 * `data`. It is left 0, and the system call that would have found it out is not made.
 */
#define QUAY_NOTE_NODATA 0x00010000

/*
 * quay_kqueue: makes an event queue that follows a dialect.
 *
 * dialect: QUAY_DIALECT_*.
 * flags: O_CLOEXEC, QUAY_PRIVATE, KQUEUE_CLOEXEC and KQUEUE_CPONFORK of <sys/event.h>; O_NONBLOCK,
 *        without effect.
 * Returns: the descriptor; -1 with EINVAL (no such dialect or flag), EMFILE, ENFILE or ENOMEM.
 * Threads: any number may use one queue. Not async-signal-safe.
 * Source: kqueue(2) of the dialect's system.
 */
QUAY_CALL_ int quay_kqueue(int dialect, int flags);

/*
 * quay_expose: takes back what QUAY_PRIVATE promised: from now on the queue or event port may be
 * polled, selected and watched by queues. What is pending already shows at once.
 *
 * Returns: 0, also when it was never private; -1 with EBADF (neither queue nor port).
 * Threads: any. Not async-signal-safe.
 */
QUAY_CALL_ int quay_expose(int fd);

/*
 * quay_pipe2: a pipe of FreeBSD's kind, in memory that the children of fork() share: bytes flow both
 * ways, sizes follow the traffic, and a blocking write of pipe_mindirect bytes or more returns when
 * they have been read.
 *
 * flags: O_CLOEXEC, O_NONBLOCK, for both ends.
 * Returns: 0, and the ends in fd; -1 with EINVAL (another flag), EFAULT, EMFILE, ENFILE, or ENOMEM
 *       when maxpipekva is used up.
 * Threads: any. Not async-signal-safe.
 * Source: pipe2(2) of FreeBSD, sys_pipe.c.
 */
QUAY_CALL_ int quay_pipe2(int fd[2], int flags);

/*
 * quay_mkfifo, quay_open: a named pipe, and opening one, or any other file, by its path.
 *
 * A named pipe is Linux's own, so every program may take part, under FreeBSD's rules: who opened
 * it for reading before there was a writer sees no end of file, in quay_read, quay_poll or a note,
 * before a writer has come and gone; a widowed writer polls POLLHUP; a note for writing outlives
 * its readers.
 *
 * mode: as mkfifo(3), under the umask.
 * flags: as open(2), without O_CREAT and O_TMPFILE.
 * Returns: 0, or the descriptor; -1 as mkfifo(3) and open(2); EINVAL for a flag that creates.
 * Threads: any. A wait for the other side ends with EINTR.
 * Source: fifo_vnops.c of FreeBSD.
 */
QUAY_CALL_ int quay_mkfifo(const char* path, mode_t mode);
QUAY_CALL_ int quay_open(const char* path, int flags);

/*
 * quay_pipe_send, quay_pipe_receive: hands a pipe's end to another process over a connected unix
 * socket; both processes have it then, as after fork(). Other descriptors are handed over as they
 * are.
 *
 * A pipe that was made before this process forked is Linux's own from then on: what was written
 * forward and all that follows reaches every reader, the backward direction ends.
 * Returns: send 0, receive the descriptor, close-on-exec; -1 with EBADF, EBADMSG (what came was not
 *       sent by quay_pipe_send), ENOMEM, or as sendmsg(2) and recvmsg(2).
 * Threads: any. Not async-signal-safe.
 */
QUAY_CALL_ int quay_pipe_send(int sock, int fd);
QUAY_CALL_ int quay_pipe_receive(int sock);

/*
 * quay_pipe_reserve, quay_pipe_commit: writing into a pipe's own memory. reserve waits for room and
 * gives the calling thread up to n bytes of it, in one piece; commit says that the first n of them
 * have been written, 0 gives all back. quay_pipe_peek, quay_pipe_consume: the same for reading;
 * peek gives what lies there in one piece, 0 bytes at the end of file.
 *
 * Until its commit no other thread writes in that direction, until its consume none reads; a thread
 * that ends, or is killed, in between has done neither. Reading or writing the ordinary way gives up
 * what was peeked at or reserved by the same thread.
 * Returns: the number of bytes; -1 with EINVAL (n is 0, or more than there was; nothing was reserved
 *       or peeked at by this thread), EOPNOTSUPP (no pipe of ours, or one that became Linux's own:
 *       read and write it), or as quay_read() and quay_write().
 * Threads: a piece is its thread's. Not async-signal-safe.
 */
QUAY_CALL_ ssize_t quay_pipe_reserve(int fd, size_t n, struct iovec* room);
QUAY_CALL_ ssize_t quay_pipe_commit(int fd, size_t n);
QUAY_CALL_ ssize_t quay_pipe_peek(int fd, struct iovec* bytes);
QUAY_CALL_ ssize_t quay_pipe_consume(int fd, size_t n);

/*
 * quay_close: close(), with which a queue ends, or the registrations on fd in every queue.
 *
 * Returns: as close(2).
 * Threads: may run while others wait in kevent() on fd; what they see is the dialect's. Not
 *       async-signal-safe on a queue.
 * Source: close(2); kqueue(2): closing a descriptor removes what watches it.
 */
QUAY_CALL_ int quay_close(int fd);

/*
 * quay_read, quay_readv, quay_write, quay_writev: the bytes of a pipe of ours; a queue cannot be read
 * or written.
 *
 * Returns: on a queue -1 with the dialect's errno, ENXIO; otherwise as read(2), readv(2), write(2),
 *       writev(2).
 * Threads, signals: as libc's.
 * Source: the file operations in kern_event.c of NetBSD and DragonFly.
 */
QUAY_CALL_ ssize_t quay_read(int fd, void* buf, size_t n);
QUAY_CALL_ ssize_t quay_readv(int fd, const struct iovec* iov, int cnt);
QUAY_CALL_ ssize_t quay_write(int fd, const void* buf, size_t n);
QUAY_CALL_ ssize_t quay_writev(int fd, const struct iovec* iov, int cnt);

/*
 * quay_fstat: on a queue st_mode is a fifo's and st_size, where the dialect tells it, the number of
 * pending events; everything else is the dialect's, mostly 0.
 *
 * Returns: as fstat(2).
 * Threads: any. Not async-signal-safe on a queue.
 * Source: kqueue_stat in kern_event.c of NetBSD and DragonFly.
 */
/* 32-bit programs have three layouts of struct stat. */
#if defined(__USE_TIME_BITS64) && defined(__TIMESIZE) && __TIMESIZE == 32
QUAY_CALL_ int quay_fstat(int fd, struct stat* st) __asm__("quay_fstat64_time64");
#elif defined(__USE_FILE_OFFSET64) && defined(__TIMESIZE) && __TIMESIZE == 32
QUAY_CALL_ int quay_fstat(int fd, struct stat* st) __asm__("quay_fstat64");
#else
QUAY_CALL_ int quay_fstat(int fd, struct stat* st);
#endif

/*
 * quay_ioctl: a queue answers what its dialect answers and ENOTTY to the rest.
 *
 * request and its one argument: as ioctl(2).
 * Returns: as ioctl(2).
 * Threads: any. Not async-signal-safe on a queue.
 * Source: kqueue_ioctl in kern_event.c of NetBSD and DragonFly.
 */
QUAY_CALL_ int quay_ioctl(int fd, unsigned long request, ...);

/*
 * quay_fcntl: fcntl(); duplicates that it makes of a queue are the same queue.
 *
 * cmd and its argument, if it takes one: as fcntl(2).
 * Returns: as fcntl(2), or the dialect's errno on a queue.
 * Threads: any. Not async-signal-safe on a queue.
 * Source: kqueue_fcntl in kern_event.c of NetBSD and DragonFly.
 */
QUAY_CALL_ int quay_fcntl(int fd, int cmd, ...);

/*
 * quay_poll: poll() in which queues may stand among other descriptors; one with pending events is
 * POLLIN and POLLRDNORM, as far as asked, and never anything else.
 *
 * timeout_ms: milliseconds; negative waits for ever.
 * Returns: as poll(2).
 * Threads: any. Not async-signal-safe when there are queues in fds.
 * Source: kqueue_poll in kern_event.c of NetBSD.
 */
QUAY_CALL_ int quay_poll(struct pollfd* fds, nfds_t n, int timeout_ms);

/*
 * A flag of quay_signalfd(), apart from SFD_*: Linux's own signalfd() and its rules.
 */
#define QUAY_SIGNALFD_LINUX 0x40000000

/*
 * quay_signalfd: makes a descriptor from which signals are read (fd is -1), or replaces the mask of
 * one, for all who hold it; its rules are illumos's.
 *
 * mask: the signals; SIGKILL and SIGSTOP are left out. A read with no signal in the mask fails with
 *       EINVAL, as one with room for less than a record (128 bytes) does.
 * flags: SFD_CLOEXEC, SFD_NONBLOCK; not looked at when a mask is replaced. QUAY_SIGNALFD_LINUX.
 * Returns: the descriptor; -1 with EINVAL (unknown flags), EFAULT (mask), EBADF (fd), ENOTTY (fd is no
 *       signalfd), EMFILE, ENFILE or ENOMEM.
 * Threads: any; a thread reads what is pending for itself or its process.
 * Source: signalfd(3C) and signalfd.c of illumos.
 */
QUAY_CALL_ int quay_signalfd(int fd, const sigset_t* mask, int flags);

/*
 * quay_port_send, quay_port_receive: hands an event port to another process over a connected unix
 * socket; both processes have the same port then, as after fork().
 *
 * Returns: send 0, receive the port's descriptor, close-on-exec; -1 with EBADF, EBADFD (no port),
 *       EBADMSG (what came is no port), or as sendmsg(2) and recvmsg(2).
 * Threads: any. Not async-signal-safe.
 */
QUAY_CALL_ int quay_port_send(int sock, int port);
QUAY_CALL_ int quay_port_receive(int sock);

/*
 * quay_tunable_set, quay_tunable_get: a number of the library, by its name.
 *
 *   kq_calloutmax       timers that may exist in all queues together; then ENOMEM
 *   kq_checkloop        kept for its name: no scan here can loop
 *   so_error_in_fflags  1: EV_EOF takes the socket's pending error and reports it in fflags; 0: the
 *                       program finds it where it was
 *   aio_backend         how aio_*() performs requests: 0 at once where possible, else by a ring or
 *                       threads; 1 by a ring, 2 by threads, never at once; see aio(3)
 *   port_max_events     events and associations that one port holds; then EAGAIN.
 *                       At most 2^27, where pointers have 32 bits 2^24: more is as much
 *   port_max_ids        event ports of the process; then EAGAIN
 *   port_max_list       kept for its name: port_sendn takes lists of any length
 *   spin_us             how long a waiter watches before it sleeps, microseconds at most
 *   pipe_buf            pipes: bytes written atomically; the room that counts as writable; 4096 at most
 *   small_pipe_size     pipes: a ring's size backward, and forward under memory pressure
 *   pipe_size           pipes: a fresh ring's size forward
 *   big_pipe_size       pipes: where growth ends; 65536 at most
 *   pipe_mindirect      pipes: blocking writes from here on wait for their reader; above pipe_buf
 *   piperesizeallowed   pipes: 1 lets rings grow and shrink
 *   maxpipekva          pipes: what all rings may take together, bytes
 *   pipekva             pipes: what they take now; cannot be set (EPERM)
 *
 * No value is negative. One that is set holds for what is made later. QUAY_TUNABLES=name=value,...
 * in the environment sets them when the library is first used.
 * Returns: set 0, get the value; -1 with ENOENT (no such name), EFAULT (name is NULL) or, set only,
 *       EINVAL (a negative value).
 * Threads: any. Not async-signal-safe.
 * Source: kern.kq_calloutmax and kern.kq_checkloop of the BSDs; the rest is quay's.
 */
QUAY_CALL_ int quay_tunable_set(const char* name, long value);
QUAY_CALL_ long quay_tunable_get(const char* name);

/*
 * What the library did in this process, and how much of it there is.
 */
struct quay_stats {
  uint32_t version;          /* of this struct: QUAY_STATS_VERSION */
  uint32_t hooked;           /* 1: the library hears of every close() (libquay-hooks is in front) */
  uint64_t queues;           /* queues that exist */
  uint64_t notes;            /* registrations that exist */
  uint64_t timers;           /* timers that exist */
  uint64_t events_delivered; /* events written to eventlists */
  uint64_t kevent_calls;     /* calls of kevent() */
  uint64_t harvests;         /* calls of epoll_wait() */
  uint64_t sleeps;           /* waits that went to sleep */
  uint64_t spin_hits;        /* waits that ended while still watching */
  uint64_t doorbells;        /* wake-ups written for sleepers and pollers */
  uint64_t epoll_ctls;       /* calls of epoll_ctl() */
  uint64_t lazy_disarms;     /* reports nobody wanted, answered by narrowing the interest */
  uint64_t identity_checks;  /* questions whether a descriptor still is what was registered */
  uint64_t stale_dropped;    /* reports of descriptors closed since */
  uint64_t rebuilds;         /* queues whose kernel side was built anew */
  uint64_t timer_programmings; /* times the kernel's timer was set */
  uint64_t forks_survived;     /* forks after which the child dropped or rebuilt its queues */
  /* version 2: event ports; the counts are of the ports that exist, by all who share them */
  uint64_t ports;          /* event ports that exist in this process */
  uint64_t port_queued;    /* events that wait in them */
  uint64_t port_waiters;   /* threads that wait for events, of all processes */
  uint64_t port_sent;      /* events that were queued */
  uint64_t port_delivered; /* events that were received */
  uint64_t port_denied;    /* deliveries that a callback refused */
  uint64_t port_cancelled; /* queued events that were taken back */
  uint64_t port_refused;   /* events and associations refused at the limit */
};
#define QUAY_STATS_VERSION 2

/*
 * quay_stats_get: copies the counters, the first min(size, sizeof(struct quay_stats)) bytes of
 * them, so that a program and a library of different ages understand each other.
 *
 * Counters are read one by one: together they are of no single moment.
 * Returns: 0; -1 with EFAULT when out is NULL.
 * Threads: any. Not async-signal-safe.
 */
QUAY_CALL_ int quay_stats_get(struct quay_stats* out, size_t size);

#undef QUAY_CALL_

#if defined(__cplusplus)
} /* extern "C" */
#endif

#endif /* QUAY_QUAY_H_ */
