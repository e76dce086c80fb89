// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's calls that pass descriptors between processes, put in front of libc.
// Contract: messages.hpp.
#include <sys/socket.h>

#include "hooks/messages.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::original;
using quay::hooks::received;
using quay::hooks::sent;

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

}  // namespace

QUAY_HOOK ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return sent(message, [=] { return libc_sendmsg.get()(fd, message, flags); });
}

QUAY_HOOK int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  return sent(messages, count,
              [=](unsigned good) { return libc_sendmmsg.get()(fd, messages, good, flags); });
}

QUAY_HOOK ssize_t recvmsg(int fd, msghdr* message, int flags) {
  return received(message, libc_recvmsg.get()(fd, message, flags));
}

QUAY_HOOK int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  return received(messages, libc_recvmmsg.get()(fd, messages, count, flags, timeout));
}
