/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <quay/port_source.h> first and alone: prototypes, and the seed's numbers.
 */
#include <quay/port_source.h>
#include <stddef.h>

#include "static_check.h"

int port_source_alone(void);

int port_source_alone(void) {
  int (*alloc_call)(int, int, int, port_kevent_t**) = port_alloc_event;
  int (*block_call)(int, int, int, port_kevent_t**) = port_alloc_event_block;
  int (*dup_call)(port_kevent_t*, port_kevent_t**, int) = port_dup_event;
  int (*send_call)(port_kevent_t*) = port_send_event;
  int (*remove_call)(port_kevent_t*) = port_remove_done_event;
  void (*free_call)(port_kevent_t*) = port_free_event;
  return alloc_call != NULL && block_call != NULL && dup_call != NULL && send_call != NULL &&
         remove_call != NULL && free_call != NULL;
}

STATIC_CHECK(PORT_ALLOC_DEFAULT == 0);
STATIC_CHECK(PORT_ALLOC_PRIVATE == 1);
STATIC_CHECK(PORT_ALLOC_CACHED == 2);
STATIC_CHECK(PORT_ALLOC_SCACHED == 4);
STATIC_CHECK(PORT_KEV_NOSHARE == 0x40);
STATIC_CHECK(PORT_CALLBACK_DEFAULT == 0);
STATIC_CHECK(PORT_CALLBACK_CLOSE == 1);
STATIC_CHECK(PORT_SHARE_EVENT == 1);
