// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that level-triggered EVFILT_READ with its `data` costs what an epoll user pays
//   who asks for the same two things: readiness, and how many bytes there are.

#include "support/readers.hpp"

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(
      argc, argv, "EVFILT_READ, level-triggered with data, against epoll + FIONREAD",
      round_cases<kqueue_reader<0, true>, epoll_reader<0, true>>(
          {"level", "kqueue level, data filled", "epoll LT + FIONREAD", 1.05, 1.05, ""}));
}
