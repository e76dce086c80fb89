// SPDX-License-Identifier: BSD-2-Clause
//
// What: an echo server on kevent() alone, as a BSD program writes it, in each of its three styles:
// level-triggered, EV_CLEAR, and EV_DISPATCH re-enabled after each event; under a thousand
// connections and short changelists. Invariants: a connection's notes go with its descriptor: the
// server never deletes one.
#include <gtest/gtest.h>
#include <sys/event.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "echo_traffic.hpp"

namespace quay::test {
namespace {

constexpr uintptr_t kStop = 1;

struct style {
  const char* name;
  unsigned flags;
  int room;  // of the eventlist
};

class echo_server {
 public:
  explicit echo_server(const style& how)
      : how_(how), kq_(make_queue()), listener_(bind_anywhere(AF_INET, SOCK_STREAM)) {
    checked(::listen(listener_.fd, 1024), "listen");
    submit_one(listener_.fd, EVFILT_READ, EV_ADD);
    submit_one(kStop, EVFILT_USER, EV_ADD);
    thread_ = std::thread([this] { serve(); });
  }
  ~echo_server() {
    submit_one(kStop, EVFILT_USER, 0, NOTE_TRIGGER);
    thread_.join();
  }

  const endpoint& where() const { return listener_; }
  uint64_t echoed() const { return echoed_; }

 private:
  struct connection {
    unique_fd fd;
    std::string pending;  // read, not yet written
    bool ended = false;
  };

  void submit_one(uintptr_t ident, int filter, unsigned flags, unsigned fflags = 0) const {
    const change one = change(ident, filter, flags).fflags(fflags);
    checked(::kevent(kq_, &one.entry, 1, nullptr, 0, nullptr), "kevent");
  }

  void serve() {
    std::vector<struct kevent> events(static_cast<size_t>(how_.room));
    for (;;) {
      const int n = checked(::kevent(kq_, nullptr, 0, events.data(), how_.room, nullptr), "kevent");
      for (int i = 0; i < n; ++i) {
        const struct kevent& event = events[static_cast<size_t>(i)];
        if (event.filter == EVFILT_USER) return;
        if (event.ident == static_cast<uintptr_t>(listener_.fd.get())) {
          accept_all();
        } else if (const auto found = connections_.find(static_cast<int>(event.ident));
                   found != connections_.end()) {
          if (!echo(found->second)) {
            connections_.erase(found);
          } else if ((how_.flags & EV_DISPATCH) != 0 && event.filter == EVFILT_READ) {
            submit_one(event.ident, event.filter, EV_ENABLE);
          }
        }
      }
    }
  }

  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      connections_[fd].fd = unique_fd(fd);
      submit_one(static_cast<uintptr_t>(fd), EVFILT_READ, EV_ADD | how_.flags);
    }
  }

  // Reads until there is nothing, writes until there is no room. False: the connection is over.
  bool echo(connection& c) {
    std::array<char, 4096> data;
    for (bool more = true; more;) {
      more = false;
      ssize_t n = 0;
      if (!c.ended && c.pending.empty() && (n = ::read(c.fd, data.data(), data.size())) > 0) {
        c.pending.assign(data.data(), static_cast<size_t>(n));
        more = true;
      } else if (!c.ended && c.pending.empty()) {
        if (n < 0 && errno != EAGAIN) return false;
        c.ended = n == 0;
      }
      if (c.pending.empty()) continue;
      n = ::send(c.fd, c.pending.data(), c.pending.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) {
        submit_one(static_cast<uintptr_t>(c.fd.get()), EVFILT_WRITE, EV_ADD | EV_ONESHOT);
        return true;
      }
      if (n < 0) return false;
      echoed_ += static_cast<uint64_t>(n);
      c.pending.erase(0, static_cast<size_t>(n));
      more = true;
    }
    return !c.ended;
  }

  const style how_;
  queue kq_;
  endpoint listener_;
  std::unordered_map<int, connection> connections_;  // the thread's
  std::atomic<uint64_t> echoed_ = 0;
  std::thread thread_;
};

class Plain_Client_Echo : public testing::TestWithParam<style> {};

TEST_P(Plain_Client_Echo, EveryByteOnAThousandConnections) {
  constexpr size_t kConnections = 1000;
  if (!allow_descriptors(kConnections))
    GTEST_SKIP() << "RLIMIT_NOFILE is too low for 2 x " << kConnections;
  echo_server server(GetParam());
  echo_traffic traffic(kConnections, 20'000, 7);
  traffic.connect_all(server.where());
  const echo_result result = traffic.run();
  EXPECT_EQ(result.problem, "");
  EXPECT_EQ(result.complete, kConnections);
  EXPECT_EQ(result.wrong_bytes, 0U);
  EXPECT_EQ(result.received, result.sent);
  EXPECT_EQ(server.echoed(), result.sent);
}

INSTANTIATE_TEST_SUITE_P(Styles, Plain_Client_Echo,
                         testing::Values(style{"level", 0, 64}, style{"level_one_at_a_time", 0, 1},
                                         style{"clear", EV_CLEAR, 64},
                                         style{"dispatch", EV_DISPATCH, 64}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace quay::test
