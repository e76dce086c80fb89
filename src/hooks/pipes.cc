// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's reading, writing, polling and pipe-making calls, put in front of libc: on a descriptor
//       that is one of ours they are ours, on any other libc's.
// Contract: QUAY_PIPES=1 in the environment, or `quay run --pipes`, makes pipe() and pipe2() give
//           our pipes; a flag that ours do not know (O_DIRECT) gives the kernel's. What libc does
//           for itself, stdio's buffers foremost, is not seen.
// Invariants: a descriptor that is none of ours costs one look-up of one byte.
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "faces/hook_points.hpp"
#include "hooks/answers.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::in_boundary_words;
using quay::hooks::kAskLibc;
using quay::hooks::original;
using quay::hooks::settle;

constinit original<ssize_t(int, void*, size_t)> libc_read{"read"};
constinit original<ssize_t(int, const void*, size_t)> libc_write{"write"};
constinit original<ssize_t(int, const iovec*, int)> libc_readv{"readv"};
constinit original<ssize_t(int, const iovec*, int)> libc_writev{"writev"};
constinit original<int(pollfd*, nfds_t, int)> libc_poll{"poll"};
constinit original<int(pollfd*, nfds_t, const timespec*, const sigset_t*)> libc_ppoll{"ppoll"};
constinit original<ssize_t(int, void*, size_t, size_t)> libc_read_chk{"__read_chk"};
constinit original<int(pollfd*, nfds_t, int, size_t)> libc_poll_chk{"__poll_chk"};
constinit original<int(pollfd*, nfds_t, const timespec*, const sigset_t*, size_t)> libc_ppoll_chk{
    "__ppoll_chk"};
constinit original<int(int*)> libc_pipe{"pipe"};
constinit original<int(int*, int)> libc_pipe2{"pipe2"};

bool g_pipes_are_ours = false;

[[gnu::constructor]] void look_up_originals() {
  libc_read.get();
  libc_write.get();
  libc_readv.get();
  libc_writev.get();
  libc_poll.get();
  libc_ppoll.get();
  libc_read_chk.get();
  libc_poll_chk.get();
  libc_ppoll_chk.get();
  libc_pipe.get();
  libc_pipe2.get();
  const char* wish = std::getenv("QUAY_PIPES");
  g_pipes_are_ours = wish != nullptr && std::strcmp(wish, "1") == 0;
}

}  // namespace

QUAY_HOOK ssize_t read(int fd, void* buffer, size_t n) {
  if (!quay_hook_is_ours(fd)) return libc_read.get()(fd, buffer, n);
  return settle(quay_hook_read(fd, buffer, n), [=] { return libc_read.get()(fd, buffer, n); });
}

QUAY_HOOK ssize_t write(int fd, const void* buffer, size_t n) {
  if (!quay_hook_is_ours(fd)) return libc_write.get()(fd, buffer, n);
  return settle(quay_hook_write(fd, buffer, n), [=] { return libc_write.get()(fd, buffer, n); });
}

QUAY_HOOK ssize_t readv(int fd, const iovec* parts, int count) {
  if (!quay_hook_is_ours(fd)) return libc_readv.get()(fd, parts, count);
  return settle(quay_hook_readv(fd, parts, count),
                [=] { return libc_readv.get()(fd, parts, count); });
}

QUAY_HOOK ssize_t writev(int fd, const iovec* parts, int count) {
  if (!quay_hook_is_ours(fd)) return libc_writev.get()(fd, parts, count);
  return settle(quay_hook_writev(fd, parts, count),
                [=] { return libc_writev.get()(fd, parts, count); });
}

QUAY_HOOK int poll(pollfd* fds, nfds_t n, int timeout_ms) {
  const quay_hook_time timeout{timeout_ms / 1000, timeout_ms % 1000 * 1'000'000L};
  return settle(quay_hook_poll(fds, n, timeout_ms >= 0 ? &timeout : nullptr, nullptr),
                [=] { return libc_poll.get()(fds, n, timeout_ms); });
}

QUAY_HOOK int ppoll(pollfd* fds, nfds_t n, const timespec* timeout, const sigset_t* mask) {
  return settle(quay_hook_poll(fds, n, in_boundary_words(timeout).get(), mask),
                [=] { return libc_ppoll.get()(fds, n, timeout, mask); });
}

// What a program calls that was compiled with _FORTIFY_SOURCE. A buffer that is too small is libc's to
// punish.
QUAY_HOOK ssize_t __read_chk(int fd, void* buffer, size_t n, size_t size) {
  if (n > size || !quay_hook_is_ours(fd)) return libc_read_chk.get()(fd, buffer, n, size);
  return read(fd, buffer, n);
}

QUAY_HOOK int __poll_chk(pollfd* fds, nfds_t n, int timeout_ms, size_t size) {
  if (n > size / sizeof *fds) return libc_poll_chk.get()(fds, n, timeout_ms, size);
  return poll(fds, n, timeout_ms);
}

QUAY_HOOK int __ppoll_chk(pollfd* fds, nfds_t n, const timespec* timeout, const sigset_t* mask,
                          size_t size) {
  if (n > size / sizeof *fds) return libc_ppoll_chk.get()(fds, n, timeout, mask, size);
  return ppoll(fds, n, timeout, mask);
}

QUAY_HOOK int pipe(int fds[2]) noexcept {
  if (!g_pipes_are_ours) return libc_pipe.get()(fds);
  return settle(quay_hook_pipe(fds, 0), [=] { return libc_pipe.get()(fds); });
}

QUAY_HOOK int pipe2(int fds[2], int flags) noexcept {
  if (!g_pipes_are_ours) return libc_pipe2.get()(fds, flags);
  const long made = quay_hook_pipe(fds, flags);
  return settle(made == -EINVAL ? kAskLibc : made, [=] { return libc_pipe2.get()(fds, flags); });
}
