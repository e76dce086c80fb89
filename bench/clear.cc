// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that EV_CLEAR costs what edge-triggered epoll costs. The baseline asks for no
//   byte count, so neither does the subject; the extra cases ask for it on both sides.

#include "support/readers.hpp"

namespace quay::bench {
namespace {

std::vector<bench_case> cases() {
  return with_extras(
      round_cases<kqueue_reader<EV_CLEAR, false>, epoll_reader<EPOLLET, false>>(
          {"clear", "kqueue EV_CLEAR, QUAY_NOTE_NODATA", "epoll ET", 1.10, 1.10, ""}),
      round_cases<kqueue_reader<EV_CLEAR, true>, epoll_reader<EPOLLET, true>>(
          {"clear_data", "kqueue EV_CLEAR, data filled", "epoll ET + FIONREAD", {}, {}, ""}));
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "EVFILT_READ with EV_CLEAR against edge-triggered epoll", cases());
}
