/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <port.h> first and alone: prototypes, layouts for both word sizes, and illumos' numbers.
 * Contract: event port semantics 8 and 11.
 */
#include <port.h>
#include <stddef.h>

#include "static_check.h"

int port_alone(void);

int port_alone(void) {
  int (*create_call)(void) = port_create;
  int (*associate_call)(int, int, uintptr_t, int, void*) = port_associate;
  int (*dissociate_call)(int, int, uintptr_t) = port_dissociate;
  int (*send_call)(int, int, void*) = port_send;
  int (*sendn_call)(int[], int[], uint_t, int, void*) = port_sendn;
  int (*alert_call)(int, int, int, void*) = port_alert;
  int (*get_call)(int, port_event_t*, struct timespec*) = port_get;
  int (*getn_call)(int, port_event_t[], uint_t, uint_t*, struct timespec*) = port_getn;
  return create_call != NULL && associate_call != NULL && dissociate_call != NULL &&
         send_call != NULL && sendn_call != NULL && alert_call != NULL && get_call != NULL &&
         getn_call != NULL;
}

STATIC_CHECK(offsetof(port_event_t, portev_events) == 0);
STATIC_CHECK(offsetof(port_event_t, portev_source) == 4);
STATIC_CHECK(offsetof(port_event_t, portev_pad) == 6);
STATIC_CHECK(offsetof(port_event_t, portev_object) == 8);
STATIC_CHECK(offsetof(port_event_t, portev_user) == 8 + sizeof(void*));
STATIC_CHECK(sizeof(port_event_t) == 8 + 2 * sizeof(void*));
STATIC_CHECK(sizeof(port_notify_t) == 2 * sizeof(void*));
STATIC_CHECK(offsetof(port_notify_t, portnfy_user) == sizeof(void*));
STATIC_CHECK(offsetof(file_obj_t, fo_mtime) == sizeof(struct timespec));
STATIC_CHECK(offsetof(file_obj_t, fo_ctime) == 2 * sizeof(struct timespec));
STATIC_CHECK(offsetof(file_obj_t, fo_name) == 3 * sizeof(struct timespec) + 3 * sizeof(void*));
STATIC_CHECK(sizeof(file_obj_t) == 3 * sizeof(struct timespec) + 4 * sizeof(void*));

STATIC_CHECK(PORT_SOURCE_AIO == 1);
STATIC_CHECK(PORT_SOURCE_TIMER == 2);
STATIC_CHECK(PORT_SOURCE_USER == 3);
STATIC_CHECK(PORT_SOURCE_FD == 4);
STATIC_CHECK(PORT_SOURCE_ALERT == 5);
STATIC_CHECK(PORT_SOURCE_MQ == 6);
STATIC_CHECK(PORT_SOURCE_FILE == 7);
STATIC_CHECK(PORT_ALERT_SET == 1);
STATIC_CHECK(PORT_ALERT_UPDATE == 2);
STATIC_CHECK(PORT_ALERT_INVALID == 3);
STATIC_CHECK(FILE_ACCESS == 0x1);
STATIC_CHECK(FILE_MODIFIED == 0x2);
STATIC_CHECK(FILE_ATTRIB == 0x4);
STATIC_CHECK(FILE_DELETE == 0x10);
STATIC_CHECK(FILE_RENAME_TO == 0x20);
STATIC_CHECK(FILE_RENAME_FROM == 0x40);
STATIC_CHECK(FILE_TRUNC == 0x100000);
STATIC_CHECK(FILE_NOFOLLOW == 0x10000000);
STATIC_CHECK(UNMOUNTED == 0x20000000);
STATIC_CHECK(MOUNTEDOVER == 0x40000000);
STATIC_CHECK(FILE_EXCEPTION == 0x60000070);
STATIC_CHECK(AIOLIO == 7);
STATIC_CHECK(AIOAREAD == 11);
STATIC_CHECK(AIOAWRITE == 12);
STATIC_CHECK(AIOFSYNC == 20);
