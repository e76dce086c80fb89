// SPDX-License-Identifier: BSD-2-Clause
//
// What: how a call is traced: make it, note its time, then count it or print a line.
// Contract: the program sees the call's own result and errno. What the program's pointers point to is copied by the
//           kernel, so that a bad one fails in the call and not here. A call that the library makes inside a traced
//           call is not traced itself.
#pragma once

#include <dlfcn.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <type_traits>

#include "ledger.hpp"
#include "line.hpp"

namespace quay::trace {

// The function that the program would have reached without us.
template <class F>
F* original(call which) noexcept {
  static std::atomic<void*> found[kCalls];
  std::atomic<void*>& f = found[static_cast<std::size_t>(which)];
  if (f.load(std::memory_order_relaxed) == nullptr) {
    f.store(dlsym(RTLD_NEXT, kCallNames[static_cast<std::size_t>(which)]),
            std::memory_order_relaxed);
  }
  return reinterpret_cast<F*>(f.load(std::memory_order_relaxed));
}

// False: the memory cannot be read.
bool fetch(void* to, const void* from, std::size_t size) noexcept;

std::uint64_t now() noexcept;
bool prints() noexcept;
void count(call which, bool failed, std::uint64_t nanoseconds) noexcept;
void begin_line(line& out, std::uint64_t at, call which) noexcept;
// " = result results <time>", and out with it.
void end_line(line& out, long result, int error, line& results, std::uint64_t nanoseconds) noexcept;

// One traced call of a thread at a time.
class nesting {
 public:
  nesting() noexcept { ++depth_; }
  nesting(const nesting&) = delete;
  nesting& operator=(const nesting&) = delete;
  ~nesting() { --depth_; }
  static bool inside() noexcept { return depth_ > 0; }

 private:
  static thread_local int depth_ __attribute__((tls_model("initial-exec")));
};

// before(out) shows the arguments, make() is the call, after(out, result) shows what came back.
template <class Before, class Make, class After>
auto traced(call which, Before before, Make make, After after) -> decltype(make()) {
  if (nesting::inside()) return make();
  const nesting here;
  line out;
  const bool shown = prints();
  const int entered = errno;
  if (shown) {
    begin_line(out, now(), which);
    before(out);
    out << ")";
    errno = entered;
  }
  const std::uint64_t begin = now();
  const auto result = make();
  const int error = errno;
  const std::uint64_t took = now() - begin;
  count(which, result < 0, took);
  if (shown) {
    line results;
    after(results, result);
    end_line(out, static_cast<long>(result), result < 0 ? error : 0, results, took);
  }
  errno = error;
  return result;
}

}  // namespace quay::trace
