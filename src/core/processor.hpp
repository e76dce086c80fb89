// SPDX-License-Identifier: BSD-2-Clause
//
// What: hints to the processor.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace quay::core {

inline constexpr std::size_t kCacheLine = 64;  // bytes

// In a loop that waits for another processor.
inline void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Adds to a figure that no other thread knows, in one instruction: a signal handler comes before it or
// after. Returns what the figure was before.
template <class T>
T add_undivided(std::atomic<T>& figure, T by) noexcept {
#if defined(__x86_64__)
  asm volatile("xadd %0, %1" : "+r"(by), "+m"(figure) : : "cc");
  return by;
#else
  return figure.fetch_add(by, std::memory_order_relaxed);
#endif
}

// The cache line will be written: where another processor has it, it comes in one journey instead of two.
inline void fetch_for_writing(const void* p) noexcept {
#if defined(__x86_64__)
  // The compilers take the plain prefetch unless they are told that the processor knows this one; one
  // that does not takes it for a no-op.
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(p)));
#else
  __builtin_prefetch(p, 1);
#endif
}

// Where the element of that index lies, or would lie if there were as many: for fetch_for_writing() alone.
template <class T>
const void* place_of(const T* first, std::size_t index) noexcept {
  return reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(first) + index * sizeof(T));
}

}  // namespace quay::core
