// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the hooks of the calls that pass descriptors between processes have in common: a queue
//       is not sent, and a number that arrives is a new one.
// Contract: semantics/kqueue.md section 6, SCM_RIGHTS. A message without control data costs nothing.
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "faces/hook_points.hpp"

namespace quay::hooks {

// Calls f(fd) for every descriptor in the message until it returns something; returns that.
template <class F>
int each_descriptor(const msghdr* message, F f) noexcept {
  if (message == nullptr || message->msg_control == nullptr) return 0;
  auto* m = const_cast<msghdr*>(message);
  for (cmsghdr* part = CMSG_FIRSTHDR(m); part != nullptr; part = CMSG_NXTHDR(m, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= part->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, reinterpret_cast<const char*>(part) + at, sizeof fd);
      if (const int result = f(fd); result != 0) return result;
    }
  }
  return 0;
}

inline int refusal(const msghdr* message) noexcept {
  return each_descriptor(message, quay_hook_sending);
}

// What the library knows of the number belongs to an object that was closed unseen.
inline void arrived(const msghdr* message) noexcept {
  const int saved = errno;
  each_descriptor(message, [](int fd) {
    if (quay_hook_concerns(fd)) {
      quay_hook_closing(fd);
      quay_hook_closed(fd);
    }
    return 0;
  });
  errno = saved;
}

// A message that is to be sent by `libc`.
template <class Libc>
ssize_t sent(const msghdr* message, Libc libc) {
  const int error = refusal(message);
  if (error == 0) return libc();
  errno = error;
  return -1;
}

// As the kernel does it: what stands before the message that is refused is sent.
template <class Libc>
int sent(const mmsghdr* messages, unsigned count, Libc libc) {
  unsigned good = 0;
  int error = 0;
  while (good < count && (error = refusal(&messages[good].msg_hdr)) == 0) ++good;
  if (good == 0 && error != 0) {
    errno = error;
    return -1;
  }
  return libc(good);
}

// What libc's call has returned.
inline ssize_t received(const msghdr* message, ssize_t n) noexcept {
  if (n >= 0) arrived(message);
  return n;
}

inline int received(const mmsghdr* messages, int n) noexcept {
  for (int k = 0; k < n; ++k) arrived(&messages[k].msg_hdr);
  return n;
}

}  // namespace quay::hooks
