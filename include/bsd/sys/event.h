/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: kqueue for BSD programs: kqueue(), kevent(), struct kevent and the constants of FreeBSD,
 *       NetBSD and DragonFly.
 * Contract: kqueue(2) of those systems and docs/man/kqueue.2. Values are FreeBSD's. A name that
 *       FreeBSD lacks has a value that is free in its namespace: one namespace for filters, one for
 *       flags, and for fflags one per filter. That a name is defined does not promise that its
 *       filter is served: kevent() answers EINVAL to one that is not.
 * Invariants:
 * 1. Compiles alone, first, and in strict ISO modes; hence the old comments and no C++ header.
 * 2. Every constant can stand in #if and as a case label.
 * 3. A translation unit sees one layout of struct kevent: classic, 32 bytes, unless QUAY_KEVENT_EXT
 *    is defined before the first inclusion; then FreeBSD 12's, 64 bytes, and kevent() is bound to
 *    an entry point of its own, so that one process can hold both. In C++ the extended type is also
 *    mangled differently, so that std::vector<struct kevent> of the one is never merged with that
 *    of the other; a forward declaration of the extended type must therefore follow the inclusion.
 * 4. Names that another well-known header owns are not defined: EV_READ, EV_WRITE, EV_SIGNAL,
 *    EV_TIMEOUT, EV_PERSIST, EV_ET, EV_CLOSED, EV_FINALIZE, EV_FEATURE_*, EV_CHANGE_*, EV_SIZE_MAX;
 *    nor is NOTE_EOF, which no BSD serves on every object.
 */
#ifndef QUAY_BSD_SYS_EVENT_H_
#define QUAY_BSD_SYS_EVENT_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/select.h>
#include <sys/types.h>
#include <time.h>
/* _IOWR of the KFILTER_* requests. */
#include <linux/ioctl.h>
/* In strict C99 glibc's <time.h> keeps struct timespec back; its <sched.h> never does. */
#if !defined(_STRUCT_TIMESPEC)
#include <sched.h>
#endif

/* Filters. The short name is what a change says it watches; see kqueue(2). */
#define EVFILT_READ (-1)      /* descriptor: input, connections or end of file */
#define EVFILT_WRITE (-2)     /* descriptor: room for output */
#define EVFILT_AIO (-3)       /* asynchronous request, made by aio_*() with SIGEV_KEVENT */
#define EVFILT_VNODE (-4)     /* descriptor of a file: changes to it */
#define EVFILT_PROC (-5)      /* process: exit, fork, exec */
#define EVFILT_SIGNAL (-6)    /* signal: how often it was sent to this process */
#define EVFILT_TIMER (-7)     /* timer: expirations */
#define EVFILT_PROCDESC (-8)  /* process descriptor: exit */
#define EVFILT_FS (-9)        /* any file system: mounts and unmounts */
#define EVFILT_LIO (-10)      /* list of asynchronous requests */
#define EVFILT_USER (-11)     /* triggered by the program */
#define EVFILT_SENDFILE (-12) /* FreeBSD's kernel only */
#define EVFILT_EMPTY (-13)    /* socket: everything sent has left the buffer */
/* Descriptor: out-of-band data. DragonFly's -8 and OpenBSD's -9 are other filters' numbers here. */
#define EVFILT_EXCEPT (-15)

#define EVFILT_SYSCOUNT 15 /* filters are -1 .. -EVFILT_SYSCOUNT */
#define EVFILT_MARKER 0x0F /* DragonFly's kernel only; no filter */

/* Actions, in `flags` of a change. */
#define EV_ADD 0x0001     /* register, or modify what is registered; enabled unless EV_DISABLE */
#define EV_DELETE 0x0002  /* remove */
#define EV_ENABLE 0x0004  /* allow delivery */
#define EV_DISABLE 0x0008 /* keep collecting, do not deliver */
#define EV_FORCEONESHOT 0x0100 /* EV_ONESHOT and deliver now */
#define EV_KEEPUDATA 0x0200    /* leave the registered udata alone */

