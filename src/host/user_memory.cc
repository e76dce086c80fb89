// SPDX-License-Identifier: BSD-2-Clause
//
// What: whether the memory an argument points to can be read or written, without a fault handler.
// Contract: a bad pointer gives EFAULT, as in the kernels.
// How: memory just above the caller's stack pointer is its own frames and needs no question. Of
//      anything else the kernel is asked page by page, with a system call that touches the page
//      and does nothing: rt_sigprocmask with an impossible `how` copies the set in before it
//      refuses; FUTEX_WAKE_OP adds zero to the word and wakes nobody. Many pages are populated by
//      one call, which touches them all (Linux 5.14); only if that fails is the bad one looked for.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "core/own_stack.hpp"
#include "host/call_numbers.hpp"
#include "host/errno_guard.hpp"
#include "host/linux_host.hpp"

namespace quay::host {
namespace {

constexpr std::uintptr_t kPage = 4096;

bool page_reads(std::uintptr_t at) noexcept {
  // Eight bytes that stay within the page. A null set means "none" to the call: page 0 is no one's.
  const std::uintptr_t word = at & ~std::uintptr_t{7};
  if (word < kPage) return false;
  return syscall(SYS_rt_sigprocmask, -1, reinterpret_cast<void*>(word), nullptr, 8) >= 0 ||
         errno != EFAULT;
}

bool page_writes(std::uintptr_t at) noexcept {
  const std::uintptr_t word = at & ~std::uintptr_t{3};
  // op ADD (1), operand 0, compare "less than" 0: the word keeps its value.
  constexpr unsigned kAddNothing = (1u << 28) | (2u << 24);
  return syscall(kFutex, reinterpret_cast<void*>(word), FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0,
                 nullptr, reinterpret_cast<void*>(word), kAddNothing) >= 0 ||
         errno != EFAULT;
}

std::atomic<bool> g_announced{false};  // mapping changes are announced

template <class Probe>
std::size_t prefix(std::uintptr_t begin, std::size_t n, Probe probe) noexcept {
  errno_guard keep;
  if (begin + n < begin) n = ~begin;
  const std::uintptr_t end = begin + n;
  for (std::uintptr_t at = begin; at < end; at = (at & ~(kPage - 1)) + kPage) {
    if (!probe(at)) return at - begin;
    if ((at & ~(kPage - 1)) + kPage < at) break;
  }
  return n;
}

// Whether the kernel, asked once, finds all of several pages good; false where it cannot be asked so.
bool all_good(std::uintptr_t at, std::size_t n, int advice) noexcept {
  const std::uintptr_t begin = at & ~(kPage - 1);
  if (n <= 2 * kPage || at + n + kPage < at) return false;
  errno_guard keep;
  return madvise(reinterpret_cast<void*>(begin), at + n - begin, advice) == 0;
}

template <class Probe>
[[gnu::cold]] std::size_t ask(core::known_memory& memory, std::uintptr_t at, std::size_t n,
                              int advice, Probe probe) noexcept {
  const std::uint32_t generation = core::mapping_generation.load(std::memory_order_acquire);
  const std::size_t good = all_good(at, n, advice) ? n : prefix(at, n, probe);
  if (good == n && n != 0 && g_announced.load(std::memory_order_relaxed)) {
    memory.keep(at, n, generation);
  }
  return good;
}

}  // namespace

void mappings_are_announced(bool yes) noexcept { g_announced.store(yes); }
void mapping_changed() noexcept {
  core::mapping_generation.fetch_add(1, std::memory_order_release);
}

std::size_t linux_host::readable_prefix(const void* p, std::size_t n) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  if (core::own_stack().known_readable(p, n)) return n;
  return ask(core::known_to_read, at, n, MADV_POPULATE_READ, page_reads);
}

std::size_t linux_host::writable_prefix(void* p, std::size_t n) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  if (core::own_stack().known_writable(p, n)) return n;
  return ask(core::known_to_write, at, n, MADV_POPULATE_WRITE, page_writes);
}

}  // namespace quay::host
