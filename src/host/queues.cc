// SPDX-License-Identifier: BSD-2-Clause
//
// What: arrivals at message queues; see queues.hpp.
#include "host/queues.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/errno_guard.hpp"
#include "host/plain_calls.hpp"

namespace quay::host {
namespace {

// The kernel sends back these bytes, the last of them replaced by what happened.
constexpr int kCookie = 32;
constexpr char kArrived = 1;

}  // namespace

int arrival_socket() noexcept {
  errno_guard keep;
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd >= 0 ? fd : -errno;
}

int arrival_ask(int queue, int socket) noexcept {
  errno_guard keep;
  char cookie[kCookie] = {};
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD;
  event.sigev_signo = socket;
  event.sigev_value.sival_ptr = cookie;
  return error_of(static_cast<int>(syscall(SYS_mq_notify, queue, &event)));
}

void arrival_forget(int queue) noexcept {
  errno_guard keep;
  syscall(SYS_mq_notify, queue, nullptr);
}

bool arrival_take(int socket) noexcept {
  errno_guard keep;
  char cookie[kCookie] = {};
  return plain::receive(socket, cookie, sizeof cookie, MSG_DONTWAIT) == kCookie &&
         cookie[kCookie - 1] == kArrived;
}

}  // namespace quay::host