/* Properties, in `flags` of the change that registers. */
#define EV_ONESHOT 0x0010  /* removed when delivered */
#define EV_CLEAR 0x0020    /* state is reset when delivered: edges instead of levels */
#define EV_RECEIPT 0x0040  /* answer this change with EV_ERROR and data 0 when it succeeds */
#define EV_DISPATCH 0x0080 /* disabled when delivered */

/* Results, in `flags` of an event. Ignored in a change, so programs may use them as marks of their
 * own. */
#define EV_HUP 0x0800    /* both directions are closed (DragonFly) */
#define EV_NODATA 0x1000 /* end of file and nothing left to read or write (DragonFly) */
#define EV_ERROR 0x4000  /* the change failed; data is the errno, or 0 for EV_RECEIPT */
#define EV_EOF 0x8000    /* end of file, or the process is gone */

/* Bits that kernels keep for themselves. */
#define EV_SYSFLAGS 0xF000 /* removed from every change */
#define EV_DROP 0x1000     /* FreeBSD's other name of the bit of EV_NODATA */
#define EV_FLAG0 0x1000
#define EV_FLAG1 0x2000
#define EV_FLAG2 0x4000
#define EV_OOBAND EV_FLAG1 /* out-of-band data, where EVFILT_READ tells it by a flag */

/* fflags of EVFILT_READ, EVFILT_WRITE and EVFILT_EXCEPT; <quay/quay.h> adds QUAY_NOTE_NODATA. */
#define NOTE_LOWAT 0x00000001     /* data of the change is the low-water mark, in bytes */
#define NOTE_FILE_POLL 0x00000002 /* a regular file is always ready, as poll() has it */
#define NOTE_OOB 0x00000004       /* wait for out-of-band data */

/* fflags of EVFILT_VNODE. */
#define NOTE_DELETE 0x00000001
#define NOTE_WRITE 0x00000002
#define NOTE_EXTEND 0x00000004
#define NOTE_ATTRIB 0x00000008
#define NOTE_LINK 0x00000010
#define NOTE_RENAME 0x00000020
#define NOTE_REVOKE 0x00000040
#define NOTE_OPEN 0x00000080
#define NOTE_CLOSE 0x00000100       /* by a descriptor that could not write */
#define NOTE_CLOSE_WRITE 0x00000200 /* by one that could */
#define NOTE_READ 0x00000400
#define NOTE_TRUNCATE 0x00000800 /* OpenBSD; its 0x80 is NOTE_OPEN here */

/* fflags of EVFILT_PROC and EVFILT_PROCDESC. */
#define NOTE_EXIT 0x80000000
#define NOTE_FORK 0x40000000
#define NOTE_EXEC 0x20000000
#define NOTE_TRACK 0x00000001    /* follow the children */
#define NOTE_TRACKERR 0x00000002 /* a child could not be followed */
#define NOTE_CHILD 0x00000004    /* first event of a followed child; data is the parent's pid */

/* fflags of EVFILT_TIMER: the unit of data (milliseconds without one), and what it counts from. */
#define NOTE_SECONDS 0x00000001
#define NOTE_MSECONDS 0x00000002
#define NOTE_USECONDS 0x00000004
#define NOTE_NSECONDS 0x00000008
#define NOTE_ABSTIME 0x00000010 /* data is a time of the wall clock, not a period */
#define NOTE_ABSOLUTE NOTE_ABSTIME

/* fflags of EVFILT_USER: 24 bits of the program's, and what a change does with them. */
#define NOTE_FFNOP 0x00000000   /* nothing */
#define NOTE_FFAND 0x40000000   /* and */
#define NOTE_FFOR 0x80000000    /* or */
#define NOTE_FFCOPY 0xc0000000  /* replace */
#define NOTE_TRIGGER 0x01000000 /* make it ready */
#define NOTE_FFCTRLMASK 0xc0000000
#define NOTE_FFLAGSMASK 0x00ffffff

