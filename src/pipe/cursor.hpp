// SPDX-License-Identifier: BSD-2-Clause
//
// What: a place in a caller's list of buffers, and the copying between it and a ring.
// Contract: semantics/pipes-signalfd.md A3, A4: a piece that cannot be copied whole is not copied.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "host/linux_host.hpp"
#include "pipe/layout.hpp"

namespace quay::pipe {

class cursor {
 public:
  cursor(const iovec* parts, int count, std::size_t total) noexcept
      : part_(parts), count_(count), left_(total) {
    skip_empty();
  }

  std::size_t left() const noexcept { return left_; }
  // Of the buffer the cursor stands in.
  std::size_t left_here() const noexcept { return left_ != 0 ? part_->iov_len - at_ : 0; }

  // Whether the next n bytes may be read, or written, by this process.
  bool readable(std::size_t n) const noexcept {
    return each(n, [](char* p, std::size_t k) {
      return host::linux_host::instance().readable_prefix(p, k) == k;
    });
  }
  bool writable(std::size_t n) const noexcept {
    return each(n, [](char* p, std::size_t k) {
      return host::linux_host::instance().writable_prefix(p, k) == k;
    });
  }

  void put(unsigned char* ring, std::uint64_t position, std::size_t n) noexcept {
    move(position, n, [ring](std::size_t at, char* p, std::size_t k) {
      std::memcpy(ring + at, p, k);
    });
  }
  void get(const unsigned char* ring, std::uint64_t position, std::size_t n) noexcept {
    move(position, n, [ring](std::size_t at, char* p, std::size_t k) {
      std::memcpy(p, ring + at, k);
    });
  }

 private:
  char* here() const noexcept { return static_cast<char*>(part_->iov_base) + at_; }
  void skip_empty() noexcept {
    while (count_ > 0 && part_->iov_len == at_) {
      ++part_;
      --count_;
      at_ = 0;
    }
  }
  template <class F>
  bool each(std::size_t n, F ok) const noexcept {
    const iovec* part = part_;
    std::size_t at = at_;
    while (n > 0) {
      const std::size_t k = std::min(n, part->iov_len - at);
      if (k > 0 && !ok(static_cast<char*>(part->iov_base) + at, k)) return false;
      n -= k;
      ++part;
      at = 0;
    }
    return true;
  }
  template <class F>
  void move(std::uint64_t position, std::size_t n, F copy) noexcept {
    left_ -= n;
    while (n > 0) {
      const std::size_t at = position % kRing;
      const std::size_t k = std::min({n, part_->iov_len - at_, kRing - at});
      copy(at, here(), k);
      position += k;
      n -= k;
      at_ += k;
      skip_empty();
    }
  }

  const iovec* part_;
  int count_;
  std::size_t at_ = 0;  // into *part_
  std::size_t left_;    // of all
};

}  // namespace quay::pipe
