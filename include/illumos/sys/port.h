/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <sys/port.h>: the structures and constants of event ports.
 * Contract: values and layouts are illumos', for 64- and 32-bit programs.
 */
#ifndef QUAY_ILLUMOS_SYS_PORT_H_
#define QUAY_ILLUMOS_SYS_PORT_H_

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#if defined(__cplusplus)
extern "C" {
#endif

/* Configure scripts and portable headers make macros of those that Linux' headers lack. */
#if !defined(uchar_t)
typedef unsigned char uchar_t;
#endif
#if !defined(ushort_t)
typedef unsigned short ushort_t;
#endif
#if !defined(uint_t)
typedef unsigned int uint_t;
#endif
#if !defined(ulong_t)
typedef unsigned long ulong_t;
#endif
#if !defined(timespec_t)
typedef struct timespec timespec_t;
#endif
#if !defined(itimerspec_t)
typedef struct itimerspec itimerspec_t;
#endif
#if !defined(timestruc_t)
typedef struct timespec timestruc_t;
#endif

typedef struct port_event {
  int portev_events;       /* what happened; the source says how to read it */
  ushort_t portev_source;  /* PORT_SOURCE_* */
  ushort_t portev_pad;     /* nothing */
  uintptr_t portev_object; /* what it happened to */
  void* portev_user;       /* as given by the program */
} port_event_t;

typedef struct port_notify {
  int portnfy_port;   /* where events go */
  void* portnfy_user; /* becomes portev_user */
} port_notify_t;

typedef struct file_obj {
  timestruc_t fo_atime; /* st_atim, or zero */
  timestruc_t fo_mtime; /* st_mtim, or zero */
  timestruc_t fo_ctime; /* st_ctim, or zero */
  uintptr_t fo_pad[3];  /* nothing */
  char* fo_name;        /* read once, when associated */
} file_obj_t;

/* port sources */
#define PORT_SOURCE_AIO 1
#define PORT_SOURCE_TIMER 2
#define PORT_SOURCE_USER 3
#define PORT_SOURCE_FD 4
#define PORT_SOURCE_ALERT 5
#define PORT_SOURCE_MQ 6
#define PORT_SOURCE_FILE 7

/* port_alert() flags */
#define PORT_ALERT_SET 0x01
#define PORT_ALERT_UPDATE 0x02
#define PORT_ALERT_INVALID (PORT_ALERT_SET | PORT_ALERT_UPDATE)

/* PORT_SOURCE_FILE: what may be asked for */
#define FILE_ACCESS 0x00000001
#define FILE_MODIFIED 0x00000002
#define FILE_ATTRIB 0x00000004
#define FILE_TRUNC 0x00100000
#define FILE_NOFOLLOW 0x10000000

/* PORT_SOURCE_FILE: what comes unasked */
#define FILE_DELETE 0x00000010
#define FILE_RENAME_TO 0x00000020
#define FILE_RENAME_FROM 0x00000040
#define UNMOUNTED 0x20000000
#define MOUNTEDOVER 0x40000000
#define FILE_EXCEPTION (UNMOUNTED | FILE_DELETE | FILE_RENAME_TO | FILE_RENAME_FROM | MOUNTEDOVER)

/* portev_events of PORT_SOURCE_AIO */
#define AIOLIO 7
#define AIOAREAD 11
#define AIOAWRITE 12
#define AIOLIO64 13
#define AIOAREAD64 17
#define AIOAWRITE64 18
#define AIOFSYNC 20
#define AIOFSYNC64 22

#if defined(__cplusplus)
} /* extern "C" */
#endif

#endif /* QUAY_ILLUMOS_SYS_PORT_H_ */
