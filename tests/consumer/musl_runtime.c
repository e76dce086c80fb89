/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: what a program needs beside musl 1.2.3 to be linked with a libquay.a and a libstdc++.a that were built for glibc:
 *       system calls that this musl has no functions for, and what the C++ runtime asks of glibc.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Shared pointers count without atomics where this is true. */
char __libc_single_threaded = 0;

/* The unwinder goes on by dl_iterate_phdr(), which musl has. */
int _dl_find_object(void* pc, void* result) {
  (void)pc;
  (void)result;
  return -1;
}

int epoll_pwait2(int fd, struct epoll_event* events, int most, const struct timespec* timeout,
                 const sigset_t* mask) {
  return (int)syscall(SYS_epoll_pwait2, fd, events, most, timeout, mask, _NSIG / 8);
}

struct statx;
int statx(int folder, const char* restrict path, int flags, unsigned wanted,
          struct statx* restrict out) {
  return (int)syscall(SYS_statx, folder, path, flags, wanted, out);
}
