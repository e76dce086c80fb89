// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that a note with EV_DISPATCH, enabled again after every event, beats
//   EPOLLONESHOT with its EPOLL_CTL_MOD: with the hooks present the re-arming is no system call.
// Contract: the subject enables in the changelist of its next kevent, as servers do; the baseline
//   re-arms right after its read. Both re-arm every event they got, in the measured part.

#include <array>

#include "support/readers.hpp"

namespace quay::bench {
namespace {

template <bool WithData>
class dispatch_kqueue {
 public:
  dispatch_kqueue(const std::vector<channel>& channels, privacy how) : queue_(how) {
    for (const channel& each : channels) {
      queue_.apply(change(static_cast<std::uintptr_t>(each.reader.get()), EVFILT_READ,
                          EV_ADD | EV_DISPATCH, kRequest));
    }
  }
  std::size_t consume() {
    const int got = check(::kevent(queue_.get(), changes_.data(), static_cast<int>(rearm_),
                                   events_.data(), static_cast<int>(events_.size()), nullptr),
                          "kevent(enable and get)");
    rearm_ = static_cast<std::size_t>(got);
    for (std::size_t i = 0; i < rearm_; ++i) {
      const struct kevent& event = events_[i];
      if (event.flags & EV_ERROR) fail("EV_ENABLE", static_cast<int>(event.data));
      if constexpr (WithData) expect_one_byte(event.data);
      read_byte(static_cast<int>(event.ident));
      changes_[i] = change(event.ident, EVFILT_READ, EV_ENABLE, kRequest);
    }
    return rearm_;
  }

 private:
  static constexpr std::uint32_t kRequest = WithData ? 0 : QUAY_NOTE_NODATA;

  kernel_queue queue_;
  std::array<struct kevent, kMaxEvents> events_;
  std::array<struct kevent, kMaxEvents> changes_;
  std::size_t rearm_ = 0;
};

template <bool WithData>
class oneshot_epoll {
 public:
  explicit oneshot_epoll(const std::vector<channel>& channels) {
    for (const channel& each : channels) {
      queue_.control(EPOLL_CTL_ADD, each.reader.get(), EPOLLIN | EPOLLONESHOT);
    }
  }
  std::size_t consume() {
    const std::size_t count = queue_.get_events(events_.data(), events_.size(), -1);
    for (std::size_t i = 0; i < count; ++i) {
      const int fd = events_[i].data.fd;
      count_and_read<WithData>(fd);
      queue_.control(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT);
    }
    return count;
  }

 private:
  epoll_queue queue_;
  std::array<epoll_event, kMaxEvents> events_;
};

std::vector<bench_case> cases() {
  return with_extras(round_cases<dispatch_kqueue<false>, oneshot_epoll<false>>(
                         {"dispatch", "kqueue EV_DISPATCH + EV_ENABLE, QUAY_NOTE_NODATA",
                          "epoll ONESHOT + MOD", 0.85, 0.97, ""}),
                     round_cases<dispatch_kqueue<true>, oneshot_epoll<true>>(
                         {"dispatch_data",
                          "kqueue EV_DISPATCH + EV_ENABLE, data filled",
                          "epoll ONESHOT + FIONREAD + MOD",
                          {},
                          {},
                          ""}));
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "EV_DISPATCH re-enabled each time against EPOLLONESHOT + MOD",
                    cases());
}
