// SPDX-License-Identifier: BSD-2-Clause
//
// What: what libquay-hooks calls in libquay: private to the two libraries, which are released
//       together.
// Contract: quay_hook_closing(fd) before, quay_hook_closed(fd) after the kernel closes or replaces
//           a number for which quay_hook_concerns(fd) said yes. Signal-safe as far as the queue's
//           mutex is not held by the interrupted thread.
#pragma once

struct sigaction;

#define QUAY_HOOK_POINT extern "C" __attribute__((visibility("default")))

// 1: announce this number. Also the self-test's ear: see host::hooks_are_present.
QUAY_HOOK_POINT int quay_hook_concerns(int fd);
QUAY_HOOK_POINT void quay_hook_closing(int fd);
QUAY_HOOK_POINT void quay_hook_closed(int fd);
QUAY_HOOK_POINT int quay_hook_is_ours(int fd);
QUAY_HOOK_POINT void quay_hook_duplicated(int from, int to);
QUAY_HOOK_POINT int quay_hook_is_closing(int fd);  // between the two
QUAY_HOOK_POINT int quay_hook_highest(void);       // no number above this one concerns us
QUAY_HOOK_POINT void quay_hook_unmapping(void);    // a mapping is about to go or to lose rights

// A queue watches the signal: its disposition is libquay's to keep.
QUAY_HOOK_POINT int quay_hook_watches_signal(int number);
QUAY_HOOK_POINT int quay_hook_sigaction(int number, const struct sigaction* act,
                                        struct sigaction* old);
QUAY_HOOK_POINT void quay_hook_signal_taken(int number);  // by sigwait() and the like
QUAY_HOOK_POINT void quay_hook_before_exec(void);         // and its like: posix_spawn(), popen()
QUAY_HOOK_POINT void quay_hook_after_exec(void);          // it returned
