/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: lets programs that include <sys/sysctl.h> by habit compile where libc has dropped it.
 * Contract: libc's header where there is one. Otherwise what such a program may lean on, the basic
 *       types, and nothing more: no sysctl(), which Linux does not have, and no CTL_*, KERN_* or
 *       HW_* names, for their presence is what portable programs test before they call it.
 */
#ifndef QUAY_BSD_SYS_SYSCTL_H_
#define QUAY_BSD_SYS_SYSCTL_H_

/* #include_next is an extension that -Wpedantic names in every program that includes this. */
#if defined(__GNUC__)
#pragma GCC system_header
#endif
#include <sys/types.h>
#if defined(__has_include_next)
#if __has_include_next(<sys/sysctl.h>)
#include_next <sys/sysctl.h>
#endif
#endif

#endif /* QUAY_BSD_SYS_SYSCTL_H_ */
