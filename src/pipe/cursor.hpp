// SPDX-License-Identifier: BSD-2-Clause
//
// What: a place in a caller's list of buffers, and the copying between it and a ring.
// Contract: semantics/pipes-signalfd.md A3, A4: a piece that cannot be copied whole is not copied.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/own_stack.hpp"
#include "host/linux_host.hpp"
#include "pipe/layout.hpp"

namespace quay::pipe {

class cursor {
 public:
  cursor(const iovec* parts, int count) noexcept
      : part_(parts), left_(count > 0 ? parts->iov_len : 0) {
    for (int i = 1; i < count; ++i) left_ += parts[i].iov_len;
  }
  // A count without buffers.
  explicit cursor(std::size_t total) noexcept : part_(nullptr), left_(total) {}

  std::size_t left() const noexcept { return left_; }
  // Of the buffer the cursor stands in: 0 when it stands at its end. The seed chooses direct writes
  // by this figure, and copying leaves it at the end of a buffer that was just used up.
  std::size_t left_here() const noexcept { return left_ != 0 ? part_->iov_len - at_ : 0; }
  void leave_used_up() noexcept {
    if (part_->iov_len == at_) next_part();
  }

  // Whether the next n bytes may be read, or written, by this process.
  [[gnu::always_inline]] bool readable(std::size_t n) const noexcept {
    const core::own_stack mine;
    return each(
        n, [&](char* p, std::size_t k) { return mine.reads(host::linux_host::instance(), p, k); });
  }
  [[gnu::always_inline]] bool writable(std::size_t n) const noexcept {
    const core::own_stack mine;
    return each(
        n, [&](char* p, std::size_t k) { return mine.writes(host::linux_host::instance(), p, k); });
  }

  void put(unsigned char* ring, std::uint64_t position, std::size_t n) noexcept {
    move(position, n,
         [ring](std::size_t at, char* p, std::size_t k) { std::memcpy(ring + at, p, k); });
  }
  void get(const unsigned char* ring, std::uint64_t position, std::size_t n) noexcept {
    move(position, n,
         [ring](std::size_t at, char* p, std::size_t k) { std::memcpy(p, ring + at, k); });
  }

 private:
  char* here() const noexcept { return static_cast<char*>(part_->iov_base) + at_; }
  void next_part() noexcept {
    ++part_;
    at_ = 0;
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
      while (part_->iov_len == at_) next_part();
      const std::size_t at = position % kRing;
      const std::size_t k = std::min({n, part_->iov_len - at_, kRing - at});
      copy(at, here(), k);
      position += k;
      n -= k;
      at_ += k;
    }
  }

  const iovec* part_;
  std::size_t at_ = 0;  // into *part_
  std::size_t left_;    // of all
};

}  // namespace quay::pipe
