/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: event ports for those who produce events rather than wait for them: the interface by which
 *       illumos' kernel attaches its sources, for programs.
 * Contract: port_source(3), port_send(3). Needs <port.h>'s directory on the include path.
 * Invariants:
 * 1. An event that could be reserved can always be sent: sending never fails for want of room.
 * 2. Compiles alone, first, in C and C++.
 */
#ifndef QUAY_PORT_SOURCE_H_
#define QUAY_PORT_SOURCE_H_

#include <stdint.h>
#include <sys/types.h>

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

/* The numbers of programs' sources: from here to 65535. They become portev_source. */
#define PORT_SOURCE_PROGRAM 256

typedef struct port_source port_source_t; /* a source that has entered a port */
typedef struct port_kevent port_kevent_t; /* an event: reserved, sent or being delivered */

/*
 * port_associate_ksource: has a source told when this process leaves the port, with its last
 * descriptor of it. A source need not do this to reserve events. Entering once more counts; whose
 * function is called is settled by the first.
 *
 * close_fn: called with arg, the number that was closed, the process, and whether no other process
 *       uses the port. It runs in the thread that closes, after the port is gone, with no lock of the
 *       library held; not when the process ends.
 * port_dissociate_ksource: takes back one entering.
 * Returns: 0; -1 with EBADF, EBADFD, EINVAL (no such source number, or handle) or ENOMEM.
 */
QUAY_CALL_ int port_associate_ksource(int port, int source, port_source_t** handle,
                                      void (*close_fn)(void* arg, int port, pid_t pid, int last),
                                      void* arg);
QUAY_CALL_ int port_dissociate_ksource(int port, int source, port_source_t* handle);

/* flags of an event */
#define PORT_ALLOC_DEFAULT 0 /* is gone with its delivery */
#define PORT_ALLOC_PRIVATE 1 /* these three stay: may be sent again, until port_free_event() */
#define PORT_ALLOC_CACHED 2
#define PORT_ALLOC_SCACHED 4
#define PORT_KEV_NOSHARE 0x40 /* only this process may receive it */

/*
 * port_alloc_event: reserves an event. port_alloc_event_block: waits for room. port_dup_event: one
 * more on the same port, of the same source.
 *
 * flags: one of PORT_ALLOC_*, and PORT_KEV_NOSHARE.
 * Returns: 0; -1 with EAGAIN (the port is full), EBADF, EBADFD, EINVAL (flags, source), ENOMEM or,
 *       port_alloc_event_block only, EINTR.
 */
QUAY_CALL_ int port_alloc_event(int port, int flags, int source, port_kevent_t** event);
QUAY_CALL_ int port_alloc_event_block(int port, int flags, int source, port_kevent_t** event);
QUAY_CALL_ int port_dup_event(port_kevent_t* event, port_kevent_t** copy, int flags);

/* why a callback is called */
#define PORT_CALLBACK_DEFAULT 0 /* the event is about to be delivered */
#define PORT_CALLBACK_CLOSE 1   /* it will not be: this process has left the port */

/*
 * port_init_event: what the event will say, and who has a say in its delivery. An event with a
 * callback is received in this process only.
 *
 * callback: called by the thread that receives the event, before it does, with no lock of the library
 *       held. It may change *events, may send the event again if it stays, and returns 0 to let it
 *       be delivered; anything else leaves the event in its place in the queue, and those behind it
 *       are delivered. With PORT_CALLBACK_CLOSE its answer means nothing.
 * port_set_event: the events word.
 * Returns: 0; -1 with EBADFD (the port is closed) or EINVAL.
 */
QUAY_CALL_ int port_init_event(port_kevent_t* event, uintptr_t object, void* user,
                               int (*callback)(void* arg, int* events, pid_t pid, int reason,
                                               port_kevent_t* event),
                               void* arg);
QUAY_CALL_ int port_set_event(port_kevent_t* event, int events);

/*
 * port_send_event: queues the event; nothing happens if it is queued already. One that does not stay
 * is the port's from then on: the program touches it in its callback at most, and
 * port_remove_done_event() or port_free_event() are for events that stay, or whose callback has not
 * run.
 * port_remove_done_event: takes a queued event out of the queue; it may be sent again.
 * port_free_event: gives an event back; a queued one is not delivered any more. Every event that
 *       stays is to be given back, also after the port was closed.
 * Returns: 0; -1 with EBADFD (the port is closed) or EINVAL. port_free_event(NULL) does nothing.
 * Threads: any. Not async-signal-safe.
 */
QUAY_CALL_ int port_send_event(port_kevent_t* event);
QUAY_CALL_ int port_remove_done_event(port_kevent_t* event);
QUAY_CALL_ void port_free_event(port_kevent_t* event);

#undef QUAY_CALL_

#if defined(__cplusplus)
} /* extern "C" */
#endif

#endif /* QUAY_PORT_SOURCE_H_ */
