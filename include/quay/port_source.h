/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: event ports for those who produce events rather than wait for them.
 * Contract: port_send(3). Needs <port.h>'s directory on the include path.
 */
#ifndef QUAY_PORT_SOURCE_H_
#define QUAY_PORT_SOURCE_H_

#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define QUAY_CALL_ extern __attribute__((__visibility__("default")))

/* flags of port_dispatch() */
#define PORT_SHARE_EVENT 1 /* any process that has the port may receive the event */

/*
 * port_dispatch: puts an event of a source other than USER into a port; without PORT_SHARE_EVENT
 * for the calling process only.
 *
 * source: PORT_SOURCE_AIO or PORT_SOURCE_MQ.
 * Returns: 0; -1 with EBADF, EBADFD (port), EINVAL (source) or EINTR (while it waited for room: it
 *       blocks when the port is full).
 * Threads: any. Not async-signal-safe.
 */
QUAY_CALL_ int port_dispatch(int port, int flags, int source, int events, uintptr_t object,
                             void* user);

#undef QUAY_CALL_

#if defined(__cplusplus)
} /* extern "C" */
#endif

#endif /* QUAY_PORT_SOURCE_H_ */