/* Hints between the objects of a kernel and its filters; no change and no event carries them. */
#define NOTE_PCTRLMASK 0xf0000000
#define NOTE_PDATAMASK 0x000fffff
#define NOTE_SIGNAL 0x08000000
#define NOTE_SUBMIT 0x01000000
#define NOTE_OLDAPI 0x04000000
#define NOTE_HUPONLY 0x02000000

/* fflags of EVFILT_FS. FreeBSD has these in <sys/mount.h>; on Linux that header is mount(2)'s and
 * libc's own. */
#define VQ_NOTRESP 0x0001
#define VQ_NEEDAUTH 0x0002
#define VQ_LOWDISK 0x0004
#define VQ_MOUNT 0x0008
#define VQ_UNMOUNT 0x0010
#define VQ_DEAD 0x0020
#define VQ_ASSIST 0x0040
#define VQ_NOTRESPLOCK 0x0080

/* Flags of kqueuex(). */
#define KQUEUE_CLOEXEC 0x00000001 /* close on exec */
#define KQUEUE_CPONFORK \
  0x00000002 /* a forked child gets a copy of the queue with its registrations */

/* A 32-bit program whose struct timespec is glibc's wide one. */
#if defined(__USE_TIME_BITS64) && defined(__TIMESIZE) && __TIMESIZE == 32
#define QUAY_KEVENT_TIME_ "_time64"
#else
#define QUAY_KEVENT_TIME_ ""
#endif
#if defined(QUAY_KEVENT_EXT)
#define QUAY_KEVENT_LAYOUT_ 12
#define QUAY_KEVENT_ENTRY_ __asm__("quay_kevent_ext" QUAY_KEVENT_TIME_)
#if defined(__cplusplus)
#define QUAY_KEVENT_TAG_ __attribute__((__abi_tag__("quay_ext")))
#else
#define QUAY_KEVENT_TAG_
#endif
typedef int64_t quay_kevent_data_t_;
#else
#define QUAY_KEVENT_LAYOUT_ 11
#define QUAY_KEVENT_ENTRY_ __asm__("kevent" QUAY_KEVENT_TIME_)
#define QUAY_KEVENT_TAG_
typedef intptr_t quay_kevent_data_t_;
#endif

/*
 * A change (what the program wants) or an event (what happened).
 */
struct QUAY_KEVENT_TAG_ kevent {
  uintptr_t ident;          /* what is watched: a descriptor, pid, signal, number of one's choice */
  short filter;             /* EVFILT_*; queue, filter and ident identify a registration */
  unsigned short flags;     /* EV_* */
  unsigned int fflags;      /* NOTE_* of the filter */
  quay_kevent_data_t_ data; /* the filter's number: bytes, milliseconds, expirations, errno ... */
  void* udata;              /* the program's, handed back with the event */
#if defined(QUAY_KEVENT_EXT)
  uint64_t ext[4]; /* [0], [1]: the filter's; [2], [3]: the program's, handed back with the event */
#endif
};

/*
 * Programs of the time when NetBSD's udata was an intptr_t assign one to it. C compilers that made
 * this an error, as clang 15 and GCC 14 did, are asked to warn. Clang lets "warning" lower an error
 * only after "ignored".
 */
#if !defined(__cplusplus)
#if defined(__clang__)
#if __clang_major__ >= 15
#pragma clang diagnostic ignored "-Wint-conversion"
#pragma clang diagnostic warning "-Wint-conversion"
#endif
#elif defined(__GNUC__) && __GNUC__ >= 14
#pragma GCC diagnostic warning "-Wint-conversion"
#endif
#endif

/*
 * EV_SET(kevp, ident, filter, flags, fflags, data, udata): fills *kevp, every field of it.
 *
 * Evaluates each argument exactly once; declares no name in the caller's scope, so no argument can
 * be captured. udata may be any object pointer, 0, NULL, nullptr or an integer. With the extended
 * layout ext becomes all zero.
 */
#if defined(__cplusplus)

