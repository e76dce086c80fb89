// SPDX-License-Identifier: BSD-2-Clause
//
// What: whether the memory an argument points to can be read or written, without a fault handler.
// Contract: a bad pointer gives EFAULT, as in the kernels.
// Invariants: 1. A range found good is remembered by the thread only while every munmap, mprotect and
//                the like is announced (hooked processes) and none has happened since.
//             2. Nothing is remembered of a range that was found bad.
// How: memory just above the caller's stack pointer is its own frames and needs no question. Of
//      anything else the kernel is asked page by page, with a system call that touches the page
//      and does nothing: rt_sigprocmask with an impossible `how` copies the set in before it
//      refuses; FUTEX_WAKE_OP adds zero to the word and wakes nobody. Many pages are populated by
//      one call, which touches them all (Linux 5.14); only if that fails is the bad one looked for.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
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

std::atomic<bool> g_announced{false};        // mapping changes are announced
std::atomic<std::uint32_t> g_generation{1};  // raised by every announced change

// Ranges this thread found good, in whole pages; see the invariants. Changes, events and timeouts
// usually lie on different ones; the oldest makes room for a new one.
class memory_of_ranges {
 public:
  bool holds(std::uintptr_t at, std::size_t n) const noexcept {
    if (generation_ != g_generation.load(std::memory_order_acquire)) return false;
    for (const range& r : places_) {
      if (n <= r.size && at - r.begin <= r.size - n) return true;
    }
    return false;
  }
  // Found good while `generation` was the current one.
  void keep(std::uintptr_t at, std::size_t n, std::uint32_t generation) noexcept {
    if (generation_ != generation) *this = memory_of_ranges();
    generation_ = generation;
    const std::uintptr_t begin = at & ~(kPage - 1);
    const std::uintptr_t end = (at + n + kPage - 1) & ~(kPage - 1);
    // A large buffer is asked about in pieces.
    for (range& r : places_) {
      if (begin <= r.begin + r.size && r.begin <= end && r.size != 0) {
        r = {std::min(begin, r.begin), std::max(end, r.begin + r.size) - std::min(begin, r.begin)};
        return;
      }
    }
    places_[next_++ % kPlaces] = {begin, end - begin};
  }

 private:
  static constexpr std::size_t kPlaces = 4;
  struct range {
    std::uintptr_t begin;
    std::size_t size;
  };
  range places_[kPlaces] = {};
  std::uint32_t generation_ = 0;  // of all of them
  std::uint32_t next_ = 0;
};
constinit thread_local memory_of_ranges t_reads __attribute__((tls_model("initial-exec")));
constinit thread_local memory_of_ranges t_writes __attribute__((tls_model("initial-exec")));

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
[[gnu::cold]] std::size_t ask(memory_of_ranges& memory, std::uintptr_t at, std::size_t n,
                              int advice, Probe probe) noexcept {
  const std::uint32_t generation = g_generation.load(std::memory_order_acquire);
  const std::size_t good = all_good(at, n, advice) ? n : prefix(at, n, probe);
  if (good == n && n != 0 && g_announced.load(std::memory_order_relaxed)) {
    memory.keep(at, n, generation);
  }
  return good;
}

}  // namespace

void mappings_are_announced(bool yes) noexcept { g_announced.store(yes); }
void mapping_changed() noexcept { g_generation.fetch_add(1, std::memory_order_release); }

std::size_t linux_host::readable_prefix(const void* p, std::size_t n) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  if (core::own_stack().holds(p, n) || t_reads.holds(at, n)) return n;
  return ask(t_reads, at, n, MADV_POPULATE_READ, page_reads);
}

std::size_t linux_host::writable_prefix(void* p, std::size_t n) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  if (core::own_stack().holds(p, n) || t_writes.holds(at, n)) return n;
  return ask(t_writes, at, n, MADV_POPULATE_WRITE, page_writes);
}

}  // namespace quay::host
