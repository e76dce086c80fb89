// SPDX-License-Identifier: BSD-2-Clause
//
// What: see supervisor.hpp.
#include "supervisor.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <vector>

namespace quay::faults {
namespace {

// Calls that cannot fail with good arguments (fstat, timerfd_settime, fcntl, close; epoll_ctl that removes) are not here, nor is what the C library itself
// cannot live without (futex, rt_sigprocmask).
// ENOSYS: where Linux 5.11, the oldest that will do, may lack the call, or who translates for it (qemu's user mode) does.
constexpr failing_call kCalls[] = {
    {SYS_epoll_create1, "epoll_create1", {EMFILE, ENOMEM, 0}},
    {SYS_epoll_ctl, "epoll_ctl", {ENOMEM, ENOSPC, 0}},
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, "epoll_wait", {EINTR, 0, 0}},
#endif
    {SYS_epoll_pwait, "epoll_pwait", {EINTR, 0, 0}},
#ifdef SYS_epoll_pwait2
    {SYS_epoll_pwait2, "epoll_pwait2", {EINTR, ENOSYS, 0}},
#endif
    {SYS_eventfd2, "eventfd2", {EMFILE, ENOMEM, 0}},
    {SYS_timerfd_create, "timerfd_create", {EMFILE, ENOMEM, 0}},
    {SYS_signalfd4, "signalfd4", {EMFILE, ENOMEM, 0}},
    {SYS_inotify_init1, "inotify_init1", {EMFILE, ENOMEM, 0}},
    {SYS_inotify_add_watch, "inotify_add_watch", {ENOSPC, ENOMEM, EACCES}},
    {SYS_pidfd_open, "pidfd_open", {EMFILE, EPERM, 0}},
    {SYS_socket, "socket", {EMFILE, EPERM, 0}},
    {SYS_bind, "bind", {EPERM, 0, 0}},
    {SYS_pipe2, "pipe2", {EMFILE, ENFILE, 0}},
    {SYS_memfd_create, "memfd_create", {EMFILE, ENOMEM, 0}},
    {SYS_ftruncate, "ftruncate", {ENOMEM, 0, 0}},
    {SYS_mmap, "mmap", {ENOMEM, 0, 0}},
    {SYS_openat, "openat", {EMFILE, ENOENT, EACCES}},
    {SYS_kcmp, "kcmp", {EPERM, ENOSYS, 0}},
    {SYS_clone3, "clone3", {EAGAIN, ENOSYS, 0}},
    {SYS_io_uring_setup, "io_uring_setup", {ENOMEM, ENOSYS, EPERM}},
    {SYS_membarrier, "membarrier", {EPERM, ENOSYS, 0}},
    {SYS_preadv2, "preadv2", {EAGAIN, EOPNOTSUPP, ENOSYS}},
};

int install() {
  std::vector<sock_filter> program;
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  for (const failing_call& c : kCalls) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(c.number), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog whole{static_cast<unsigned short>(program.size()), program.data()};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return static_cast<int>(
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &whole));
}

}  // namespace

std::span<const failing_call> failing_calls() { return kCalls; }

void supervisor::arm(int nth, int choice) {
  calls_ = 0;
  failed_ = nullptr;
  choice_ = choice;
  nth_ = nth;
  armed_ = true;
}

bool supervisor::disarm() {
  armed_ = false;
  return failed_ != nullptr;
}

void supervisor::answer(int listener) {
  seccomp_notif asked{};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) return;
  seccomp_notif_resp reply{};
  reply.id = asked.id;
  reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  if (armed_ && static_cast<int>(asked.pid) == watched_ && calls_++ == nth_) {
    for (const failing_call& c : kCalls) {
      if (c.number != asked.data.nr || c.errors[choice_] == 0) continue;
      if (c.number == SYS_epoll_ctl && asked.data.args[1] == EPOLL_CTL_DEL) continue;
      failed_ = &c;
      error_ = c.errors[choice_];
      reply.flags = 0;
      reply.error = -c.errors[choice_];
    }
  }
  ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

bool supervisor::run(const std::function<void()>& body) {
  std::thread watched([&] {
    watched_ = static_cast<int>(::syscall(SYS_gettid));
    const int made = install();
    listener_ = made < 0 ? -1 : made;
    if (made >= 0) body();
    over_ = true;
    // One more call that the supervisor hears of, so that it looks.
    if (made >= 0) ::syscall(SYS_bind, -1, nullptr, 0);
  });
  while (listener_ == -2) std::this_thread::yield();
  while (listener_ >= 0 && !over_) {
    pollfd p{listener_, POLLIN, 0};
    if (::poll(&p, 1, 1000) == 1 && (p.revents & POLLIN)) answer(listener_);
  }
  // Who still asks is answered ENOSYS by the closing.
  if (listener_ >= 0) ::close(listener_);
  watched.join();
  return listener_ >= 0;
}

}  // namespace quay::faults
