// SPDX-License-Identifier: BSD-2-Clause
//
// What: what core asks of the host by name rather than through core::host: parking, memory, the
//       number of CPUs; and the self-test for the hooks library.
#include <dlfcn.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "core/memory.hpp"
#include "core/mutex.hpp"
#include "host/barriers.hpp"
#include "host/call_numbers.hpp"
#include "host/errno_guard.hpp"
#include "host/linux_host.hpp"
#include "host/sharing.hpp"

namespace quay::core {

void park(std::atomic<std::uint32_t>& word, std::uint32_t expected, nap how) noexcept {
  quay::host::errno_guard keep;
  constexpr timespec brief{0, 20'000'000};
  syscall(quay::host::kFutex, &word, FUTEX_WAIT_PRIVATE, expected,
          how == nap::brief ? &brief : nullptr, nullptr, 0);
}

void unpark(std::atomic<std::uint32_t>& word) noexcept {
  quay::host::errno_guard keep;
  syscall(quay::host::kFutex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

bool barrier_in_own_threads() noexcept { return quay::host::barrier_in_own_threads(); }

bool many_cpus() noexcept {
  static std::atomic<int> known{0};
  int n = known.load(std::memory_order_relaxed);
  if (n == 0) {
    quay::host::errno_guard keep;
    // The process's CPUs: asked for as it begins, for later its first thread may be bound to one of them, which says
    // nothing of the others.
    cpu_set_t set;
    CPU_ZERO(&set);
    n = sched_getaffinity(getpid(), sizeof set, &set) == 0
            ? CPU_COUNT(&set)
            : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
    known.store(n < 1 ? 1 : n, std::memory_order_relaxed);
  }
  return n > 1;
}
[[gnu::constructor]] static void count_cpus() { many_cpus(); }

// Where there are tens of thousands of slots, every access to a small page would miss the translation
// buffer too. The first `small` bytes stay in small pages: a huge one would be touched for one slot.
static void prefer_huge_pages(void* p, std::size_t bytes, std::size_t small) noexcept {
  constexpr std::uintptr_t kHuge = std::uintptr_t{2} << 20;
  const auto begin = reinterpret_cast<std::uintptr_t>(p);
  const std::uintptr_t from = (begin + small + kHuge - 1) & ~(kHuge - 1);
  if (bytes < small + 2 * kHuge) return;
  madvise(p, from - begin, MADV_NOHUGEPAGE);
  madvise(reinterpret_cast<void*>(from), begin + bytes - from, MADV_HUGEPAGE);
}
constexpr std::size_t kSmallPages = std::size_t{2} << 20;

void* reserve_memory(std::size_t bytes) noexcept {
  quay::host::errno_guard keep;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  prefer_huge_pages(p, bytes, kSmallPages);
  return p;
}

void* map_memory(std::size_t bytes) noexcept {
  quay::host::errno_guard keep;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  prefer_huge_pages(p, bytes, 0);
  return p;
}

void* map_named_memory(const char* name, std::size_t bytes) noexcept {
  quay::host::errno_guard keep;
  const int file = quay::host::memory_create(name, bytes);
  if (file < 0) return nullptr;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file, 0);
  syscall(SYS_close, file);
  return p != MAP_FAILED ? p : nullptr;
}

void unmap_memory(void* base, std::size_t bytes) noexcept {
  quay::host::errno_guard keep;
  munmap(base, bytes);
}

}  // namespace quay::core

namespace quay::host {

namespace {
std::atomic<bool> g_announced{false};
std::atomic<std::atomic<int>*> g_mark{nullptr};
}  // namespace

void mark_process() noexcept {
  errno_guard keep;
  std::atomic<int>* mark = g_mark.load(std::memory_order_relaxed);
  if (mark == nullptr) {
    void* page = core::map_memory(sizeof *mark);
    if (page == nullptr || madvise(page, sizeof *mark, MADV_WIPEONFORK) != 0) return;
    mark = static_cast<std::atomic<int>*>(page);
  }
  mark->store(1, std::memory_order_relaxed);
  g_mark.store(mark, std::memory_order_release);
}

bool process_is_marked() noexcept {
  const std::atomic<int>* mark = g_mark.load(std::memory_order_acquire);
  if (mark == nullptr) [[unlikely]]
    return true;
  return mark->load(std::memory_order_relaxed) != 0;
}

bool hooks_are_present() noexcept {
  // What counts is whose close() the program finds: the hooks library may be loaded and yet stand
  // behind libc in the search order. So close a number that cannot exist and see who hears of it.
  errno_guard keep;
  using close_function = int (*)(int);
  const auto found = reinterpret_cast<close_function>(dlsym(RTLD_DEFAULT, "close"));
  if (found == nullptr) return false;
  g_announced.store(false, std::memory_order_relaxed);
  found(kSelfTestDescriptor);
  return g_announced.load(std::memory_order_relaxed);
}

void hooks_announced() noexcept { g_announced.store(true, std::memory_order_relaxed); }

}  // namespace quay::host
