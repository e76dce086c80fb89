/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: illumos's <sys/signalfd.h>: signals read from a descriptor.
 * Contract: signalfd(3C). Records have the kernel's layout, 128 bytes; signal numbers are Linux's.
 * Invariants: compiles alone, first, in C and C++. The name signalfd means quay_signalfd here, so that libc's
 *             function of the same name stays what it is for everybody else.
 */
#ifndef QUAY_ILLUMOS_SYS_SIGNALFD_H_
#define QUAY_ILLUMOS_SYS_SIGNALFD_H_

#include <signal.h>
#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define SFD_CLOEXEC 02000000
#define SFD_NONBLOCK 04000

#define SIGNALFDIOC (('s' << 16) | ('f' << 8))
#define SIGNALFDIOC_MASK (SIGNALFDIOC | 1) /* ioctl: replaces the mask */

typedef struct signalfd_siginfo {
  uint32_t ssi_signo;
  int32_t ssi_errno;
  int32_t ssi_code;
  uint32_t ssi_pid;
  uint32_t ssi_uid;
  int32_t ssi_fd;
  uint32_t ssi_tid;
  uint32_t ssi_band;
  uint32_t ssi_overrun;
  uint32_t ssi_trapno;
  int32_t ssi_status;
  int32_t ssi_int;
  uint64_t ssi_ptr;
  uint64_t ssi_utime;
  uint64_t ssi_stime;
  uint64_t ssi_addr;
  uint8_t ssi_pad[48];
} signalfd_siginfo_t;

extern int signalfd(int fd, const sigset_t* mask, int flags) __asm__("quay_signalfd");

#if defined(__cplusplus)
}
#endif

#endif /* QUAY_ILLUMOS_SYS_SIGNALFD_H_ */
