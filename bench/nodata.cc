// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that level-triggered EVFILT_READ costs what plain epoll costs once the caller
//   says, with QUAY_NOTE_NODATA, that `data` is not wanted.

#include <array>

#include "support/rounds.hpp"

namespace quay::bench {
namespace {

class nodata_kqueue {
 public:
  nodata_kqueue(const std::vector<channel>& channels, privacy how) : queue_(how) {
    for (const channel& each : channels) {
      queue_.apply(change(static_cast<std::uintptr_t>(each.reader.get()), EVFILT_READ, EV_ADD,
                          QUAY_NOTE_NODATA));
    }
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(events_.data(), events_.size(), nullptr);
    for (std::size_t i = 0; i < count; ++i) read_byte(static_cast<int>(events_[i].ident));
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
    for (std::size_t i = 0; i < count; ++i) read_byte(events_[i].data.fd);
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
  return bench_main(argc, argv, "EVFILT_READ, level-triggered without data, against epoll",
                    round_cases<nodata_kqueue, level_epoll>(
                        {"nodata", "kqueue level, QUAY_NOTE_NODATA", "epoll LT", 1.08, 1.08, ""}));
}
