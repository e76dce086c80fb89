// SPDX-License-Identifier: BSD-2-Clause
//
// What: makers of the objects that tests watch: pipes, sockets, terminals, files; and the few
// things done to them.
// Invariants: everything is non-blocking and close-on-exec; a maker that fails throws, so a test
// never runs on half.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "descriptor.hpp"

namespace quay::test {

inline int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

struct pipe_ends {
  unique_fd reader;
  unique_fd writer;
};

inline pipe_ends make_pipe() {
  int fds[2];
  checked(::pipe2(fds, O_NONBLOCK | O_CLOEXEC), "pipe2");
  return {unique_fd(fds[0]), unique_fd(fds[1])};
}

struct socket_pair {
  unique_fd here;
  unique_fd there;
};

inline socket_pair make_socketpair(int type = SOCK_STREAM) {
  int fds[2];
  checked(::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), "socketpair");
  return {unique_fd(fds[0]), unique_fd(fds[1])};
}

// A bound socket and where it is.
struct endpoint {
  unique_fd fd;
  sockaddr_storage address{};
  socklen_t length = 0;

  const sockaddr* where() const { return reinterpret_cast<const sockaddr*>(&address); }
};

inline endpoint bind_anywhere(int family, int type) {
  endpoint out;
  out.fd = unique_fd(checked(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
  sockaddr_storage any{};
  any.ss_family = static_cast<sa_family_t>(family);
  socklen_t length = sizeof(sa_family_t);  // AF_UNIX: the kernel chooses an abstract name
  if (family == AF_INET) {
    reinterpret_cast<sockaddr_in&>(any).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    length = sizeof(sockaddr_in);
  }
  checked(::bind(out.fd, reinterpret_cast<const sockaddr*>(&any), length), "bind");
  out.length = sizeof out.address;
  checked(::getsockname(out.fd, reinterpret_cast<sockaddr*>(&out.address), &out.length),
          "getsockname");
  return out;
}

inline endpoint make_listener(int family, int type = SOCK_STREAM, int backlog = 16) {
  endpoint out = bind_anywhere(family, type);
  checked(::listen(out.fd, backlog), "listen");
  return out;
}

// Blocks until the connection stands (loopback and unix: at once).
inline unique_fd connect_to(const endpoint& server, int type = SOCK_STREAM) {
  unique_fd out(checked(::socket(server.address.ss_family, type | SOCK_CLOEXEC, 0), "socket"));
  checked(::connect(out, server.where(), server.length), "connect");
  checked(::fcntl(out, F_SETFL, O_NONBLOCK), "fcntl");
  return out;
}

inline bool wait_readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, 20'000) == 1;
}

inline unique_fd accept_from(const endpoint& server) {
  if (!wait_readable(server.fd)) throw std::runtime_error("no connection arrives");
  return unique_fd(
      checked(::accept4(server.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept4"));
}

inline socket_pair make_tcp_pair() {
  const endpoint server = make_listener(AF_INET);
  unique_fd client = connect_to(server);
  return {std::move(client), accept_from(server)};
}

// Two UDP sockets connected to each other.
inline socket_pair make_udp_pair() {
  endpoint a = bind_anywhere(AF_INET, SOCK_DGRAM);
  endpoint b = bind_anywhere(AF_INET, SOCK_DGRAM);
  checked(::connect(a.fd, b.where(), b.length), "connect");
  checked(::connect(b.fd, a.where(), a.length), "connect");
  return {std::move(a.fd), std::move(b.fd)};
}

struct terminal {
  unique_fd master;
  unique_fd slave;
};

// `line_by_line`: the slave is in canonical mode; otherwise raw. No echo in either.
inline terminal make_pty(bool line_by_line = false) {
  terminal out;
  out.master = unique_fd(
      checked(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), "posix_openpt"));
  checked(::grantpt(out.master), "grantpt");
  checked(::unlockpt(out.master), "unlockpt");
  std::array<char, 64> name;
  if (::ptsname_r(out.master, name.data(), name.size()) != 0) throw std::runtime_error("ptsname_r");
  out.slave = unique_fd(checked(::open(name.data(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC),
                                "open of the slave"));
  termios mode;
  checked(::tcgetattr(out.slave, &mode), "tcgetattr");
  ::cfmakeraw(&mode);
  if (line_by_line) mode.c_lflag |= ICANON;
  checked(::tcsetattr(out.slave, TCSANOW, &mode), "tcsetattr");
  return out;
}

inline unique_fd make_eventfd(unsigned initial = 0) {
  return unique_fd(checked(::eventfd(initial, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd"));
}

class temporary_directory {
 public:
  temporary_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "quay-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw std::system_error(errno, std::generic_category(), "mkdtemp");
    path_ = name;
  }
  ~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;

  const std::string& path() const { return path_; }

  std::string make_fifo(const std::string& name = "fifo") const {
    const std::string where = path_ + "/" + name;
    checked(::mkfifo(where.c_str(), 0600), "mkfifo");
    return where;
  }

  // A new file, opened for reading and writing, with the offset at its start.
  unique_fd make_file(std::string_view content, const std::string& name = "file") const {
    const std::string where = path_ + "/" + name;
    unique_fd fd(checked(::open(where.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600),
                         "open of a new file"));
    checked(static_cast<int>(::pwrite(fd, content.data(), content.size(), 0)), "pwrite");
    return fd;
  }

 private:
  std::string path_;
};

inline unique_fd open_file(const std::string& path, int flags) {
  return unique_fd(checked(::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC), path.c_str()));
}

// Writes all of `bytes` or throws.
inline void put(int fd, std::string_view bytes) {
  const ssize_t n = ::write(fd, bytes.data(), bytes.size());
  if (n < 0) throw std::system_error(errno, std::generic_category(), "write");
  if (static_cast<size_t>(n) != bytes.size()) throw std::runtime_error("a write was cut short");
}

inline void put_bytes(int fd, size_t count) { put(fd, std::string(count, 'x')); }

// Reads up to `count` bytes; what came, possibly nothing.
inline std::string take(int fd, size_t count) {
  std::string out(count, '\0');
  const ssize_t n = ::read(fd, out.data(), count);
  out.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return out;
}

inline size_t drain(int fd) {
  size_t total = 0;
  std::vector<char> scratch(65536);
  for (ssize_t n; (n = ::read(fd, scratch.data(), scratch.size())) > 0;)
    total += static_cast<size_t>(n);
  return total;
}

// Writes until the object takes no more.
inline size_t fill(int fd, size_t step = 4096) {
  size_t total = 0;
  const std::vector<char> block(step, 'x');
  for (ssize_t n; (n = ::write(fd, block.data(), block.size())) > 0;)
    total += static_cast<size_t>(n);
  return total;
}

inline int pending_socket_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  checked(::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), "getsockopt");
  return error;
}

// close() answers with a reset instead of an orderly end. The peer must be a TCP socket.
inline void close_with_reset(unique_fd& fd) {
  const linger at_once{1, 0};
  checked(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), "setsockopt");
  fd.close();
}

}  // namespace quay::test
