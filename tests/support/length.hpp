// SPDX-License-Identifier: BSD-2-Clause
//
// What: how long the tests go on that could go on for ever. Nobody else asks the environment.
// Contract: QUAY_STRESS_SECONDS    a program of stress tests goes about as long for each of its promises (5)
//           QUAY_STORM_SECONDS     the storm of all systems (QUAY_STRESS_SECONDS)
//           QUAY_SOAK_FORKS        forks of the fork soak, however long they take (0: by time)
//           QUAY_MODEL_OPERATIONS  calls compared with a model, all tests of one system together
//                                  (1,000,000; 80,000 under a sanitizer)
//           QUAY_MODEL_ROUNDS      histories of several threads, each test (300)
//           QUAY_MODEL_SEED        where random sequences begin (1)
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>

namespace quay::test {

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

inline std::chrono::milliseconds stress_time() {
  return std::chrono::seconds(from_environment("QUAY_STRESS_SECONDS", 5));
}

inline std::chrono::milliseconds storm_time() {
  return std::chrono::seconds(
      from_environment("QUAY_STORM_SECONDS", from_environment("QUAY_STRESS_SECONDS", 5)));
}

// Has a test gone on for `time`, counted from where this was made?
class time_limit {
 public:
  explicit time_limit(std::chrono::nanoseconds time)
      : end_(std::chrono::steady_clock::now() + time) {}
  bool over() const { return std::chrono::steady_clock::now() >= end_; }

 private:
  std::chrono::steady_clock::time_point end_;
};

// The part of one test among `tests` that share the operations of a system. Without the hooks it is the same machine
// with other registrations: a quarter.
inline std::uint64_t model_operations(std::uint64_t tests, bool hooked = true) {
#if defined(QUAY_SANITIZED)
  constexpr std::uint64_t kUsual = 80'000;  // each is twenty times as dear
#else
  constexpr std::uint64_t kUsual = 1'000'000;
#endif
  return from_environment("QUAY_MODEL_OPERATIONS", kUsual) / tests / (hooked ? 1 : 4);
}

inline std::uint64_t model_rounds() { return from_environment("QUAY_MODEL_ROUNDS", 300); }
inline std::uint64_t model_seed() { return from_environment("QUAY_MODEL_SEED", 1); }

}  // namespace quay::test