/* Templates need C++ linkage even where a program wraps the inclusion in extern "C". */
extern "C++" {
inline void* quay_udata_(const volatile void* pointer_) { return const_cast<void*>(pointer_); }

template <typename Integer_>
inline auto quay_udata_(Integer_ number_)
    -> decltype(reinterpret_cast<void*>(static_cast<uintptr_t>(number_))) {
  return reinterpret_cast<void*>(static_cast<uintptr_t>(number_));
}

/* By value: through a reference a static const member that is passed would need a definition. */
template <typename Ident_, typename Filter_, typename Flags_, typename Fflags_, typename Data_,
          typename Udata_>
inline void quay_ev_set_(struct kevent* kevp_, Ident_ ident_, Filter_ filter_, Flags_ flags_,
                         Fflags_ fflags_, Data_ data_, Udata_ udata_) {
  kevp_->ident = static_cast<uintptr_t>(ident_);
  kevp_->filter = static_cast<short>(filter_);
  kevp_->flags = static_cast<unsigned short>(flags_);
  kevp_->fflags = static_cast<unsigned int>(fflags_);
  kevp_->data = static_cast<quay_kevent_data_t_>(data_);
  kevp_->udata = ::quay_udata_(udata_);
#if defined(QUAY_KEVENT_EXT)
  kevp_->ext[0] = kevp_->ext[1] = kevp_->ext[2] = kevp_->ext[3] = 0;
#endif
}
} /* extern "C++" */

#define EV_SET(kevp, ident, filter, flags, fflags, data, udata) \
  ::quay_ev_set_((kevp), (ident), (filter), (flags), (fflags), (data), (udata))

#else /* C */

static __inline__ __attribute__((__unused__)) void quay_ev_set_(
    struct kevent* kevp_, uintptr_t ident_, short filter_, unsigned short flags_,
    unsigned int fflags_, quay_kevent_data_t_ data_, void* udata_) {
  kevp_->ident = ident_;
  kevp_->filter = filter_;
  kevp_->flags = flags_;
  kevp_->fflags = fflags_;
  kevp_->data = data_;
  kevp_->udata = udata_;
#if defined(QUAY_KEVENT_EXT)
  kevp_->ext[0] = kevp_->ext[1] = kevp_->ext[2] = kevp_->ext[3] = 0;
#endif
}

#define EV_SET(kevp, ident, filter, flags, fflags, data, udata)                      \
  quay_ev_set_((kevp), (uintptr_t)(ident), (short)(filter), (unsigned short)(flags), \
               (unsigned int)(fflags), (quay_kevent_data_t_)(data), (void*)(uintptr_t)(udata))

#endif

/*
 * Names of filters (NetBSD). KFILTER_BYFILTER: the name of m.filter goes to m.name, at most m.len
 * bytes with the NUL. KFILTER_BYNAME: the filter called m.name goes to m.filter. A queue that does
 * not serve them answers ENOTTY.
 */
struct kfilter_mapping {
  char* name;
  size_t len;
  uint32_t filter;
};
#define KFILTER_BYFILTER _IOWR('k', 0, struct kfilter_mapping)
#define KFILTER_BYNAME _IOWR('k', 1, struct kfilter_mapping)

/*
 * Notification of asynchronous requests: sigev_notify = SIGEV_KEVENT, the queue and the event's
 * flags in these members, udata in sigev_value. The members lie in the part of glibc's struct
 * sigevent that only SIGEV_THREAD and SIGEV_THREAD_ID use; the value is FreeBSD's and means nothing
 * to glibc or Linux.
 */
#if defined(__GLIBC__)
#define SIGEV_KEVENT 3
#define sigev_notify_kqueue _sigev_un._pad[0]
#define sigev_notify_kevent_flags _sigev_un._pad[1]
#endif

