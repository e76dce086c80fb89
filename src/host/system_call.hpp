// SPDX-License-Identifier: BSD-2-Clause
//
// What: a system call without libc: no errno, no call through the linkage table. Where a queue is
//       served with one system call, libc's detour is a tenth of what the library adds.
// Contract: what the kernel answers: the result, or an errno negated. errno stays as it is. No
//           cancellation point, and nothing that a sanitizer or a hook would see.
#pragma once

#include <unistd.h>

#include "host/errno_guard.hpp"

namespace quay::host {

namespace detail {
inline long register_of(long v) noexcept { return v; }
inline long register_of(int v) noexcept { return v; }
inline long register_of(unsigned v) noexcept { return static_cast<long>(v); }
inline long register_of(unsigned long v) noexcept { return static_cast<long>(v); }
inline long register_of(const void* v) noexcept { return reinterpret_cast<long>(v); }
inline long register_of(std::nullptr_t) noexcept { return 0; }
}  // namespace detail

template <class A = long, class B = long, class C = long, class D = long, class E = long>
inline long system_call(long number, A a = {}, B b = {}, C c = {}, D d = {}, E e = {}) noexcept {
  // Before the registers are bound: a call in between may change them.
  const long w[] = {detail::register_of(a), detail::register_of(b), detail::register_of(c),
                    detail::register_of(d), detail::register_of(e)};
#if defined(__x86_64__) && !defined(__ILP32__)
  register long r10 asm("r10") = w[3];
  register long r8 asm("r8") = w[4];
  long result = number;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(w[0]), "S"(w[1]), "d"(w[2]), "r"(r10), "r"(r8)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = w[0];
  register long x1 asm("x1") = w[1];
  register long x2 asm("x2") = w[2];
  register long x3 asm("x3") = w[3];
  register long x4 asm("x4") = w[4];
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
#else
  errno_guard keep;
  const long result = ::syscall(number, w[0], w[1], w[2], w[3], w[4]);
  return result >= 0 ? result : -errno;
#endif
}

}  // namespace quay::host
