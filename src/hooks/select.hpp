// SPDX-License-Identifier: BSD-2-Clause
//
// What: select() by means of poll(), as select() and pselect() have it in common under all their names.
// Contract: select(2). Programs may have made sets for more than FD_SETSIZE descriptors; of those
//           the kernel looks at as many as its table holds, whatever their number is said to be.
#pragma once

#include <poll.h>
#include <sys/select.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>
#include <new>

#include "faces/hook_points.hpp"
#include "hooks/answers.hpp"

namespace quay::hooks {

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

inline bool concerns_us(int n, const directions& sets) noexcept {
  const int last = std::min(n - 1, quay_hook_highest());
  for (int fd = 0; fd <= last; ++fd) {
    for (const direction& d : sets) {
      if (d.has(fd) && quay_hook_is_ours(fd)) return true;
    }
  }
  return false;
}

inline int select_by_polling(pollfd* asked, int n, const directions& sets,
                             const quay_hook_time* timeout, const sigset_t* mask) {
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

struct select_sets {
  fd_set* reading;
  fd_set* writing;
  fd_set* other;
};

template <class Libc>
int select_ours(int n, const select_sets& given, const boundary_time& longest, const sigset_t* mask,
                Libc libc) {
  const directions sets = {{given.reading, POLLIN, POLLIN | POLLHUP | POLLERR},
                           {given.writing, POLLOUT, POLLOUT | POLLERR},
                           {given.other, POLLPRI, POLLPRI}};
  const quay_hook_time* const timeout = longest.get();
  if (n < 0 || !concerns_us(n, sets)) return libc();
  pollfd frame[FD_SETSIZE];
  if (n <= FD_SETSIZE) return settle(select_by_polling(frame, n, sets, timeout, mask), libc);
  n = std::min(n, quay_hook_table_size());
  const std::unique_ptr<pollfd[]> heap(new (std::nothrow) pollfd[static_cast<unsigned>(n)]);
  return settle(heap ? select_by_polling(heap.get(), n, sets, timeout, mask) : -ENOMEM, libc);
}

}  // namespace quay::hooks
