// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that level-triggered EVFILT_READ with its `data` costs what an epoll user pays
//   who asks for the same two things: readiness, and how many bytes there are.

#include <sys/ioctl.h>

#include <array>

#include "support/rounds.hpp"

namespace quay::bench {
namespace {

class level_kqueue {
 public:
  level_kqueue(const std::vector<channel>& channels, privacy how) : queue_(how) {
    for (const channel& each : channels) {
      queue_.apply(change(static_cast<std::uintptr_t>(each.reader.get()), EVFILT_READ, EV_ADD));
    }
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(events_.data(), events_.size(), nullptr);
    for (std::size_t i = 0; i < count; ++i) {
      if (events_[i].data != 1) throw std::runtime_error("data is not the one byte written");
      read_byte(static_cast<int>(events_[i].ident));
    }
    return count;
  }

 private:
  kernel_queue queue_;
  std::array<struct kevent, kMaxEvents> events_;
};

class level_epoll {
 public:
  explicit level_epoll(const std::vector<channel>& channels) {
    for (const channel& each : channels) {
      queue_.control(EPOLL_CTL_ADD, each.reader.get(), EPOLLIN);
    }
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(events_.data(), events_.size(), -1);
    for (std::size_t i = 0; i < count; ++i) {
      const int fd = events_[i].data.fd;
      int bytes = 0;
      check(ioctl(fd, FIONREAD, &bytes), "FIONREAD");
      if (bytes != 1) throw std::runtime_error("FIONREAD is not the one byte written");
      read_byte(fd);
    }
    return count;
  }

 private:
  epoll_queue queue_;
  std::array<epoll_event, kMaxEvents> events_;
};

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(
      argc, argv, "EVFILT_READ, level-triggered with data, against epoll + FIONREAD",
      round_cases<level_kqueue, level_epoll>(
          {"level", "kqueue level, data filled", "epoll LT + FIONREAD", 1.05, 1.05, ""}));
}
