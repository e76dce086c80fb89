// SPDX-License-Identifier: BSD-2-Clause
//
// What: what every object of the C++ face that has a descriptor is made of: the descriptor's owner, errors, times.
// Contract: a call that can fail comes in two forms: one throws std::system_error, the other stores into a
//           std::error_code and throws nothing.
// Ownership: `descriptor` closes what it holds, once; it can be moved, never copied.
#ifndef QUAY_DESCRIPTOR_HPP_
#define QUAY_DESCRIPTOR_HPP_

#include <quay/quay.h>

#include <cerrno>
#include <chrono>
#include <concepts>
#include <ctime>
#include <limits>
#include <system_error>
#include <utility>

namespace quay {
inline namespace v0 {

class descriptor {
 public:
  descriptor() = default;
  explicit descriptor(int number) noexcept : number_(number) {}
  descriptor(descriptor&& other) noexcept : number_(other.release()) {}
  descriptor& operator=(descriptor&& other) noexcept {
    descriptor old(std::move(*this));
    number_ = other.release();
    return *this;
  }
  ~descriptor() {
    if (number_ >= 0) ::quay_close(number_);
  }

  [[nodiscard]] int get() const noexcept { return number_; }
  [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }
  explicit operator bool() const noexcept { return number_ >= 0; }

 private:
  int number_ = -1;
};

// Whatever has a descriptor to be waited for: a queue, a port, a signal_fd, one end of a pipe.
template <class T>
concept waitable = requires(const T& object) {
  { object.native_handle() } -> std::convertible_to<int>;
};

namespace detail {

inline std::error_code last_error() noexcept { return {errno, std::system_category()}; }

[[noreturn]] inline void raise(const std::error_code& error, const char* what) {
  throw std::system_error(error, what);
}

// What a C call returned; a failure is thrown.
inline int checked(int result, const char* what) {
  if (result < 0) [[unlikely]]
    raise(last_error(), what);
  return result;
}

// What a C call returned; a failure is stored.
inline int settled(int result, std::error_code& error) noexcept {
  if (result >= 0) [[likely]]
    error.clear();
  else
    error = last_error();
  return result;
}

// Nanoseconds, rounded up so that nothing ends early; what is too long becomes the longest.
template <class Rep, class Period>
constexpr std::chrono::nanoseconds to_nanoseconds(std::chrono::duration<Rep, Period> time) {
  using std::chrono::nanoseconds;
  using seconds = std::chrono::duration<double>;
  constexpr double kMost = 9.2e9;  // seconds in 63 bits of nanoseconds, less a little
  if (seconds(time).count() >= kMost) return nanoseconds::max();
  if (seconds(time).count() <= 0) return nanoseconds::zero();
  return std::chrono::ceil<nanoseconds>(time);
}

inline timespec to_timespec(std::chrono::nanoseconds time) noexcept {
  return {static_cast<std::time_t>(time.count() / 1'000'000'000),
          static_cast<long>(time.count() % 1'000'000'000)};
}

}  // namespace detail
}  // namespace v0
}  // namespace quay

#endif  // QUAY_DESCRIPTOR_HPP_
