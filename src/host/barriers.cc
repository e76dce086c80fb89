// SPDX-License-Identifier: BSD-2-Clause
//
// What: the kernel's barriers.
#include "host/barriers.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "host/errno_guard.hpp"
#include "host/linux_host.hpp"
#include "host/transfer.hpp"

namespace quay::host {
namespace {

// Whether this process takes part in the barriers of others.
enum class part : std::uint8_t { unknown, takes, refused };
constinit std::atomic<part> g_part{part::unknown};

bool membarrier(int command) noexcept { return syscall(SYS_membarrier, command, 0, 0) == 0; }

void wait_a_while() noexcept {
  const std::int64_t end = linux_host::instance().monotonic() + 20'000'000;
  std::atomic<std::uint32_t> never{0};
  while (sleep_on(never, 0, end) == -EINTR) {
  }
}

}  // namespace

bool take_part_in_barriers() noexcept {
  part mine = g_part.load(std::memory_order_acquire);
  if (mine == part::unknown) {
    const errno_guard keep;
    mine = membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) ? part::takes : part::refused;
    g_part.store(mine, std::memory_order_release);
  }
  return mine == part::takes;
}

void forget_barriers() noexcept { g_part.store(part::unknown, std::memory_order_relaxed); }

void barrier_in_all_threads() noexcept {
  const errno_guard keep;
  if (!membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED)) wait_a_while();
}

bool barrier_in_own_threads() noexcept {
  const errno_guard keep;
  // Refused to who has not registered: the first time.
  return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) ||
         (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
          membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED));
}

}  // namespace quay::host
