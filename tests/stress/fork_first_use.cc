// SPDX-License-Identifier: BSD-2-Clause
//
// What: a process forks at the very moment at which another of its threads uses the library for the
// first time: the child finds it whole or not begun, and works.
// Contract: kqueue semantics, section 6 (fork). A process has one first use, so each round is a program of its own:
// this one, executed with the test below that is disabled otherwise. QUAY_STRESS_SECONDS says how long.
#include <port.h>
#include <quay/quay.h>

#include <random>

#include "support/length.hpp"
#include "support/matchers.hpp"
#include "support/processes.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using first_call = int (*)();
constexpr first_call kFirstCalls[] = {
    ::kqueue,
    ::port_create,
    [] {
      int ends[2];
      return ::quay_pipe2(ends, 0) == 0 ? ends[0] : -1;
    },
};

TEST(Fork_FirstUse, DISABLED_OneRound) {
  std::minstd_rand random(std::random_device{}());
  const first_call call = kFirstCalls[random() % std::size(kFirstCalls)];
  const auto pause = std::chrono::nanoseconds(random() % 100000);
  std::atomic<int> ready{0};
  std::thread user([&] {
    ++ready;
    while (ready < 2) {
    }
    EXPECT_GE(call(), 0);
  });
  ++ready;
  for (const auto until = std::chrono::steady_clock::now() + pause;
       std::chrono::steady_clock::now() < until;) {
  }
  EXPECT_EQ(in_child([&] {
              ::alarm(60);
              return call() >= 0 ? 0 : 1;
            }),
            0);
  user.join();
}

TEST(Fork_FirstUse, LeavesTheChildWithAllOrNothing) {
  const time_limit limit(stress_time());
  int rounds = 0;
  for (; !limit.over(); ++rounds) {
    ASSERT_EQ(in_child([] {
                const unique_fd quiet(::open("/dev/null", O_WRONLY));
                ::dup2(quiet, STDOUT_FILENO);
                ::execl("/proc/self/exe", "first-use", "--gtest_also_run_disabled_tests",
                        "--gtest_filter=Fork_FirstUse.DISABLED_OneRound", nullptr);
                return 127;
              }),
              0)
        << "round " << rounds;
  }
  EXPECT_GT(rounds, 0);
}

}  // namespace
}  // namespace quay::test
