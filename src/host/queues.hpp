// SPDX-License-Identifier: BSD-2-Clause
//
// What: POSIX message queues that tell by a descriptor when a message arrives at an empty queue.
// Contract: mq_notify(3)'s rules are the kernel's: one registration for a queue, one arrival for a
//           registration. The kernel answers into a netlink socket, which is how libc's own
//           SIGEV_THREAD learns of it.
// Ownership: the caller discards the socket.
#pragma once

namespace quay::host {

int arrival_socket() noexcept;  // a descriptor or -errno
int arrival_ask(int queue, int socket) noexcept;
void arrival_forget(int queue) noexcept;
// Reads what the kernel told: true for an arrival, false for the registration's end.
bool arrival_take(int socket) noexcept;

}  // namespace quay::host
