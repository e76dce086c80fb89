// SPDX-License-Identifier: BSD-2-Clause
//
// What: making the pairs of channels.hpp.

#include "channels.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace quay::bench {
namespace {

channel make_pipe() {
  int ends[2];
  check(pipe2(ends, O_NONBLOCK | O_CLOEXEC), "pipe2");
  return {unique_fd(ends[0]), unique_fd(ends[1])};
}

channel make_unix_pair() {
  int ends[2];
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), "socketpair");
  return {unique_fd(ends[0]), unique_fd(ends[1])};
}

class tcp_listener {
 public:
  tcp_listener() : socket_(check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address_), sizeof address_), "bind");
    check(listen(socket_.get(), 16), "listen");
    socklen_t size = sizeof address_;
    check(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address_), &size), "getsockname");
  }

  channel make_pair() const {
    channel made;
    made.writer = unique_fd(check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    check(connect(made.writer.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_),
          "connect");
    made.reader = unique_fd(
        check(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept4"));
    const int on = 1;
    check(setsockopt(made.writer.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
    check(fcntl(made.writer.get(), F_SETFL, O_NONBLOCK), "fcntl");
    return made;
  }

 private:
  unique_fd socket_;
  sockaddr_in address_{};
};

}  // namespace

std::vector<channel> make_channels(object_kind kind, std::size_t count) {
  std::vector<channel> made;
  made.reserve(count);
  switch (kind) {
    case object_kind::pipe:
      while (made.size() < count) made.push_back(make_pipe());
      break;
    case object_kind::unix_socket:
      while (made.size() < count) made.push_back(make_unix_pair());
      break;
    case object_kind::tcp: {
      const tcp_listener listener;
      while (made.size() < count) made.push_back(listener.make_pair());
      break;
    }
  }
  return made;
}

}  // namespace quay::bench
