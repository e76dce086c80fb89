// SPDX-License-Identifier: BSD-2-Clause
//
// What: the little of the operating system that every benchmark needs: checked calls, descriptors
//   that close themselves, the clock, processor pinning, limits and resident memory.
// Contract: a failing call ends the case with an exception that names it; nothing here hides one.
// Ownership: `unique_fd` closes with close(), as a program would, so the hooks see it.

#pragma once

#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>
#include <vector>

namespace quay::bench {

[[noreturn]] inline void fail(const char* what, int error = errno) {
  throw std::system_error(error, std::generic_category(), what);
}

template <typename T>
T check(T value, const char* what) {
  if (value < 0) fail(what);
  return value;
}

class unique_fd {
 public:
  unique_fd() = default;
  explicit unique_fd(int fd) : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~unique_fd() { reset(); }

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

inline std::int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * std::int64_t{1'000'000'000} + t.tv_nsec;
}

// A small generator whose cost disappears beside what is measured; the seed is fixed so that both
// sides of a comparison see the same sequence.
class quick_random {
 public:
  explicit quick_random(std::uint64_t seed = 0x9e3779b97f4a7c15) : state_(seed) {}
  std::uint64_t operator()() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>((*this)() % bound); }

 private:
  std::uint64_t state_;
};

// The processors this process may run on, in order.
std::vector<int> allowed_cpus();

// Binds the calling thread to one processor.
void pin_to(int cpu);

// Binds the calling thread to the last allowed processor: interrupts tend to go to the first.
void pin_to_last();

// Raises the soft descriptor limit to the hard one and returns it.
std::size_t raise_descriptor_limit();

// VmRSS of /proc/self/status, in bytes.
std::int64_t resident_bytes();

}  // namespace quay::bench
