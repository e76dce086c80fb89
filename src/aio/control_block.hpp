// SPDX-License-Identifier: BSD-2-Clause
//
// What: the engine's part of a program's struct aiocb: the members that libc keeps for itself.
// Contract: a block that was never submitted, zeroed or not, is told from one that was.
// Invariants:
//   1. The token is 0 (nothing known), even (a request under way), or the block's stamp: a number
//      made of its own address, so that neither a copy nor old memory passes for finished.
//   2. Error, result and ticket are written before the stamp and read after it.
// Ownership: the program's memory. After the stamp the engine does not touch it again: the program
//            may have freed it.
#pragma once

#include <aio.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "core/completion.hpp"

namespace quay::aio {

class control_block {
 public:
  explicit control_block(const aiocb* block) noexcept : block_(const_cast<aiocb*>(block)) {}

  std::uintptr_t token() const noexcept {
    return reinterpret_cast<std::uintptr_t>(
        std::atomic_ref(block_->__next_prio).load(std::memory_order_acquire));
  }
  void set_token(std::uintptr_t token) noexcept {
    std::atomic_ref(block_->__next_prio)
        .store(reinterpret_cast<aiocb*>(token), std::memory_order_release);
  }
  std::uintptr_t stamp() const noexcept {
    return (reinterpret_cast<std::uintptr_t>(block_) * std::uintptr_t{0x9e3779b1u}) | 1u;
  }
  bool finished() const noexcept { return token() == stamp(); }

  // Publishes a result: bytes, or -errno.
  void finish(long result, std::uint8_t target, const core::completion_ticket& ticket) noexcept {
    block_->__error_code = result < 0 ? static_cast<int>(-result) : 0;
    block_->__return_value = result < 0 ? -1 : result;
    block_->__policy = target;
    if (target != 0) std::memcpy(block_->__glibc_reserved, &ticket, sizeof ticket);
    set_token(stamp());
  }
  // The rest is valid of a finished block only.
  int error() const noexcept { return block_->__error_code; }
  ssize_t result() const noexcept { return block_->__return_value; }
  int target() const noexcept { return block_->__policy; }
  core::completion_ticket ticket() const noexcept {
    core::completion_ticket t;
    static_assert(sizeof t <= sizeof block_->__glibc_reserved);
    std::memcpy(&t, block_->__glibc_reserved, sizeof t);
    return t;
  }

 private:
  aiocb* block_;
};

}  // namespace quay::aio
