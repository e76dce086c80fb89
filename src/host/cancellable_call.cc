// SPDX-License-Identifier: BSD-2-Clause
//
// What: see cancellable_call.hpp.
// Invariants: the thread may be unwound from any instruction between the two calls, so the function
//             that makes them is not inlined, has nothing to clean up and is not noexcept.
#include "host/cancellable_call.hpp"

#include <pthread.h>
#include <unistd.h>

namespace quay::host {

[[gnu::noinline]] long cancellable_call(long number, long a, long b, long c, long d, long e) {
  int before = 0;
  // As libc does around its own: nothing but the system call is cut short.
  // NOLINTNEXTLINE(concurrency-thread-canceltype-asynchronous)
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before);
  const long result = syscall(number, a, b, c, d, e, 0L);
  pthread_setcanceltype(before, nullptr);
  return result;
}

}  // namespace quay::host
