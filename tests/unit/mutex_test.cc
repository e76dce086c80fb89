// SPDX-License-Identifier: BSD-2-Clause
//
// What: the mutex: threads that sleep over it, and a kernel that makes no barriers.
// Contract: core/mutex.hpp, docs/decisions/0011.
#include "core/mutex.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#include "support/refusal.hpp"
#include "support/threads.hpp"

namespace {

namespace core = quay::core;
using quay::test::thread_in_call;

struct guarded {
  core::mutex lock{core::rank::queue};
  long count = 0;

  long add() {
    const core::guard hold(lock);
    return ++count;
  }
};

TEST(Mutex, EachOfThoseThatSleepIsWoken) {
  constexpr int kThreads = 3;
  guarded g;
  std::vector<std::unique_ptr<thread_in_call<long>>> threads;
  {
    const core::guard hold(g.lock);
    for (int t = 0; t < kThreads; ++t) {
      threads.push_back(std::make_unique<thread_in_call<long>>([&g] { return g.add(); }));
      ASSERT_TRUE(threads.back()->falls_asleep());
    }
  }
  for (auto& t : threads) EXPECT_GT(t->result(), 0);
  EXPECT_EQ(g.count, kThreads);
}

// More threads than processors, so that holders are put aside and the others go to sleep.
void many_take_turns(int threads, int turns, bool (*prepare)()) {
  guarded g;
  std::barrier together(threads);
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&] {
      EXPECT_TRUE(prepare());
      together.arrive_and_wait();
      for (int i = 0; i < turns; ++i) {
        const core::guard hold(g.lock);
        const long before = g.count;
        if (i % 16 == 0) std::this_thread::yield();
        g.count = before + 1;
      }
    });
  }
  for (std::thread& t : all) t.join();
  EXPECT_EQ(g.count, static_cast<long>(threads) * turns);
}

TEST(Mutex, ExcludesMoreThreadsThanThereAreProcessors) {
  many_take_turns(8, 4000, [] { return true; });
}

bool refuse_barriers() { return quay::test::refuse_call(SYS_membarrier); }

TEST(Mutex, WhereTheKernelMakesNoBarriersNobodySleepsForEver) {
  bool can = false;
  std::thread([&can] { can = refuse_barriers(); }).join();
  if (!can) GTEST_SKIP() << "no system call can be forbidden here";
  many_take_turns(4, 40, refuse_barriers);
}

std::atomic<int> alarms{0};

TEST(Mutex, WhereTheKernelMakesNoBarriersSignalsKeepNobodyWaiting) {
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  struct sigaction counts {};
  counts.sa_handler = [](int) { ++alarms; };
  counts.sa_flags = SA_RESTART;
  struct sigaction before {};
  ASSERT_EQ(sigaction(SIGALRM, &counts, &before), 0);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &alarm, nullptr), 0);
  const itimerval often{{0, 3000}, {0, 3000}};  // less than the wait that stands for a barrier
  ASSERT_EQ(setitimer(ITIMER_REAL, &often, nullptr), 0);

  guarded g;
  bool can = false;
  g.lock.lock();
  thread_in_call<long> signalled([&] {
    can = refuse_barriers();
    pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
    return g.add();
  });
  while (alarms < 10) std::this_thread::yield();
  g.lock.unlock();
  EXPECT_EQ(signalled.result(), 1);

  const itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
  sigaction(SIGALRM, &before, nullptr);
  if (!can) GTEST_SKIP() << "no system call can be forbidden here";
}

}  // namespace
