// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that level-triggered EVFILT_READ with its `data` costs what an epoll user pays
//   who asks for the same two things: readiness, and how many bytes there are. The extra cases show what the order costs:
//   all counts, then all reads.

#include "support/readers.hpp"

namespace quay::bench {
namespace {

std::vector<bench_case> cases() {
  using baseline = epoll_reader<0, true>;
  return with_extras(
      round_cases<kqueue_reader<0, true>, baseline>(
          {"level", "kqueue level, data filled", "epoll LT + FIONREAD", 1.05, 1.05, ""}),
      round_cases<epoll_teller, baseline>({"level_order",
                                           "epoll LT, all FIONREAD before the first read",
                                           "epoll LT + FIONREAD",
                                           {},
                                           {},
                                           ""}));
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "EVFILT_READ, level-triggered with data, against epoll + FIONREAD",
                    cases());
}
