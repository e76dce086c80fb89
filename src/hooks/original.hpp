// SPDX-License-Identifier: BSD-2-Clause
//
// What: how a hook reaches the function it stands in front of.
// Locking: look-ups take the loader's lock, so every file of hooks does its own in a constructor,
//          before a signal handler may need one.
#pragma once

#include <dlfcn.h>

#include <atomic>

#define QUAY_HOOK extern "C" __attribute__((visibility("default")))

namespace quay::hooks {

// A function of the next library in the search order, looked up once.
template <class F>
class original {
 public:
  explicit constexpr original(const char* name) : name_(name) {}
  F* get() noexcept {
    void* f = function_.load(std::memory_order_relaxed);
    if (f == nullptr) {
      f = dlsym(RTLD_NEXT, name_);
      function_.store(f, std::memory_order_relaxed);
    }
    return reinterpret_cast<F*>(f);
  }

 private:
  const char* name_;
  std::atomic<void*> function_{nullptr};
};

}  // namespace quay::hooks
