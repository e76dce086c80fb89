/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: no two names that can meet in one field share a bit, and no two filters a number.
 * Contract: a sum of bits equals their union exactly if no bit occurs twice.
 */
#include <fcntl.h>
#include <quay/quay.h>
#include <sys/event.h>

#include "static_check.h"

#define APART2(a, b) (((a) & (b)) == 0)
#define APART3(a, b, c) (APART2(a, b) && APART2((a) | (b), c))
#define APART4(a, b, c, d) (APART3(a, b, c) && APART2((a) | (b) | (c), d))

/* flags: actions and properties; then results, which may share bits among kernel names only. */
STATIC_CHECK(EV_ADD + EV_DELETE + EV_ENABLE + EV_DISABLE + EV_ONESHOT + EV_CLEAR + EV_RECEIPT +
                 EV_DISPATCH + EV_FORCEONESHOT + EV_KEEPUDATA + EV_HUP + EV_NODATA + EV_FLAG1 +
                 EV_ERROR + EV_EOF ==
             (EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE | EV_ONESHOT | EV_CLEAR | EV_RECEIPT |
              EV_DISPATCH | EV_FORCEONESHOT | EV_KEEPUDATA | EV_HUP | EV_NODATA | EV_FLAG1 |
              EV_ERROR | EV_EOF));
/* What a change may say survives the removal of the system's bits, in either width of the mask. */
STATIC_CHECK(APART2(EV_SYSFLAGS | EV_HUP, EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE | EV_ONESHOT |
                                              EV_CLEAR | EV_RECEIPT | EV_DISPATCH |
                                              EV_FORCEONESHOT | EV_KEEPUDATA));

/* fflags of EVFILT_READ, _WRITE and _EXCEPT. */
STATIC_CHECK(APART4(NOTE_LOWAT, NOTE_FILE_POLL, NOTE_OOB, QUAY_NOTE_NODATA));

/* fflags of EVFILT_VNODE. */
STATIC_CHECK(NOTE_DELETE + NOTE_WRITE + NOTE_EXTEND + NOTE_ATTRIB + NOTE_LINK + NOTE_RENAME +
                 NOTE_REVOKE + NOTE_OPEN + NOTE_CLOSE + NOTE_CLOSE_WRITE + NOTE_READ +
                 NOTE_TRUNCATE ==
             0xfff);

/* fflags of EVFILT_PROC. */
STATIC_CHECK(APART3(NOTE_EXIT, NOTE_FORK, NOTE_EXEC));
STATIC_CHECK(APART3(NOTE_TRACK, NOTE_TRACKERR, NOTE_CHILD));
STATIC_CHECK(APART2(NOTE_EXIT | NOTE_FORK | NOTE_EXEC, NOTE_TRACK | NOTE_TRACKERR | NOTE_CHILD));
STATIC_CHECK(APART2(NOTE_PCTRLMASK, NOTE_PDATAMASK));

/* fflags of EVFILT_TIMER. */
STATIC_CHECK(APART4(NOTE_SECONDS, NOTE_MSECONDS, NOTE_USECONDS, NOTE_NSECONDS));
STATIC_CHECK(APART2(NOTE_SECONDS | NOTE_MSECONDS | NOTE_USECONDS | NOTE_NSECONDS, NOTE_ABSTIME));

/* fflags of EVFILT_USER: operation, trigger and the program's bits lie side by side. */
STATIC_CHECK(APART3(NOTE_FFCTRLMASK, NOTE_FFLAGSMASK, NOTE_TRIGGER));
STATIC_CHECK((NOTE_FFCTRLMASK & NOTE_FFCOPY) == NOTE_FFCOPY);
STATIC_CHECK((NOTE_FFAND | NOTE_FFOR) == NOTE_FFCOPY && NOTE_FFAND != NOTE_FFOR);

/* fflags of EVFILT_FS. */
STATIC_CHECK(VQ_NOTRESP + VQ_NEEDAUTH + VQ_LOWDISK + VQ_MOUNT + VQ_UNMOUNT + VQ_DEAD + VQ_ASSIST +
                 VQ_NOTRESPLOCK ==
             0xff);

/* Flags of the calls that make queues. */
STATIC_CHECK(APART2(KQUEUE_CLOEXEC, KQUEUE_CPONFORK));
STATIC_CHECK(APART2(QUAY_PRIVATE, KQUEUE_CLOEXEC | KQUEUE_CPONFORK));
#if defined(O_CLOEXEC)
STATIC_CHECK(APART3(QUAY_PRIVATE, O_CLOEXEC, O_NONBLOCK));
STATIC_CHECK(APART2(KQUEUE_CLOEXEC | KQUEUE_CPONFORK, O_CLOEXEC | O_NONBLOCK));
#endif
STATIC_CHECK(QUAY_PRIVATE > 0);

/* Filters: unequal numbers, or the labels below do not compile. All are negative and in range. */
#define FILTER_LABEL(filter) \
  case (filter):             \
    return (filter) < 0 && -(filter) <= EVFILT_SYSCOUNT
int is_filter(int number);
int is_filter(int number) {
  switch (number) {
    FILTER_LABEL(EVFILT_READ);
    FILTER_LABEL(EVFILT_WRITE);
    FILTER_LABEL(EVFILT_AIO);
    FILTER_LABEL(EVFILT_VNODE);
    FILTER_LABEL(EVFILT_PROC);
    FILTER_LABEL(EVFILT_SIGNAL);
    FILTER_LABEL(EVFILT_TIMER);
    FILTER_LABEL(EVFILT_PROCDESC);
    FILTER_LABEL(EVFILT_FS);
    FILTER_LABEL(EVFILT_LIO);
    FILTER_LABEL(EVFILT_USER);
    FILTER_LABEL(EVFILT_SENDFILE);
    FILTER_LABEL(EVFILT_EMPTY);
    FILTER_LABEL(EVFILT_EXCEPT);
    default:
      return 0;
  }
}

/* Dialects. */
const char* dialect_name(int dialect);
const char* dialect_name(int dialect) {
  switch (dialect) {
    case QUAY_DIALECT_FREEBSD:
      return "FreeBSD";
    case QUAY_DIALECT_NETBSD:
      return "NetBSD";
    case QUAY_DIALECT_DRAGONFLY:
      return "DragonFly";
    case QUAY_DIALECT_OPENBSD:
      return "OpenBSD";
    default:
      return NULL;
  }
}
STATIC_CHECK(QUAY_DIALECT_FREEBSD == 0);
STATIC_CHECK(QUAY_DIALECT_NETBSD == 1);
STATIC_CHECK(QUAY_DIALECT_DRAGONFLY == 2);
STATIC_CHECK(QUAY_DIALECT_OPENBSD == 3);
STATIC_CHECK(QUAY_PRIVATE == 0x40000000);
STATIC_CHECK(QUAY_NOTE_NODATA == 0x00010000);
