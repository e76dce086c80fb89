// SPDX-License-Identifier: BSD-2-Clause
//
// What: select() and pselect(), put in front of libc: with one of our descriptors among theirs they
//       are poll() in other words.
// Contract: select(2). Programs may have made sets for more than FD_SETSIZE descriptors; of those
//           the kernel looks at as many as its table holds, whatever their number is said to be.
#include <poll.h>
#include <sys/select.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>
#include <new>

#include "faces/hook_points.hpp"
#include "hooks/answers.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::boundary_time;
using quay::hooks::original;
using quay::hooks::settle;

constinit original<int(int, fd_set*, fd_set*, fd_set*, timeval*)> libc_select{"select"};
constinit original<int(int, fd_set*, fd_set*, fd_set*, const timespec*, const sigset_t*)>
    libc_pselect{"pselect"};

[[gnu::constructor]] void look_up_originals() {
  libc_select.get();
  libc_pselect.get();
}

// The bits of one set, of any length; FD_ISSET() would stop a fortified program at FD_SETSIZE.
class direction {
 public:
  direction(fd_set* set, short asks, short means) noexcept
      : words_(reinterpret_cast<unsigned long*>(set)), asks_(asks), means_(means) {}

  bool has(int fd) const noexcept { return words_ != nullptr && (word(fd) & bit(fd)) != 0; }
  void clear(int fd) const noexcept { word(fd) &= ~bit(fd); }
  short asks() const noexcept { return asks_; }
  bool meets(short shown) const noexcept { return (shown & means_) != 0; }

 private:
  static constexpr unsigned kBits = sizeof(unsigned long) * CHAR_BIT;
  unsigned long& word(int fd) const noexcept { return words_[static_cast<unsigned>(fd) / kBits]; }
  static unsigned long bit(int fd) noexcept { return 1ul << static_cast<unsigned>(fd) % kBits; }

  unsigned long* words_;
  short asks_;
  short means_;
};
using directions = direction[3];

bool concerns_us(int n, const directions& sets) noexcept {
  const int last = std::min(n - 1, quay_hook_highest());
  for (int fd = 0; fd <= last; ++fd) {
    for (const direction& d : sets) {
      if (d.has(fd) && quay_hook_is_ours(fd)) return true;
    }
  }
  return false;
}

int select_by_polling(pollfd* asked, int n, const directions& sets, const quay_hook_time* timeout,
                      const sigset_t* mask) {
  nfds_t count = 0;
  for (int fd = 0; fd < n; ++fd) {
    pollfd one{fd, 0, 0};
    bool wanted = false;
    for (const direction& d : sets) {
      if (!d.has(fd)) continue;
      wanted = true;
      one.events = static_cast<short>(one.events | d.asks());
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
      if (!d.has(asked[i].fd)) continue;
      if (d.meets(asked[i].revents)) {
        ++bits;
      } else {
        d.clear(asked[i].fd);
      }
    }
  }
  return bits;
}

template <class Libc>
int select_ours(int n, const directions& sets, const quay_hook_time* timeout, const sigset_t* mask,
                Libc libc) {
  if (n < 0 || !concerns_us(n, sets)) return libc();
  pollfd frame[FD_SETSIZE];
  if (n <= FD_SETSIZE) return settle(select_by_polling(frame, n, sets, timeout, mask), libc);
  n = std::min(n, quay_hook_table_size());
  const std::unique_ptr<pollfd[]> heap(new (std::nothrow) pollfd[static_cast<unsigned>(n)]);
  return settle(heap ? select_by_polling(heap.get(), n, sets, timeout, mask) : -ENOMEM, libc);
}

}  // namespace

QUAY_HOOK int select(int n, fd_set* reading, fd_set* writing, fd_set* other, timeval* timeout) {
  const directions sets = {{reading, POLLIN, POLLIN | POLLHUP | POLLERR},
                           {writing, POLLOUT, POLLOUT | POLLERR},
                           {other, POLLPRI, POLLPRI}};
  return select_ours(n, sets, boundary_time(timeout).get(), nullptr,
                     [=] { return libc_select.get()(n, reading, writing, other, timeout); });
}

QUAY_HOOK int pselect(int n, fd_set* reading, fd_set* writing, fd_set* other,
                      const timespec* timeout, const sigset_t* mask) {
  const directions sets = {{reading, POLLIN, POLLIN | POLLHUP | POLLERR},
                           {writing, POLLOUT, POLLOUT | POLLERR},
                           {other, POLLPRI, POLLPRI}};
  return select_ours(n, sets, boundary_time(timeout).get(), mask,
                     [=] { return libc_pselect.get()(n, reading, writing, other, timeout, mask); });
}
