// SPDX-License-Identifier: BSD-2-Clause
//
// What: the contended half of core::mutex and the debug check of the lock order.
#include "core/mutex.hpp"

#include <cassert>

namespace quay::core {

namespace detail {
constinit thread_local thread_mark this_thread_mark{};

void thread_mark::settle() noexcept {
  owes = false;
  pay_debts();
  if (deferred != 0) run_deferred_handlers();
}
}  // namespace detail

void holds_nothing() noexcept {
  detail::thread_mark& mark = detail::this_thread_mark;
  mark.held = 0;
  mark.owes = false;
  mark.highest_rank = 0;
  for (std::uint8_t& depth : mark.depth) depth = 0;
}

void ranks_wait_for_fork(bool yes) noexcept { detail::this_thread_mark.forking = yes; }

void mutex::lock_slowly() noexcept {
  // Sections are short (no system call that blocks is made inside one), so a holder on another
  // CPU is usually gone within a microsecond; on one CPU spinning would only delay it.
  for (;;) {
    for (backoff spin; spin.look_away();) {
      // A holder that takes it again and again leaves it free for some nanoseconds each time.
      for (int looks = 0; looks < 4; ++looks) {
        if (word_.load(std::memory_order_relaxed) == 0 && try_take()) return;
        pause();
      }
    }
    asleep_.store(1, std::memory_order_relaxed);
    // Without the barrier the holder may overlook the mark: then the sleep is a brief one.
    const bool seen = barrier_in_own_threads();
    if (try_take()) return;
    park(asleep_, 1, seen ? nap::sound : nap::brief);
    asleep_.store(1, std::memory_order_relaxed);  // for the others; before another try
  }
}

void mutex::wake_one() noexcept {
  asleep_.store(0, std::memory_order_relaxed);
  unpark(asleep_);
}

#ifndef NDEBUG
void mutex::check_rank() const noexcept {
  assert(owner_.load(std::memory_order_relaxed) != &detail::this_thread_mark);
  // Equal ranks may nest: a queue nested in another is locked under it, parents first.
  const detail::thread_mark& mark = detail::this_thread_mark;
  assert(mark.forking || mark.highest_rank <= static_cast<std::uint8_t>(rank_));
}

void mutex::taken() noexcept {
  owner_.store(&detail::this_thread_mark, std::memory_order_relaxed);
  detail::thread_mark& mark = detail::this_thread_mark;
  ++mark.depth[static_cast<std::uint8_t>(rank_) / 10 - 1];
  mark.highest_rank = static_cast<std::uint8_t>(rank_);
}

void mutex::released() noexcept {
  owner_.store(nullptr, std::memory_order_relaxed);
  detail::thread_mark& mark = detail::this_thread_mark;
  std::uint8_t& depth = mark.depth[static_cast<std::uint8_t>(rank_) / 10 - 1];
  if (depth > 0) --depth;
  mark.highest_rank = 0;
  for (std::uint8_t i = 0; i < kRanks; ++i) {
    if (mark.depth[i] > 0) mark.highest_rank = static_cast<std::uint8_t>((i + 1) * 10);
  }
}
#endif

}  // namespace quay::core
