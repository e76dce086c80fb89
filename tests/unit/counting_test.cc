// SPDX-License-Identifier: BSD-2-Clause
//
// What: figures that are counted without a locked instruction while a process has one thread.
// Contract: core/tunables.hpp, add_to.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "core/tunables.hpp"

namespace {

using quay::core::add_to;

TEST(Counting, TellsWhatTheFigureWas) {
  std::atomic<long> signed_figure{-1};
  EXPECT_EQ(add_to(signed_figure, 3), -1);
  EXPECT_EQ(add_to(signed_figure, -5), 2);
  EXPECT_EQ(signed_figure.load(), -3);
  std::atomic<std::uint64_t> figure{7};
  EXPECT_EQ(add_to(figure, -1), 7u);
  EXPECT_EQ(figure.load(), 6u);
}

TEST(Counting, ThreadsLoseNoCount) {
  constexpr int kThreads = 4;
  constexpr int kEach = 100'000;
  std::atomic<std::uint64_t> figure{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) add_to(figure, 1);
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(figure.load(), std::uint64_t{kThreads} * kEach);
}

std::atomic<std::uint64_t> g_figure{0};
volatile std::uint64_t g_handled = 0;
void count_one(int) {
  add_to(g_figure, 1);
  g_handled = g_handled + 1;
}

// In a child of fork. It tells something in a process of its own, as ctest runs it: where tests before have begun threads,
// libc remembers them, and the instruction is a locked one.
TEST(Counting, AHandlerLosesNoCountOfTheThreadThatItInterrupts) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    struct sigaction count {};
    count.sa_handler = count_one;
    sigaction(SIGALRM, &count, nullptr);
    const itimerval often{{0, 100}, {0, 100}};
    setitimer(ITIMER_REAL, &often, nullptr);
    std::uint64_t counted = 0;
    while (g_handled < 2'000) {
      add_to(g_figure, 1);
      ++counted;
    }
    const itimerval never{};
    setitimer(ITIMER_REAL, &never, nullptr);
    _exit(g_figure.load() == counted + g_handled ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
