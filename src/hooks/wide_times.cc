// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's calls under the names that 32-bit programs with 64-bit times know them by, put in front of
//       libc. Elsewhere this file is empty.
// Contract: the files named for the same calls: descriptors.cc, pipes.cc, messages.cc, signals.cc.
// Invariants: this file alone is compiled for wide times and offsets. libc's headers then give the
//             plain names below libc's other symbols, and the types their wide layouts.
#include <features.h>

#if defined(__TIMESIZE) && __TIMESIZE == 32 && defined(__USE_TIME_BITS64)

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <cstdarg>

#include "hooks/file_calls.hpp"
#include "hooks/messages.hpp"
#include "hooks/original.hpp"
#include "hooks/select.hpp"

namespace {

using namespace quay::hooks;

constinit original<int(int, int, ...)> libc_fcntl{"__fcntl_time64"};
constinit original<int(int, unsigned long, ...) noexcept> libc_ioctl{"__ioctl_time64"};
constinit original<int(int, struct stat*) noexcept> libc_fstat{"__fstat64_time64"};
constinit original<int(int, const char*, struct stat*, int) noexcept> libc_fstatat{
    "__fstatat64_time64"};
constinit original<int(int, const timespec*) noexcept> libc_futimens{"__futimens64"};
constinit original<int(int, const timeval*) noexcept> libc_futimes{"__futimes64"};
constinit original<int(pollfd*, nfds_t, const timespec*, const sigset_t*)> libc_ppoll{"__ppoll64"};
constinit original<int(int, fd_set*, fd_set*, fd_set*, timeval*)> libc_select{"__select64"};
constinit original<int(int, fd_set*, fd_set*, fd_set*, const timespec*, const sigset_t*)>
    libc_pselect{"__pselect64"};
constinit original<ssize_t(int, const msghdr*, int)> libc_sendmsg{"__sendmsg64"};
constinit original<int(int, mmsghdr*, unsigned, int)> libc_sendmmsg{"__sendmmsg64"};
constinit original<ssize_t(int, msghdr*, int)> libc_recvmsg{"__recvmsg64"};
constinit original<int(int, mmsghdr*, unsigned, int, timespec*)> libc_recvmmsg{"__recvmmsg64"};
constinit original<int(const sigset_t*, siginfo_t*, const timespec*)> libc_sigtimedwait{
    "__sigtimedwait64"};

[[gnu::constructor]] void look_up_originals() {
  libc_fcntl.get();
  libc_ioctl.get();
  libc_fstat.get();
  libc_fstatat.get();
  libc_futimens.get();
  libc_futimes.get();
  libc_ppoll.get();
  libc_select.get();
  libc_pselect.get();
  libc_sendmsg.get();
  libc_sendmmsg.get();
  libc_recvmsg.get();
  libc_recvmmsg.get();
  libc_sigtimedwait.get();
}

}  // namespace

QUAY_HOOK int fcntl(int fd, int command, ...) {
  QUAY_TAKE_ARGUMENT(command);
  return control(fd, command, argument, libc_fcntl);
}

QUAY_HOOK int ioctl(int fd, unsigned long request, ...) noexcept {
  QUAY_TAKE_ARGUMENT(request);
  return device_control(fd, request, argument, libc_ioctl);
}

QUAY_HOOK int fstat(int fd, struct stat* out) noexcept {
  return status(fd, out, [&] { return libc_fstat.get()(fd, out); });
}

QUAY_HOOK int fstatat(int fd, const char* path, struct stat* out, int flags) noexcept {
  const auto libc = [&] { return libc_fstatat.get()(fd, path, out, flags); };
  return names_descriptor(path, flags) ? status(fd, out, libc) : libc();
}

QUAY_HOOK int futimens(int fd, const timespec times[2]) noexcept {
  return request(fd, quay::core::file_call::times, [=] { return libc_futimens.get()(fd, times); });
}

QUAY_HOOK int futimes(int fd, const timeval times[2]) noexcept {
  return request(fd, quay::core::file_call::times, [=] { return libc_futimes.get()(fd, times); });
}

QUAY_HOOK int ppoll(pollfd* fds, nfds_t n, const timespec* timeout, const sigset_t* mask) {
  return settle(quay_hook_poll(fds, n, in_boundary_words(timeout).get(), mask),
                [=] { return libc_ppoll.get()(fds, n, timeout, mask); });
}

QUAY_HOOK int select(int n, fd_set* reading, fd_set* writing, fd_set* other, timeval* timeout) {
  const auto libc = [=] { return libc_select.get()(n, reading, writing, other, timeout); };
  return select_ours(n, {reading, writing, other}, in_boundary_words(timeout), nullptr, libc);
}

QUAY_HOOK int pselect(int n, fd_set* reading, fd_set* writing, fd_set* other,
                      const timespec* timeout, const sigset_t* mask) {
  const auto libc = [=] { return libc_pselect.get()(n, reading, writing, other, timeout, mask); };
  return select_ours(n, {reading, writing, other}, in_boundary_words(timeout), mask, libc);
}

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

QUAY_HOOK int sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* timeout) {
  const int number = libc_sigtimedwait.get()(set, info, timeout);
  if (number > 0) quay_hook_signal_taken(number);
  return number;
}

#endif
