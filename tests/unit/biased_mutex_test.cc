// SPDX-License-Identifier: BSD-2-Clause
//
// What: the lock in shared memory that one thread may have as its own.
// Contract: host/biased_mutex.hpp.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <random>
#include <thread>
#include <vector>

#include "host/barriers.hpp"
#include "host/biased_mutex.hpp"

namespace {

using quay::host::biased_hold;
using quay::host::biased_mutex;

constexpr int kOften = 100;  // enough turns for a first bias

struct guarded {
  biased_mutex lock;
  long count = 0;     // guarded
  bool half = false;  // guarded: work begun and not ended
};

void take_turns(guarded& g, int turns) {
  for (int i = 0; i < turns; ++i) {
    const biased_hold turn(g.lock);
    ++g.count;
  }
}

TEST(Biased_Mutex, BecomesTheOneThreadsOwnAndIsGivenUpForAnother) {
  guarded g;
  take_turns(g, kOften);
  if (!g.lock.is_biased()) GTEST_SKIP() << "the kernel has no membarrier() here";
  std::thread([&] { take_turns(g, 1); }).join();
  EXPECT_FALSE(g.lock.is_biased());
  take_turns(g, kOften);
  EXPECT_FALSE(g.lock.is_biased()) << "the second time it takes twice as many";
  take_turns(g, kOften);
  EXPECT_TRUE(g.lock.is_biased());
  EXPECT_EQ(g.count, 3 * kOften + 1);
}

// Who had it as its own may be late to see that this has ended.
TEST(Biased_Mutex, IsNobodyElsesOwnUntilItsLastOwnerWasSeenElsewhere) {
  guarded g;
  take_turns(g, kOften);
  if (!g.lock.is_biased()) GTEST_SKIP() << "the kernel has no membarrier() here";
  const auto another = [&g] { std::thread([&] { take_turns(g, 4 * kOften); }).join(); };
  another();
  EXPECT_FALSE(g.lock.is_biased());
  take_turns(g, 1);
  another();
  EXPECT_TRUE(g.lock.is_biased());
  another();
  EXPECT_TRUE(g.lock.is_biased()) << "the last owner is dead";
}

// Each thread takes it as its own again and again, while the others want it.
TEST(Biased_Mutex, ExcludesWhoeverTakesItAndHowOften) {
  constexpr int kThreads = 3;
  constexpr long kTurns = 60000;
  guarded g;
  std::barrier together(kThreads);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::minstd_rand random(t);
      together.arrive_and_wait();
      for (long left = kTurns; left > 0;) {
        const int burst = static_cast<int>(std::min<long>(left, 1 + random() % 400));
        take_turns(g, burst);
        left -= burst;
        if (random() % 4 == 0) std::this_thread::yield();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(g.count, kThreads * kTurns);
}

// A signal handler that finds its own thread inside takes nothing, whichever way the thread came in.
TEST(Biased_Mutex, IsOursToWhoeverInterruptsItsHolder) {
  guarded g;
  for (int i = 0; i < 2 * kOften; ++i) {  // that in which the bias begins is one of them
    const biased_hold turn(g.lock);
    ASSERT_TRUE(turn.held());
    ASSERT_FALSE(biased_hold(g.lock).held()) << i;
    ASSERT_FALSE(biased_hold(g.lock).held()) << "and nothing has changed by that";
  }
  std::thread([&] { EXPECT_TRUE(biased_hold(g.lock).held()); }).join();
}

class Biased_MutexBetweenProcesses : public testing::Test {
 protected:
  void SetUp() override {
    void* const memory =
        mmap(nullptr, sizeof(guarded), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    g_ = ::new (memory) guarded;
  }
  void TearDown() override { munmap(g_, sizeof(guarded)); }

  // Runs `act` in a child, which is killed in it or behind it.
  template <class Act>
  void in_a_child_that_is_killed(Act act) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      quay::host::forget_thread_identity();
      quay::host::forget_barriers();
      act();
      kill(getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  guarded* g_ = nullptr;
};

TEST_F(Biased_MutexBetweenProcesses, WhoDiesInsideLeavesItToBePutRight) {
  for (const int turns : {0, kOften}) {
    in_a_child_that_is_killed([&] {
      take_turns(*g_, turns);
      biased_hold turn(g_->lock);
      g_->half = true;
      kill(getpid(), SIGKILL);
    });
    // Without a robust list (qemu's user mode) nobody says so; who waits finds out.
    quay::host::thread_number();
    EXPECT_EQ(g_->lock.holder_died(), quay::host::this_thread_identity.pending != nullptr);
    {
      const biased_hold turn(g_->lock);
      EXPECT_TRUE(turn.inherited());
      EXPECT_TRUE(g_->half);
      g_->half = false;
    }
    EXPECT_FALSE(g_->lock.holder_died());
    EXPECT_FALSE(biased_hold(g_->lock).inherited()) << "once";
  }
}

TEST_F(Biased_MutexBetweenProcesses, WhoDiesOutsideLeavesNothingBehind) {
  in_a_child_that_is_killed([&] { take_turns(*g_, kOften); });
  EXPECT_FALSE(g_->lock.holder_died());
  const biased_hold turn(g_->lock);
  EXPECT_TRUE(turn.held());
  EXPECT_FALSE(turn.inherited());
}

TEST_F(Biased_MutexBetweenProcesses, ExcludesProcesses) {
  constexpr long kTurns = 30000;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    quay::host::forget_thread_identity();
    quay::host::forget_barriers();
  }
  std::minstd_rand random(child == 0 ? 1 : 2);
  for (long left = kTurns; left > 0;) {
    const int burst = static_cast<int>(std::min<long>(left, 1 + random() % 400));
    take_turns(*g_, burst);
    left -= burst;
  }
  if (child == 0) _exit(0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(g_->count, 2 * kTurns);
}

}  // namespace
