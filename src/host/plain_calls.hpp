// SPDX-License-Identifier: BSD-2-Clause
//
// What: the system calls that libc makes points of cancellation, made without libc.
// Contract: as the manual pages of section 2 have them: -1 and errno.
// Invariants: a cancelled thread is unwound from libc's calls, leaving mutexes held, or through a
//             noexcept function, which ends the program; and the hooks stand in front of them. So
//             wherever waiting is not what the public call is about, the host uses these.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "host/call_numbers.hpp"

namespace quay::host::plain {

inline int open(const char* path, int flags) noexcept {
  return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, flags, 0));
}

inline ssize_t read(int fd, void* to, std::size_t bytes) noexcept {
  return syscall(SYS_read, fd, to, bytes);
}

inline ssize_t write(int fd, const void* from, std::size_t bytes) noexcept {
  return syscall(SYS_write, fd, from, bytes);
}

// What of `events` the descriptor shows now; 0 also when it cannot be asked.
inline short poll_now(int fd, short events) noexcept {
  pollfd p{fd, events, 0};
  const timespec zero{};
  return syscall(kPpoll, &p, 1, &zero, nullptr, std::size_t{8}) == 1 ? p.revents : short{0};
}

inline int waitid(idtype_t kind, id_t id, siginfo_t* info, int options) noexcept {
  return static_cast<int>(syscall(SYS_waitid, kind, id, info, options, nullptr));
}

inline ssize_t send(int socket, const void* from, std::size_t bytes, int flags) noexcept {
  return syscall(SYS_sendto, socket, from, bytes, flags, nullptr, 0);
}

inline ssize_t receive(int socket, void* to, std::size_t bytes, int flags, sockaddr* from = nullptr,
                       socklen_t* size = nullptr) noexcept {
  return syscall(SYS_recvfrom, socket, to, bytes, flags, from, size);
}

inline ssize_t send_message(int socket, const msghdr* message, int flags) noexcept {
  return syscall(SYS_sendmsg, socket, message, flags);
}

inline ssize_t receive_message(int socket, msghdr* message, int flags) noexcept {
  return syscall(SYS_recvmsg, socket, message, flags);
}

// The kernel takes the halves of an offset apart; on 64-bit systems the low one is all of it.
inline ssize_t readv_at(int fd, const iovec* parts, int count, std::int64_t offset,
                        int flags) noexcept {
  return syscall(SYS_preadv2, fd, parts, count, static_cast<long>(offset),
                 static_cast<long>(offset >> 32), flags);
}

inline ssize_t writev_at(int fd, const iovec* parts, int count, std::int64_t offset,
                         int flags) noexcept {
  return syscall(SYS_pwritev2, fd, parts, count, static_cast<long>(offset),
                 static_cast<long>(offset >> 32), flags);
}

}  // namespace quay::host::plain
