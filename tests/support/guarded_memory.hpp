// SPDX-License-Identifier: BSD-2-Clause
//
// What: memory whose end, or all of it, cannot be read or written.
// Invariants: the last byte of guarded_array's accessible part is the last byte of a page; the next
// page faults.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <system_error>

namespace quay::test {

// Whole pages with a protection.
class pages {
 public:
  pages(size_t count, int protection)
      : bytes_(count * static_cast<size_t>(::sysconf(_SC_PAGESIZE))) {
    start_ = ::mmap(nullptr, bytes_, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  }
  ~pages() { ::munmap(start_, bytes_); }
  pages(const pages&) = delete;
  pages& operator=(const pages&) = delete;

  void* start() const { return start_; }
  size_t size() const { return bytes_; }
  void protect(size_t offset, size_t length, int protection) {
    if (::mprotect(static_cast<char*>(start_) + offset, length, protection) != 0) {
      throw std::system_error(errno, std::generic_category(), "mprotect");
    }
  }

 private:
  void* start_;
  size_t bytes_;
};

// An array of which `accessible` elements can be used; those behind lie in a page with `beyond` as
// its protection.
template <typename T>
class guarded_array {
 public:
  guarded_array(size_t accessible, int beyond)
      : pages_(2, PROT_READ | PROT_WRITE), half_(pages_.size() / 2) {
    first_ = reinterpret_cast<T*>(static_cast<char*>(pages_.start()) + half_) - accessible;
    pages_.protect(half_, half_, beyond);
  }

  T* data() const { return first_; }
  T& operator[](size_t i) const { return first_[i]; }

 private:
  pages pages_;
  size_t half_;
  T* first_;
};

}  // namespace quay::test
