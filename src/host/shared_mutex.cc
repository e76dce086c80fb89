// SPDX-License-Identifier: BSD-2-Clause
//
// What: the contended half of shared_mutex, and who a thread is to the kernel.
#include "host/shared_mutex.hpp"
#include "host/call_numbers.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "host/errno_guard.hpp"

namespace quay::host {

constinit thread_local thread_identity this_thread_identity{};

void learn_thread_identity() noexcept {
  static constinit thread_local void* nowhere = nullptr;
  errno_guard keep;
  thread_identity me{0, &nowhere, 0};
  robust_list_head* head = nullptr;
  std::size_t size = 0;
  if (syscall(SYS_get_robust_list, 0, &head, &size) == 0 && head != nullptr) {
    me.pending = reinterpret_cast<void**>(&head->list_op_pending);
    me.offset = head->futex_offset;
  }
  me.number = static_cast<std::uint32_t>(syscall(SYS_gettid));
  this_thread_identity = me;
}

bool thread_exists(std::uint32_t number) noexcept {
  errno_guard keep;
  return kill(static_cast<pid_t>(number), 0) == 0 || errno != ESRCH;
}

shared_mutex::outcome shared_mutex::take_slowly(std::uint32_t number) noexcept {
  errno_guard keep;
  constexpr timespec doubt{0, kDoubt};
  core::backoff spin;
  std::uint32_t waiters = 0;
  for (;;) {
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    const std::uint32_t holder = seen & FUTEX_TID_MASK;
    if (holder == 0) {
      const std::uint32_t mine = number | waiters | (seen & FUTEX_WAITERS);
      if (!word_.compare_exchange_weak(seen, mine, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        continue;
      }
      return (seen & FUTEX_OWNER_DIED) != 0 ? outcome::inherited : outcome::taken;
    }
    if (holder == number) return outcome::ours;
    if (spin.look_away()) continue;
    waiters = FUTEX_WAITERS;
    if ((seen & FUTEX_WAITERS) == 0 &&
        !word_.compare_exchange_weak(seen, seen | FUTEX_WAITERS, std::memory_order_relaxed)) {
      continue;
    }
    const long slept =
        syscall(kFutex, &word_, FUTEX_WAIT, seen | FUTEX_WAITERS, &doubt, nullptr, 0);
    if (slept != 0 && errno == ETIMEDOUT && !thread_exists(holder)) {
      seen = holder | FUTEX_WAITERS;
      if (word_.compare_exchange_strong(seen, number | FUTEX_WAITERS, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
        return outcome::inherited;
      }
    }
  }
}

void shared_mutex::wake_one() noexcept {
  errno_guard keep;
  syscall(kFutex, &word_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace quay::host
