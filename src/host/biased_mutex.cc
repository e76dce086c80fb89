// SPDX-License-Identifier: BSD-2-Clause
//
// What: how a biased_mutex gets its bias and loses it.
#include "host/biased_mutex.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "host/barriers.hpp"
#include "host/call_numbers.hpp"
#include "host/errno_guard.hpp"

namespace quay::host {

biased_mutex::outcome biased_mutex::lock_for_all(void*& outer) noexcept {
  const outcome how = real_.lock(outer);
  if (how == outcome::ours) return how;
  const std::uint32_t me = thread_number();
  end_claim(me);
  if (bias_.load(std::memory_order_relaxed) != 0 || inside_.load(std::memory_order_relaxed) != 0) {
    return end_bias(me) ? outcome::inherited : how;
  }
  if (last_ != me) {
    last_ = me;
    turns_ = 0;
  } else {
    ++turns_;
  }
  return how;
}

void biased_mutex::unlock_for_all(void* outer, std::uint32_t me) noexcept {
  if (turns_ >= kTurns << ended_) begin_bias(me);
  real_.unlock(outer);
}

void biased_mutex::begin_bias(std::uint32_t me) noexcept {
  turns_ = 0;
  if (claimant_ != 0 && claimant_ != me && thread_exists(claimant_)) return;
  if (!take_part_in_barriers()) return;
  claimant_ = me;
  bias_.store(me, std::memory_order_relaxed);
}

// A thread without a bias that takes the lock like others is not on its way in, unless this is a handler that
// interrupts it there.
void biased_mutex::end_claim(std::uint32_t me) noexcept {
  if (claimant_ == me && core::holds_one_mutex()) claimant_ = 0;
}

// True: who was inside died there. Who dies in here leaves kEnding behind, and all is done again.
bool biased_mutex::end_bias(std::uint32_t me) noexcept {
  const errno_guard keep;
  bias_.store(kEnding, std::memory_order_relaxed);
  last_ = me;
  turns_ = 0;
  if (ended_ < kMostDoublings) ++ended_;
  barrier_in_all_threads();
  core::backoff spin;
  bool died = false;
  for (std::uint32_t who; !died && (who = inside_.load(std::memory_order_acquire)) != 0;) {
    died = (who & FUTEX_OWNER_DIED) != 0;
    if (!died && !spin.look_away()) {
      constexpr timespec doubt{0, kDoubt};
      const long slept = syscall(kFutex, &inside_, FUTEX_WAIT, who, &doubt, nullptr, 0);
      died = slept != 0 && errno == ETIMEDOUT && !thread_exists(who & FUTEX_TID_MASK);
    }
  }
  if (died) inside_.store(0, std::memory_order_relaxed);
  bias_.store(0, std::memory_order_release);
  return died;
}

void biased_mutex::wake() noexcept {
  const errno_guard keep;
  syscall(kFutex, &inside_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace quay::host
