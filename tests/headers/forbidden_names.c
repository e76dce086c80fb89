/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: names that other programs own are left to them.
 * Contract: a well-known event library uses the EV_* below for its own enumerators, and NOTE_EOF is
 *       what programs test before they rely on end-of-file readiness of every object.
 */
#include <quay/quay.h>
#include <sys/event.h>
#include <sys/queue.h>
#include <sys/sysctl.h>

/* A macro of any of these names would expand here and break the declaration. */
enum event_library_names {
  EV_TIMEOUT = 0x01,
  EV_READ = 0x02,
  EV_WRITE = 0x04,
  EV_SIGNAL = 0x08,
  EV_PERSIST = 0x10,
  EV_ET = 0x20,
  EV_FINALIZE = 0x40,
  EV_CLOSED = 0x80,
  EV_FEATURE_ET = 1,
  EV_FEATURE_O1 = 2,
  EV_FEATURE_FDS = 4,
  EV_FEATURE_EARLY_CLOSE = 8,
  EV_CHANGE_ADD = 1,
  EV_CHANGE_DEL = 2,
  EV_CHANGE_READ = 3,
  EV_CHANGE_PERSIST = 4,
  EV_CHANGE_ET = 5,
  EV_SIZE_MAX = 6,
  NOTE_EOF = 2
};

#if defined(EV_READ) || defined(EV_WRITE) || defined(EV_SIGNAL) || defined(EV_TIMEOUT) ||  \
    defined(EV_PERSIST) || defined(EV_ET) || defined(EV_CLOSED) || defined(EV_FINALIZE) || \
    defined(EV_FEATURE_ET) || defined(EV_FEATURE_O1) || defined(EV_FEATURE_FDS) ||         \
    defined(EV_FEATURE_EARLY_CLOSE) || defined(EV_CHANGE_ADD) || defined(EV_CHANGE_DEL) || \
    defined(EV_CHANGE_READ) || defined(EV_CHANGE_WRITE) || defined(EV_CHANGE_SIGNAL) ||    \
    defined(EV_CHANGE_CLOSED) || defined(EV_CHANGE_PERSIST) || defined(EV_CHANGE_ET) ||    \
    defined(EV_SIZE_MAX) || defined(EV_SSIZE_MAX) || defined(NOTE_EOF)
#error "<sys/event.h> defines a name that is another program's"
#endif

/* What a program tests before it calls sysctl(), which Linux does not have. */
#if defined(CTL_KERN) || defined(CTL_HW) || defined(HW_NCPU)
#error "<sys/sysctl.h> promises what it cannot keep"
#endif