#if defined(__cplusplus)
extern "C" {
#endif

#define QUAY_BSD_CALL_ extern __attribute__((__visibility__("default")))

/*
 * kqueue: makes an event queue.
 *
 * The descriptor polls (readable while events are pending) and another queue can watch it. A forked
 * child has no queue under its number.
 * Returns: the descriptor; -1 with EMFILE or ENFILE (no descriptor left) or ENOMEM.
 * Threads: any number may use one queue at the same time. Not async-signal-safe.
 * Source: kqueue(2), FreeBSD.
 */
QUAY_BSD_CALL_ int kqueue(void);

/*
 * kqueue1: kqueue() with flags of open(2).
 *
 * flags: O_CLOEXEC; O_NONBLOCK, without effect, for kevent() waits by its timeout alone;
 *        O_NOSIGPIPE where it is defined; QUAY_PRIVATE of <quay/quay.h>.
 * Returns: as kqueue(); -1 with EINVAL for any other flag.
 * Threads: as kqueue(). Not async-signal-safe.
 * Source: kqueue1(2), NetBSD and OpenBSD.
 */
QUAY_BSD_CALL_ int kqueue1(int flags);

/*
 * kqueuex: kqueue() with flags of its own.
 *
 * flags: KQUEUE_CLOEXEC; KQUEUE_CPONFORK: a forked child has, under the same numbers, a queue of its
 *        own with the same registrations, but for those of descriptors that the child has not got.
 * Returns: as kqueue(); -1 with EINVAL for any other flag.
 * Threads: as kqueue(). Not async-signal-safe.
 * Source: kqueuex(2), FreeBSD 14.
 */
QUAY_BSD_CALL_ int kqueuex(unsigned int flags);

/*
 * kevent: applies changes, then waits for events and takes them.
 *
 * kq: a queue.
 * changelist, nchanges: changes, applied in order; NULL and 0 for none.
 * eventlist, nevents: room for results; with 0 the call returns after the changes. May be the array
 *        of the changes.
 * timeout: longest wait in seconds and nanoseconds, counted from after the changes; NULL waits for
 *        ever, {0, 0} only looks.
 *
 * A change that fails takes an entry of eventlist: its ident, filter and udata, EV_ERROR in flags,
 * the errno in data. A change with EV_RECEIPT takes one also when it succeeds, with data 0. When
 * there are such entries the call returns them at once. When there is no room for one the call
 * fails with that errno; the changes before it stay applied.
 *
 * Returns: entries written; 0 at the timeout; -1 with
 *   EBADF   kq is no queue, or the descriptor of a change is not open
 *   EFAULT  a list or the timeout cannot be read or written; no event is lost
 *   EINTR   a signal was handled during the wait and nothing had arrived; never restarted
 *   EINVAL  bad timeout, negative count, unknown filter, or a change that its filter refuses
 *   ENOENT  the registration to modify or delete does not exist
 *   ENOMEM  no memory, or too many timers
 *   EACCES, ENODEV, ENXIO, EOPNOTSUPP, EPERM, EPIPE, ESRCH  what a filter says of the object
 * Cancellation: with nevents > 0 a point of cancellation; a cancelled call takes no event.
 * Threads: any number may call with one queue; an event of a registration with EV_CLEAR, EV_ONESHOT
 *        or EV_DISPATCH goes to one of them. Not async-signal-safe.
 * Source: kevent(2), FreeBSD; kern_event.c of NetBSD and DragonFly.
 */
#if defined(__cplusplus)
/* -Wshadow minds a function that is called like a struct; on the BSDs it is in a system header. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
QUAY_BSD_CALL_ int kevent(int kq, const struct kevent* changelist, int nchanges,
                          struct kevent* eventlist, int nevents,
                          const struct timespec* timeout) QUAY_KEVENT_ENTRY_;
#if defined(__cplusplus)
#pragma GCC diagnostic pop
#endif

#undef QUAY_BSD_CALL_
#undef QUAY_KEVENT_ENTRY_
#undef QUAY_KEVENT_TIME_
#undef QUAY_KEVENT_TAG_

#if defined(__cplusplus)
} /* extern "C" */
#endif

#endif /* QUAY_BSD_SYS_EVENT_H_ */

/* Outside of the guard: a second inclusion must not be taken for a change of layout. */
#if defined(QUAY_KEVENT_EXT) && QUAY_KEVENT_LAYOUT_ == 11
#error "QUAY_KEVENT_EXT must be defined before the first inclusion of <sys/event.h>"
#endif
