// SPDX-License-Identifier: BSD-2-Clause
//
// What: the other side of an echo server: many connections at once, driven by poll() alone, so that
// nothing of kqueue checks kqueue. Each sends a length and bytes of its own in pieces of random
// sizes, reads everything back, compares every byte with what it sent at that place, half-closes
// and expects the end of file right after the last byte. Contract: throws where the system refuses
// something; what the server does wrong is in the result.
#pragma once

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "descriptor.hpp"
#include "kqueue.hpp"
#include "objects.hpp"

namespace quay::test {

struct echo_result {
  uint64_t sent = 0;
  uint64_t received = 0;
  uint64_t wrong_bytes = 0;
  size_t complete = 0;  // connections that got all of theirs and then the end of file
  std::string problem;  // the first
};

// Both ends of `connections` in this process, and what else is open.
inline bool allow_descriptors(size_t connections) {
  rlimit limit{};
  checked(::getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
  const rlim_t wanted = 2 * connections + 200;
  if (limit.rlim_cur >= wanted) return true;
  if (limit.rlim_max < wanted) return false;
  limit.rlim_cur = wanted;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

class echo_traffic {
 public:
  echo_traffic(size_t connections, size_t longest, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (size_t i = 0; i < connections; ++i) {
      connection c;
      c.random.seed(random());
      c.salt = random();
      c.total = std::uniform_int_distribution<size_t>(1, longest)(random);
      connections_.push_back(std::move(c));
    }
  }

  // Connects all of them first, so that they are open at the same time.
  void connect_all(const endpoint& to) {
    for (connection& c : connections_) {
      c.fd = unique_fd(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
      checked(::connect(c.fd, to.where(), to.length), "connect");
      checked(::fcntl(c.fd, F_SETFL, O_NONBLOCK), "fcntl");
    }
  }

  echo_result run() {
    std::vector<pollfd> fds(connections_.size());
    for (size_t i = 0; i < fds.size(); ++i) fds[i] = {connections_[i].fd, POLLIN | POLLOUT, 0};
    size_t open = fds.size();
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience);
    while (open > 0) {
      const int n =
          checked(::poll(fds.data(), fds.size(), static_cast<int>(patience.count())), "poll");
      if (n == 0) {
        note("nothing happens any more");
        break;
      }
      for (size_t i = 0; i < fds.size(); ++i) {
        if (fds[i].revents == 0) continue;
        connection& c = connections_[i];
        if ((fds[i].revents & POLLOUT) != 0 && !c.all_sent) send_some(c);
        if (c.all_sent) fds[i].events = POLLIN;
        if ((fds[i].revents & ~POLLOUT) == 0 || receive_some(c)) continue;
        fds[i].fd = -1;
        c.fd.close();
        --open;
      }
    }
    return result_;
  }

 private:
  struct connection {
    unique_fd fd;
    std::mt19937_64 random;
    uint64_t salt = 0;
    size_t total = 0, sent = 0, received = 0;
    bool all_sent = false;

    char byte_at(size_t position) const {
      const uint64_t x = (position + 1) * 0x9e3779b97f4a7c15 ^ salt;
      return static_cast<char>((x ^ (x >> 29)) * 0xbf58476d1ce4e5b9 >> 56);
    }
  };

  void note(std::string problem) {
    if (result_.problem.empty()) result_.problem = std::move(problem);
  }

  void send_some(connection& c) {
    std::array<char, 8192> piece;
    const size_t want = std::uniform_int_distribution<size_t>(1, piece.size())(c.random);
    const size_t len = std::min(want, c.total - c.sent);
    for (size_t i = 0; i < len; ++i) piece[i] = c.byte_at(c.sent + i);
    const ssize_t n = ::send(c.fd, piece.data(), len, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) {
      note(std::string("send: ") + std::strerror(errno));
      c.all_sent = true;
      return;
    }
    c.sent += static_cast<size_t>(n);
    result_.sent += static_cast<uint64_t>(n);
    if (c.sent < c.total) return;
    c.all_sent = true;
    ::shutdown(c.fd, SHUT_WR);
  }

  // False: the connection is over.
  bool receive_some(connection& c) {
    std::array<char, 16384> data;
    const ssize_t n = ::recv(c.fd, data.data(), data.size(), 0);
    if (n < 0 && errno == EAGAIN) return true;
    if (n < 0) {
      note(std::string("recv: ") + std::strerror(errno));
      return false;
    }
    if (n == 0) {
      if (c.received == c.total) {
        ++result_.complete;
      } else {
        note("end of file after " + std::to_string(c.received) + " of " + std::to_string(c.total) +
             " bytes");
      }
      return false;
    }
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
      const size_t at = c.received + i;
      if (at >= c.sent || data[i] != c.byte_at(at)) ++result_.wrong_bytes;
    }
    c.received += static_cast<size_t>(n);
    result_.received += static_cast<uint64_t>(n);
    return true;
  }

  std::vector<connection> connections_;
  echo_result result_;
};

}  // namespace quay::test
