// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that EV_CLEAR costs what edge-triggered epoll costs. The baseline asks for no
//   byte count, so neither does the subject; the extra cases ask for it on both sides.

#include <sys/ioctl.h>

#include <array>

#include "support/rounds.hpp"

namespace quay::bench {
namespace {

template <bool WithData>
class clear_kqueue {
 public:
  clear_kqueue(const std::vector<channel>& channels, privacy how) : queue_(how) {
    for (const channel& each : channels) {
      queue_.apply(change(static_cast<std::uintptr_t>(each.reader.get()), EVFILT_READ,
                          EV_ADD | EV_CLEAR, WithData ? 0 : QUAY_NOTE_NODATA));
    }
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(events_.data(), events_.size(), nullptr);
    for (std::size_t i = 0; i < count; ++i) {
      if (WithData && events_[i].data != 1) {
        throw std::runtime_error("data is not the one byte written");
      }
      read_byte(static_cast<int>(events_[i].ident));
    }
    return count;
  }

 private:
  kernel_queue queue_;
  std::array<struct kevent, kMaxEvents> events_;
};

template <bool WithData>
class edge_epoll {
 public:
  explicit edge_epoll(const std::vector<channel>& channels) {
    for (const channel& each : channels) {
      queue_.control(EPOLL_CTL_ADD, each.reader.get(), EPOLLIN | EPOLLET);
    }
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(events_.data(), events_.size(), -1);
    for (std::size_t i = 0; i < count; ++i) {
      const int fd = events_[i].data.fd;
      if (WithData) {
        int bytes = 0;
        check(ioctl(fd, FIONREAD, &bytes), "FIONREAD");
        if (bytes != 1) throw std::runtime_error("FIONREAD is not the one byte written");
      }
      read_byte(fd);
    }
    return count;
  }

 private:
  epoll_queue queue_;
  std::array<epoll_event, kMaxEvents> events_;
};

std::vector<bench_case> cases() {
  auto all = round_cases<clear_kqueue<false>, edge_epoll<false>>(
      {"clear", "kqueue EV_CLEAR, QUAY_NOTE_NODATA", "epoll ET", 1.10, 1.10, ""});
  for (bench_case& each : round_cases<clear_kqueue<true>, edge_epoll<true>>(
           {"clear_data", "kqueue EV_CLEAR, data filled", "epoll ET + FIONREAD", {}, {}, ""})) {
    each.extra = true;
    all.push_back(std::move(each));
  }
  return all;
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "EVFILT_READ with EV_CLEAR against edge-triggered epoll", cases());
}
