// SPDX-License-Identifier: BSD-2-Clause
//
// What: memory that needs no question whether it can be touched: the frames of a function's callers, just
//       above its own; and, behind them, the question.
// Contract: holds() says yes of nothing but the 64 KiB above the frame, and of a thread's own stack of nothing
//           beyond its end. Of the first thread's, and of stacks that the program made (coroutines, handlers), where they end
//           is not known: a bad pointer to just above one is not found out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/host.hpp"
#include "core/known_memory.hpp"
#include "core/mutex.hpp"

namespace quay::core {

class own_stack {
 public:
  // Inlined: where the frame of the function begins that asks, its callers' begin.
  [[gnu::always_inline]] own_stack() noexcept
      : frame_(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0))) {
    // glibc puts a thread's control block at the top of its stack: nothing of the stack lies above.
    // The first thread's is elsewhere.
    const std::uintptr_t top = reinterpret_cast<std::uintptr_t>(this_thread()) & ~(kPage - 1);
    const std::uintptr_t above = top - frame_;  // the control block below the frame: far above
    room_ = above < kNearby ? above : kNearby;
  }

  [[gnu::always_inline]] bool holds(const void* p, std::size_t n) const noexcept {
    const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(p) - frame_;  // below: far above
    return n <= room_ && begin <= room_ - n;
  }

  // Whether all of it can be read, or written, as far as is known without asking.
  [[gnu::always_inline]] bool known_readable(const void* p, std::size_t n) const noexcept {
    return holds(p, n) || known_to_read.holds(p, n);
  }
  [[gnu::always_inline]] bool known_writable(const void* p, std::size_t n) const noexcept {
    return holds(p, n) || known_to_write.holds(p, n);
  }
  // The same, asking the host if need be.
  [[gnu::always_inline]] bool reads(host& os, const void* p, std::size_t n) const noexcept {
    return known_readable(p, n) || os.readable_prefix(p, n) == n;
  }
  [[gnu::always_inline]] bool writes(host& os, void* p, std::size_t n) const noexcept {
    return known_writable(p, n) || os.writable_prefix(p, n) == n;
  }

 private:
  static constexpr std::uintptr_t kPage = 4096;
  static constexpr std::uintptr_t kNearby = 64 * 1024;
  std::uintptr_t frame_;
  std::uintptr_t room_;
};

}  // namespace quay::core
