// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's calls that pass descriptors between processes: a queue is not sent, and a number that
//       arrives is a new one.
// Contract: semantics/kqueue.md section 6, SCM_RIGHTS. A message without control data costs nothing.
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "faces/hook_points.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::original;

constinit original<ssize_t(int, const msghdr*, int)> libc_sendmsg{"sendmsg"};
constinit original<int(int, mmsghdr*, unsigned, int)> libc_sendmmsg{"sendmmsg"};
constinit original<ssize_t(int, msghdr*, int)> libc_recvmsg{"recvmsg"};
constinit original<int(int, mmsghdr*, unsigned, int, timespec*)> libc_recvmmsg{"recvmmsg"};

[[gnu::constructor]] void look_up_originals() {
  libc_sendmsg.get();
  libc_sendmmsg.get();
  libc_recvmsg.get();
  libc_recvmmsg.get();
}

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

int refusal(const msghdr* message) noexcept { return each_descriptor(message, quay_hook_sending); }

// What the library knows of the number belongs to an object that was closed unseen.
void arrived(const msghdr* message) noexcept {
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

}  // namespace

QUAY_HOOK ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (const int error = refusal(message); error != 0) {
    errno = error;
    return -1;
  }
  return libc_sendmsg.get()(fd, message, flags);
}

// As the kernel does it: what stands before the message that is refused is sent.
QUAY_HOOK int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  unsigned good = 0;
  int error = 0;
  while (good < count && (error = refusal(&messages[good].msg_hdr)) == 0) ++good;
  if (good == 0 && error != 0) {
    errno = error;
    return -1;
  }
  return libc_sendmmsg.get()(fd, messages, good, flags);
}

QUAY_HOOK ssize_t recvmsg(int fd, msghdr* message, int flags) {
  const ssize_t n = libc_recvmsg.get()(fd, message, flags);
  if (n >= 0) arrived(message);
  return n;
}

QUAY_HOOK int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  const int n = libc_recvmmsg.get()(fd, messages, count, flags, timeout);
  for (int k = 0; k < n; ++k) arrived(&messages[k].msg_hdr);
  return n;
}
