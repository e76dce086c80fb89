// SPDX-License-Identifier: BSD-2-Clause
//
// What: a fuzzer's bytes, read as numbers; and the objects that its calls are about.
// Contract: when the bytes are used up everything reads as 0 and `more()` is false.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace quay::fuzz {

class input {
 public:
  input(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {}

  bool more() const { return left_ > 0; }
  template <typename T>
  T take() {
    T out{};
    const std::size_t n = left_ < sizeof out ? left_ : sizeof out;
    std::memcpy(&out, at_, n);
    at_ += n;
    left_ -= n;
    return out;
  }
  // 0 … sides - 1.
  unsigned roll(unsigned sides) { return take<std::uint8_t>() % sides; }
  const std::uint8_t* at() const { return at_; }
  std::size_t left() const { return left_; }

 private:
  const std::uint8_t* at_;
  std::size_t left_;
};

// Writing where nobody reads is part of the game.
inline const auto kNoSigpipe = ::signal(SIGPIPE, SIG_IGN);

// A pipe and a socket pair; numbers of them that were closed stay in the list, as programs keep them.
class objects {
 public:
  objects() { open(); }
  ~objects() { close_all(); }
  objects(const objects&) = delete;
  objects& operator=(const objects&) = delete;

  int number(unsigned which) const { return numbers_[which % numbers_.size()]; }
  void feed(unsigned which) {
    [[maybe_unused]] const auto n = ::write(number(which | 1), "fuzz", 4);
  }
  void drain(unsigned which) {
    char bytes[3];
    [[maybe_unused]] const auto n = ::read(number(which & ~1u), bytes, sizeof bytes);
  }
  void close(unsigned which, int (*closer)(int)) {
    bool& open = open_[which % open_.size()];
    if (open) closer(number(which));
    open = false;
  }

 private:
  void open() {
    int fds[2];
    if (::pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) std::abort();
    numbers_[0] = fds[0];
    numbers_[1] = fds[1];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
      std::abort();
    numbers_[2] = fds[0];
    numbers_[3] = fds[1];
    open_.fill(true);
  }
  void close_all() {
    for (unsigned i = 0; i < open_.size(); ++i) close(i, ::close);
  }

  std::array<int, 4> numbers_{};
  std::array<bool, 4> open_{};
};

}  // namespace quay::fuzz
