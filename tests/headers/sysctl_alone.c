/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <sys/sysctl.h> by habit, with the types it brings, next to Linux's header of like name.
 */
#include <sys/sysctl.h>
/* After ours: names of ours that it declares would break it. */
#include <linux/sysctl.h>

size_t mib_bytes(pid_t pid);
size_t mib_bytes(pid_t pid) { return sizeof(pid) * CTL_MAXNAME; }
