// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay.h: making pipes, with and without a name, and handing them on.
// Contract: include/quay/quay.h; semantics/pipes-signalfd.md A1, A7.
#include <quay/quay.h>

#include <cerrno>

#include "faces/process_system.hpp"
#include "host/pipes.hpp"

using quay::faces::process_fifos;
using quay::faces::process_pipes;

namespace {

template <class Value>
Value answer(Value result) noexcept {
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace

int quay_pipe2(int fd[2], int flags) {
  int made[2];
  const int result = process_pipes().open(made, flags);
  if (result < 0) return answer(result);
  // The result is the last thing that can go wrong, and then nothing was made.
  if (process_pipes().os().writable_prefix(fd, sizeof made) != sizeof made) {
    quay_close(made[0]);
    quay_close(made[1]);
    return answer(-EFAULT);
  }
  fd[0] = made[0];
  fd[1] = made[1];
  return 0;
}

int quay_mkfifo(const char* path, mode_t mode) {
  return answer(-quay::host::make_fifo(path, mode));
}

int quay_open(const char* path, int flags) { return answer(process_fifos().open(path, flags)); }

int quay_pipe_send(int sock, int fd) { return answer(process_pipes().send(sock, fd)); }

int quay_pipe_receive(int sock) { return answer(process_pipes().receive(sock)); }

ssize_t quay_pipe_reserve(int fd, size_t n, struct iovec* room) {
  return answer(process_pipes().reserve(fd, n, *room));
}

ssize_t quay_pipe_commit(int fd, size_t n) { return answer(process_pipes().commit(fd, n)); }

ssize_t quay_pipe_peek(int fd, struct iovec* bytes) {
  return answer(process_pipes().peek(fd, *bytes));
}

ssize_t quay_pipe_consume(int fd, size_t n) { return answer(process_pipes().consume(fd, n)); }
