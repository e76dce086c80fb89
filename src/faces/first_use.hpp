// SPDX-License-Identifier: BSD-2-Clause
//
// What: objects of the process that are made when first used and never destroyed: threads may be
//       inside them while the process exits.
// Invariants: they are made under one lock, which fork() takes before all others: a child finds each
//             of them whole, or not begun.
// Locking: the lock has the lowest rank. A thread that makes one may make others meanwhile.
#pragma once

#include <atomic>
#include <new>

namespace quay::faces {

// Held while something is made; nests.
class making {
 public:
  making() noexcept;
  ~making();
  making(const making&) = delete;
  making& operator=(const making&) = delete;
};
void leave_making_in_child() noexcept;  // after a fork, whoever was making

template <class T>
class first_use {
 public:
  // Null while it was not made. Signal-safe.
  T* existing() const noexcept { return made_.load(std::memory_order_acquire); }

  // `make` constructs it in the storage that it is given.
  template <class Make>
  T& get(Make make) noexcept {
    if (T* made = existing()) return *made;
    const making hold;
    if (existing() == nullptr) made_.store(make(storage_), std::memory_order_release);
    return *existing();
  }

 private:
  std::atomic<T*> made_{nullptr};
  alignas(T) unsigned char storage_[sizeof(T)] = {};
};

}  // namespace quay::faces
