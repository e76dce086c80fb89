// SPDX-License-Identifier: BSD-2-Clause
//
// What: the two sides' queues with the conveniences that every benchmark wants: a kqueue through
//   the public faces, and an epoll instance.
// Ownership: both close what they made; the kqueue through quay_close, so that it ends properly
//   with the hooks and without.

#pragma once

#include <quay/quay.h>
#include <sys/epoll.h>
#include <sys/event.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "system.hpp"

namespace quay::bench {

inline struct kevent change(std::uintptr_t ident, short filter, unsigned flags,
                            std::uint32_t fflags = 0, std::intptr_t data = 0) {
  struct kevent kev;
  EV_SET(&kev, ident, filter, static_cast<unsigned short>(flags), fflags, data, nullptr);
  return kev;
}

enum class privacy { pollable, exclusive };

class kernel_queue {
 public:
  explicit kernel_queue(privacy how = privacy::pollable)
      : fd_(check(
            how == privacy::pollable ? ::kqueue() : quay_kqueue(QUAY_DIALECT_FREEBSD, QUAY_PRIVATE),
            "kqueue")) {}
  kernel_queue(const kernel_queue&) = delete;
  kernel_queue& operator=(const kernel_queue&) = delete;
  ~kernel_queue() { quay_close(fd_); }

  int get() const { return fd_; }

  void apply(const struct kevent& one) {
    check(::kevent(fd_, &one, 1, nullptr, 0, nullptr), "kevent(change)");
  }
  void apply(const struct kevent* changes, std::size_t count) {
    check(::kevent(fd_, changes, static_cast<int>(count), nullptr, 0, nullptr), "kevent(changes)");
  }
  std::size_t get_events(struct kevent* events, std::size_t room, const timespec* timeout) {
    return static_cast<std::size_t>(
        check(::kevent(fd_, nullptr, 0, events, static_cast<int>(room), timeout), "kevent(get)"));
  }

 private:
  int fd_;
};

class epoll_queue {
 public:
  epoll_queue() : fd_(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {}

  int get() const { return fd_.get(); }

  void control(int operation, int fd, std::uint32_t mask) {
    epoll_event event{};
    event.events = mask;
    event.data.fd = fd;
    check(epoll_ctl(fd_.get(), operation, fd, &event), "epoll_ctl");
  }
  std::size_t get_events(epoll_event* events, std::size_t room, int timeout_ms) {
    return static_cast<std::size_t>(
        check(epoll_wait(fd_.get(), events, static_cast<int>(room), timeout_ms), "epoll_wait"));
  }

 private:
  unique_fd fd_;
};

inline constexpr timespec kNoWait{0, 0};

}  // namespace quay::bench
