// SPDX-License-Identifier: BSD-2-Clause
//
// What: signalfd, pipes, and reading and writing, by quay's names and by libc's, put in front of the library's.
// Contract: libc's names are traced on descriptors of the library's only. close() is left alone: the library looks
//           whose it is to know whether it hears of every close.
#include <fcntl.h>
#include <quay/quay.h>
#include <signal.h>
#include <unistd.h>

#include "traced.hpp"

extern "C" bool quay_hook_is_ours(int fd);

namespace {

using quay::trace::call;
using quay::trace::fetch;
using quay::trace::line;
using quay::trace::original;
using quay::trace::traced;

constexpr quay::tool::bit kOpenFlags[] = {{O_CLOEXEC, "O_CLOEXEC"},
                                          {O_NONBLOCK, "O_NONBLOCK"},
                                          {QUAY_SIGNALFD_LINUX, "QUAY_SIGNALFD_LINUX"}};

void show_set(line& out, const sigset_t* set) {
  sigset_t copied;
  if (!fetch(&copied, set, sizeof copied)) {
    out.address(set);
    return;
  }
  const char* between = "";
  out << "{";
  for (int number = 1; number < NSIG; ++number) {
    if (sigismember(&copied, number) != 1) continue;
    const char* name = sigabbrev_np(number);
    if (name != nullptr) {
      out << between << "SIG" << name;
    } else {
      out << between << number;
    }
    between = " ";
  }
  out << "}";
}

void nothing(line&, long) {}

template <class F, class At, class... More>
ssize_t transfer(call which, int fd, At at, More... more) {
  return traced(
      which,
      [&](line& out) {
        (out << fd << ", ").address(at);
        ((out << ", " << more), ...);
      },
      [&] { return original<F>(which)(fd, at, more...); }, nothing);
}

using read_like = ssize_t(int, void*, size_t);
using write_like = ssize_t(int, const void*, size_t);
using readv_like = ssize_t(int, const void*, int);

// The same for libc's name, on the library's descriptors.
template <class F, class At, class... More>
ssize_t transfer_ours(call which, int fd, At at, More... more) {
  if (quay_hook_is_ours(fd)) return transfer<F>(which, fd, at, more...);
  return original<F>(which)(fd, at, more...);
}

}  // namespace

int quay_signalfd(int fd, const sigset_t* mask, int flags) {
  return traced(
      call::quay_signalfd,
      [&](line& out) {
        show_set(out << fd << ", ", mask);
        (out << ", ").bits(kOpenFlags, static_cast<unsigned>(flags));
      },
      [&] { return original<decltype(quay_signalfd)>(call::quay_signalfd)(fd, mask, flags); },
      nothing);
}

int quay_pipe2(int fd[2], int flags) {
  return traced(
      call::quay_pipe2, [&](line& out) { out.bits(kOpenFlags, static_cast<unsigned>(flags)); },
      [&] { return original<decltype(quay_pipe2)>(call::quay_pipe2)(fd, flags); },
      [&](line& out, int result) {
        if (result == 0) out << " {" << fd[0] << ", " << fd[1] << "}";
      });
}

int quay_close(int fd) {
  return traced(
      call::quay_close, [&](line& out) { out << fd; },
      [&] { return original<int(int)>(call::quay_close)(fd); }, nothing);
}

ssize_t quay_read(int fd, void* at, size_t n) {
  return transfer<read_like>(call::quay_read, fd, at, n);
}
ssize_t quay_readv(int fd, const struct iovec* parts, int count) {
  return transfer<readv_like>(call::quay_readv, fd, parts, count);
}
ssize_t quay_write(int fd, const void* at, size_t n) {
  return transfer<write_like>(call::quay_write, fd, at, n);
}
ssize_t quay_writev(int fd, const struct iovec* parts, int count) {
  return transfer<readv_like>(call::quay_writev, fd, parts, count);
}

#define QUAY_SHOWN extern "C" __attribute__((visibility("default")))
QUAY_SHOWN ssize_t read(int fd, void* at, size_t n) {
  return transfer_ours<read_like>(call::read, fd, at, n);
}
QUAY_SHOWN ssize_t readv(int fd, const struct iovec* parts, int count) {
  return transfer_ours<readv_like>(call::readv, fd, parts, count);
}
QUAY_SHOWN ssize_t write(int fd, const void* at, size_t n) {
  return transfer_ours<write_like>(call::write, fd, at, n);
}
QUAY_SHOWN ssize_t writev(int fd, const struct iovec* parts, int count) {
  return transfer_ours<readv_like>(call::writev, fd, parts, count);
}
