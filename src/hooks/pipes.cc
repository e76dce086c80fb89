// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's reading, writing, polling and pipe-making calls, put in front of libc: on a descriptor
//       that is one of ours they are ours, on any other libc's.
// Contract: QUAY_PIPES=1 in the environment, or `quay run --pipes`, makes pipe() and pipe2() give
//           our pipes; a flag that ours do not know (O_DIRECT) gives the kernel's. What libc does
//           for itself, stdio's buffers foremost, is not seen.
// Invariants: a descriptor that is none of ours costs one look-up of one byte.
#include <poll.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "faces/hook_points.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::original;

constinit original<ssize_t(int, void*, size_t)> libc_read{"read"};
constinit original<ssize_t(int, const void*, size_t)> libc_write{"write"};
constinit original<ssize_t(int, const iovec*, int)> libc_readv{"readv"};
constinit original<ssize_t(int, const iovec*, int)> libc_writev{"writev"};
constinit original<int(pollfd*, nfds_t, int)> libc_poll{"poll"};
constinit original<int(pollfd*, nfds_t, const timespec*, const sigset_t*)> libc_ppoll{"ppoll"};
constinit original<int(int, fd_set*, fd_set*, fd_set*, timeval*)> libc_select{"select"};
constinit original<int(int, fd_set*, fd_set*, fd_set*, const timespec*, const sigset_t*)>
    libc_pselect{"pselect"};
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
  libc_select.get();
  libc_pselect.get();
  libc_read_chk.get();
  libc_poll_chk.get();
  libc_ppoll_chk.get();
  libc_pipe.get();
  libc_pipe2.get();
  const char* wish = std::getenv("QUAY_PIPES");
  g_pipes_are_ours = wish != nullptr && std::strcmp(wish, "1") == 0;
}

constexpr long kAskLibc = QUAY_HOOK_PASS;

// Ours, if `result` says so; else what libc's call returns, which may be a point of cancellation.
template <class Libc>
auto settle(long result, Libc libc) -> decltype(libc()) {
  if (result == kAskLibc) return libc();
  if (result >= 0) return static_cast<decltype(libc())>(result);
  errno = static_cast<int>(-result);
  return -1;
}

// In the words of the boundary; null stays null.
class boundary_time {
 public:
  explicit boundary_time(const timespec* t) noexcept : given_(t != nullptr) {
    if (given_) value_ = {t->tv_sec, t->tv_nsec};
  }
  explicit boundary_time(const timeval* t) noexcept : given_(t != nullptr) {
    if (given_) value_ = {t->tv_sec, std::int64_t{t->tv_usec} * 1000};
  }
  const quay_hook_time* get() const noexcept { return given_ ? &value_ : nullptr; }

 private:
  quay_hook_time value_{};
  bool given_;
};

// --- select: poll() with other words --------------------------------------------------------------

struct direction {
  fd_set* set;
  short asks;
  short means;
};

bool concerns_us(int n, const direction (&sets)[3]) noexcept {
  for (int fd = 0; fd < n; ++fd) {
    for (const direction& d : sets) {
      if (d.set != nullptr && FD_ISSET(fd, d.set) && quay_hook_is_ours(fd)) return true;
    }
  }
  return false;
}

int select_by_polling(int n, const direction (&sets)[3], const quay_hook_time* timeout,
                      const sigset_t* mask) {
  pollfd asked[FD_SETSIZE];
  nfds_t count = 0;
  for (int fd = 0; fd < n; ++fd) {
    pollfd one{fd, 0, 0};
    bool wanted = false;
    for (const direction& d : sets) {
      if (d.set == nullptr || !FD_ISSET(fd, d.set)) continue;
      wanted = true;
      one.events = static_cast<short>(one.events | d.asks);
    }
    if (wanted) asked[count++] = one;
  }
  const int ready = quay_hook_poll(asked, count, timeout, mask);
  if (ready < 0) return ready;
  for (nfds_t i = 0; i < count; ++i) {
    if ((asked[i].revents & POLLNVAL) != 0) return -EBADF;
  }
  int bits = 0;
  for (nfds_t i = 0; i < count; ++i) {
    for (const direction& d : sets) {
      if (d.set == nullptr || !FD_ISSET(asked[i].fd, d.set)) continue;
      if ((asked[i].revents & d.means) != 0) {
        ++bits;
      } else {
        FD_CLR(asked[i].fd, d.set);
      }
    }
  }
  return bits;
}

struct select_sets {
  fd_set* reading;
  fd_set* writing;
  fd_set* other;
};

template <class Libc>
int select_ours(int n, const select_sets& given, const quay_hook_time* timeout,
                const sigset_t* mask, Libc libc) {
  const direction sets[3] = {{given.reading, POLLIN, POLLIN | POLLHUP | POLLERR},
                             {given.writing, POLLOUT, POLLOUT | POLLERR},
                             {given.other, POLLPRI, POLLPRI}};
  if (n < 0 || n > FD_SETSIZE || !concerns_us(n, sets)) return libc();
  return settle(select_by_polling(n, sets, timeout, mask), libc);
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
  return settle(quay_hook_poll(fds, n, boundary_time(timeout).get(), mask),
                [=] { return libc_ppoll.get()(fds, n, timeout, mask); });
}

QUAY_HOOK int select(int n, fd_set* reading, fd_set* writing, fd_set* other, timeval* timeout) {
  const auto libc = [=] { return libc_select.get()(n, reading, writing, other, timeout); };
  return select_ours(n, {reading, writing, other}, boundary_time(timeout).get(), nullptr, libc);
}

QUAY_HOOK int pselect(int n, fd_set* reading, fd_set* writing, fd_set* other,
                      const timespec* timeout, const sigset_t* mask) {
  const auto libc = [=] { return libc_pselect.get()(n, reading, writing, other, timeout, mask); };
  return select_ours(n, {reading, writing, other}, boundary_time(timeout).get(), mask, libc);
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
