// SPDX-License-Identifier: BSD-2-Clause
//
// What: a descriptor that closes itself, for tests.
// Ownership: movable, never copied; converts to int so that it can be passed to any call.
#pragma once

#include <unistd.h>

#include <utility>

namespace quay::test {

class unique_fd {
 public:
  unique_fd() = default;
  explicit unique_fd(int fd) : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = other.release();
    }
    return *this;
  }
  ~unique_fd() { close(); }

  // NOLINTNEXTLINE(google-explicit-constructor): a descriptor is an int everywhere.
  operator int() const { return fd_; }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

  // The process's own close(): hooked where the hooks library is linked.
  void close() {
    if (fd_ >= 0) ::close(release());
  }

 private:
  int fd_ = -1;
};

}  // namespace quay::test
