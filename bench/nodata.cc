// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that level-triggered EVFILT_READ costs what plain epoll costs once the caller
//   says, with QUAY_NOTE_NODATA, that `data` is not wanted.

#include "support/readers.hpp"

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "EVFILT_READ, level-triggered without data, against epoll",
                    round_cases<kqueue_reader<0, false>, epoll_reader<0, false>>(
                        {"nodata", "kqueue level, QUAY_NOTE_NODATA", "epoll LT", 1.08, 1.08, ""}));
}
