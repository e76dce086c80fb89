// SPDX-License-Identifier: BSD-2-Clause
//
// What: one line of a trace, put together in place.
// Invariants: allocates nothing and asks no locale: calls are traced inside signal handlers, too. What does not fit is cut
//             and the cut is shown.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "names.hpp"

namespace quay::trace {

class line {
 public:
  line& operator<<(std::string_view text) {
    if (cut_) return *this;
    const std::size_t room = kMost - size_;
    cut_ = text.size() > room;
    const std::size_t n = cut_ ? room : text.size();
    std::memcpy(text_ + size_, text.data(), n);
    size_ += n;
    return *this;
  }
  line& operator<<(const char* text) { return *this << std::string_view(text); }
  line& operator<<(std::integral auto number) { return digits(number, 10); }
  line& hex(std::uintptr_t number) {
    *this << "0x";
    return digits(number, 16);
  }
  line& address(const void* at) {
    if (at == nullptr) return *this << "NULL";
    return hex(reinterpret_cast<std::uintptr_t>(at));
  }
  // 1.000250
  line& seconds(std::uint64_t nanoseconds) {
    const std::uint64_t us = nanoseconds / 1000;
    *this << us / 1000000 << ".";
    std::uint64_t part = us % 1000000;
    for (std::uint64_t digit = 100000; digit > 0; digit /= 10) {
      *this << part / digit;
      part %= digit;
    }
    return *this;
  }
  // NAME|NAME|0x40; 0 when there is nothing.
  line& bits(std::span<const tool::bit> table, unsigned value) {
    const char* between = "";
    for (const tool::bit& each : table) {
      if ((value & each.value) != each.value) continue;
      *this << between << each.name;
      between = "|";
      value &= ~each.value;
    }
    if (value == 0) return *between == '\0' ? *this << "0" : *this;
    return (*this << between).hex(value);
  }

  line& operator<<(const line& other) {
    return *this << std::string_view(other.text_, other.size_);
  }

  std::string_view finish() {
    if (cut_) std::memcpy(text_ + size_, "...", 3), size_ += 3;
    text_[size_++] = '\n';
    return {text_, size_};
  }

 private:
  line& digits(std::integral auto number, int base) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, number, base);
    return *this << std::string_view(text, static_cast<std::size_t>(end.ptr - text));
  }

  static constexpr std::size_t kMost = 2000;
  char text_[kMost + 4];
  std::size_t size_ = 0;
  bool cut_ = false;
};

}  // namespace quay::trace
