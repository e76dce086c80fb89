// SPDX-License-Identifier: BSD-2-Clause
//
// What: helper processes that keep kernel timers outstanding, so that the baseline can be measured
//   among more timerfds than one process may have descriptors.
// Contract: constructed before the first use of the library (it forks). The helpers run on the
//   caller's processor, because kernel timers live in a tree per processor. count() says how many
//   timers are really there.
// Ownership: the destructor ends the helpers and waits for them; they also end when the owner dies.

#pragma once

#include <sys/types.h>

#include <cstddef>
#include <vector>

#include "system.hpp"

namespace quay::bench {

class timer_holders {
 public:
  timer_holders(std::size_t wanted, std::size_t per_process);
  timer_holders(const timer_holders&) = delete;
  timer_holders& operator=(const timer_holders&) = delete;
  ~timer_holders();

  std::size_t count() const { return count_; }

 private:
  void add_helper(std::size_t wanted);

  std::size_t count_ = 0;
  std::vector<pid_t> helpers_;
  unique_fd life_reader_;
  unique_fd life_writer_;  // end-of-file on the reader is the helpers' signal to leave
};

// A relative expiry far away, spread over an hour.
inline constexpr std::int64_t kFarMs = 3'600'000;

}  // namespace quay::bench
