// SPDX-License-Identifier: BSD-2-Clause
//
// What: the loops of other libraries, as the rounds of rounds.hpp consume: watch the readers, call back, read the byte.
// Contract: one file each, since their headers' names do not bear one another. Where a library was not there when the
//   build was configured, its function does not exist (QUAY_BENCH_LIBEVENT, _LIBUV, _LIBEV).

#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace quay::bench {

class foreign_loop {
 public:
  virtual ~foreign_loop() = default;
  // Waits once, reads the byte of every descriptor that is ready, and says how many there were.
  virtual std::size_t consume() = 0;
};

using loop_maker = std::unique_ptr<foreign_loop> (*)(const std::vector<int>& readers);

std::unique_ptr<foreign_loop> libevent_level(const std::vector<int>& readers);
std::unique_ptr<foreign_loop> libevent_edge(const std::vector<int>& readers);
std::unique_ptr<foreign_loop> libuv_level(const std::vector<int>& readers);
std::unique_ptr<foreign_loop> libev_level(const std::vector<int>& readers);

std::string libevent_version();
std::string libuv_version();
std::string libev_version();

}  // namespace quay::bench
