// SPDX-License-Identifier: BSD-2-Clause
//
// What: an array that grows by doubling, in reserved memory that is touched only as it is used.
// Invariants: capacity never shrinks; elements are trivially copyable; fresh elements are zero.
// Ownership: owns its mapping; releases it in the destructor.
// Locking: the owner's. Growth maps pages and copies; it calls no allocator, so it may happen
//          under a queue's mutex.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "core/catalogue.hpp"
#include "core/memory.hpp"

namespace quay::core {

template <class T>
class growable {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  growable() = default;
  ~growable() { reset(); }
  growable(const growable&) = delete;
  growable& operator=(const growable&) = delete;

  T& operator[](std::size_t i) noexcept {
    return const_cast<T&>(static_cast<const growable&>(*this)[i]);
  }
  const T& operator[](std::size_t i) const noexcept {
    if (base_ == nullptr) __builtin_unreachable();  // i is below capacity()
    return base_[i];
  }
  std::size_t capacity() const noexcept { return capacity_; }

  // Makes indices below `least` usable; false when memory is refused (nothing changes).
  [[nodiscard]] bool reserve(std::size_t least) noexcept {
    if (least <= capacity_) return true;
    std::size_t bigger = capacity_ != 0 ? capacity_ : 4096 / sizeof(T);
    while (bigger < least) bigger *= 2;
    T* fresh = static_cast<T*>(map_memory(bigger * sizeof(T)));
    if (fresh == nullptr) return false;
    if (base_ != nullptr) {
      std::memcpy(static_cast<void*>(fresh), base_, capacity_ * sizeof(T));
      unmap_memory(base_, capacity_ * sizeof(T));
    }
    base_ = fresh;
    capacity_ = bigger;
    return true;
  }

  void swap(growable& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(capacity_, other.capacity_);
  }

  // Under two names: where the elements begin, and how many there may be.
  void show(catalogue::description& d, const char* base, const char* capacity) const noexcept {
    using form = catalogue::form;
    d.add(base, base_, form::internal).add(capacity, capacity_, form::internal);
  }

  void reset() noexcept {
    if (base_ != nullptr) unmap_memory(base_, capacity_ * sizeof(T));
    base_ = nullptr;
    capacity_ = 0;
  }

 private:
  T* base_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace quay::core
