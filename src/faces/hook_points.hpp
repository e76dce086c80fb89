// SPDX-License-Identifier: BSD-2-Clause
//
// What: what libquay-hooks calls in libquay: private to the two libraries, which are released
//       together.
// Contract: quay_hook_closing(fd) before, quay_hook_closed(fd) after the kernel closes or replaces
//           a number for which quay_hook_concerns(fd) said yes. Signal-safe: see
//           core::descriptor_table, invariant 3.
#pragma once

#include <sys/stat.h>

#include <poll.h>
#include <signal.h>
#include <sys/uio.h>
#include <time.h>
#include <cstddef>
#include <cstdint>

#include "core/file_call.hpp"

struct sigaction;

#define QUAY_HOOK_POINT extern "C" __attribute__((visibility("default")))

// 1: announce this number. Also the self-test's ear: see host::hooks_are_present.
QUAY_HOOK_POINT int quay_hook_concerns(int fd);
QUAY_HOOK_POINT void quay_hook_closing(int fd);
QUAY_HOOK_POINT void quay_hook_closed(int fd);
QUAY_HOOK_POINT int quay_hook_is_ours(int fd);
QUAY_HOOK_POINT void quay_hook_duplicated(int from, int to);
QUAY_HOOK_POINT int quay_hook_highest(void);     // no number above this one concerns us
QUAY_HOOK_POINT int quay_hook_table_size(void);  // every open number is below
QUAY_HOOK_POINT void quay_hook_unmapping(void);  // a mapping is about to go or to lose rights
QUAY_HOOK_POINT int quay_hook_sending(int fd);   // 0, or why it may not be sent (SCM_RIGHTS)

// How much of a program's memory can be read or written from there on.
extern "C" std::size_t quay_readable(const void* p, std::size_t n);  // for faces/small_types.cc
QUAY_HOOK_POINT std::size_t quay_hook_writable(void* p, std::size_t n);

// File operations: a result, or -errno, or QUAY_HOOK_PASS: libc's call is right.
#define QUAY_HOOK_PASS INT32_MIN
// A program's struct stat and struct timespec may have other sizes than the library's.
struct quay_hook_time {
  std::int64_t seconds;
  std::int64_t nanoseconds;
};
QUAY_HOOK_POINT int quay_hook_stat(int fd, struct statx* out);
QUAY_HOOK_POINT int quay_hook_ioctl(int fd, unsigned long request, void* argument);
QUAY_HOOK_POINT int quay_hook_fcntl(int fd, int command, void* argument);
QUAY_HOOK_POINT int quay_hook_file_call(int fd, quay::core::file_call what);

QUAY_HOOK_POINT long quay_hook_read(int fd, void* buffer, std::size_t n);
QUAY_HOOK_POINT long quay_hook_write(int fd, const void* buffer, std::size_t n);
QUAY_HOOK_POINT long quay_hook_readv(int fd, const iovec* parts, int count);
QUAY_HOOK_POINT long quay_hook_writev(int fd, const iovec* parts, int count);
QUAY_HOOK_POINT int quay_hook_poll(pollfd* fds, nfds_t n, const quay_hook_time* timeout,
                                   const sigset_t* mask);
QUAY_HOOK_POINT int quay_hook_pipe(int fds[2], int flags);
// This process is about to become another program: what that inherits must be the kernel's.
QUAY_HOOK_POINT void quay_hook_before_exec(void);
// A queue watches the signal: its disposition is libquay's to keep.
QUAY_HOOK_POINT int quay_hook_watches_signal(int number);
QUAY_HOOK_POINT int quay_hook_sigaction(int number, const struct sigaction* act,
                                        struct sigaction* old);
// The program posts a watched signal to itself, or (0) to the calling thread. Not 0: that is all.
QUAY_HOOK_POINT int quay_hook_posts_ignored(int number, pid_t process);
// Around libc's call, if it is not; after_post only when that succeeded, with what before_post gave.
QUAY_HOOK_POINT std::uint64_t quay_hook_before_post(int number);
QUAY_HOOK_POINT void quay_hook_after_post(int number, pid_t process, std::uint64_t before);
QUAY_HOOK_POINT void quay_hook_signal_taken(int number);  // by sigwait() and the like
QUAY_HOOK_POINT void quay_hook_after_exec(void);          // it returned
