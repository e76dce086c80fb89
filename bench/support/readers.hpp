// SPDX-License-Identifier: BSD-2-Clause
//
// What: the two sides of the cases in which descriptors become readable: EVFILT_READ and epoll, with the
//   count of bytes asked for or not.
// Contract: as rounds.hpp asks of a consumer.

#pragma once

#include <sys/ioctl.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "rounds.hpp"

namespace quay::bench {

inline void expect_one_byte(std::int64_t bytes) {
  if (bytes != 1) throw std::runtime_error("there is not the one byte that was written");
}

// What an epoll user does with a ready descriptor.
template <bool WithData>
void count_and_read(int fd) {
  if constexpr (WithData) {
    int bytes = 0;
    check(ioctl(fd, FIONREAD, &bytes), "FIONREAD");
    expect_one_byte(bytes);
  }
  read_byte(fd);
}

template <std::uint16_t Flags, bool WithData>
class kqueue_reader {
 public:
  explicit kqueue_reader(const std::vector<channel>& channels, privacy how = privacy::pollable)
      : queue_(how) {
    for (const channel& each : channels) {
      queue_.apply(change(static_cast<std::uintptr_t>(each.reader.get()), EVFILT_READ,
                          EV_ADD | Flags, WithData ? 0 : QUAY_NOTE_NODATA));
    }
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(events_.data(), events_.size(), nullptr);
    for (std::size_t i = 0; i < count; ++i) {
      if constexpr (WithData) expect_one_byte(events_[i].data);
      read_byte(static_cast<int>(events_[i].ident));
    }
    return count;
  }

 private:
  kernel_queue queue_;
  std::array<struct kevent, kMaxEvents> events_;
};

template <std::uint32_t Events, bool WithData>
class epoll_reader {
 public:
  explicit epoll_reader(const std::vector<channel>& channels) {
    for (const channel& each : channels) {
      queue_.control(EPOLL_CTL_ADD, each.reader.get(), EPOLLIN | Events);
    }
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(events_.data(), events_.size(), -1);
    for (std::size_t i = 0; i < count; ++i) count_and_read<WithData>(events_[i].data.fd);
    return count;
  }

 private:
  epoll_queue queue_;
  std::array<epoll_event, kMaxEvents> events_;
};

// An epoll user who gives events with their data to somebody else, as kevent() does: all counts are asked for before
// anything is read.
class epoll_teller {
 public:
  explicit epoll_teller(const std::vector<channel>& channels) {
    for (const channel& each : channels) queue_.control(EPOLL_CTL_ADD, each.reader.get(), EPOLLIN);
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(events_.data(), events_.size(), -1);
    for (std::size_t i = 0; i < count; ++i) {
      told_[i].descriptor = events_[i].data.fd;
      check(ioctl(told_[i].descriptor, FIONREAD, &told_[i].bytes), "FIONREAD");
    }
    for (std::size_t i = 0; i < count; ++i) {
      expect_one_byte(told_[i].bytes);
      read_byte(told_[i].descriptor);
    }
    return count;
  }

 private:
  struct told {
    int descriptor;
    int bytes;
  };
  epoll_queue queue_;
  std::array<epoll_event, kMaxEvents> events_;
  std::array<told, kMaxEvents> told_;
};

}  // namespace quay::bench
