// SPDX-License-Identifier: BSD-2-Clause
//
// What: the table of descriptors: who is told what of a close, and when a signal handler's is told.
// Contract: core/descriptors.hpp, invariant 3.
#include "core/descriptors.hpp"

#include <gmock/gmock.h>
#include <signal.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "core/mutex.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Writes down what it is told.
class scribe final : public core::descriptor_owner {
 public:
  std::vector<std::string> told;
  std::function<void()> before;

  long read(int, const iovec*, int) noexcept override { return kAskKernel; }
  long write(int, const iovec*, int) noexcept override { return kAskKernel; }
  int stat(int, struct stat&) noexcept override { return kAskKernel; }
  int ioctl(int, unsigned long, void*) noexcept override { return kAskKernel; }
  int fcntl(int, int, void*) noexcept override { return kAskKernel; }
  int poll(int, short) noexcept override { return kAskKernel; }
  void closing(int fd) noexcept override { told.push_back("closing " + std::to_string(fd)); }
  void closed(int fd) noexcept override { told.push_back("closed " + std::to_string(fd)); }
  void closed_before(int fd) noexcept override {
    if (before) before();
    told.push_back("before " + std::to_string(fd));
  }
  void duplicated(int, int) noexcept override {}
  void before_fork() noexcept override {}
  void after_fork_in_parent() noexcept override {}
  void after_fork_in_child() noexcept override {}
};

class Descriptors : public testing::Test {
 protected:
  void SetUp() override {
    table.enroll(owner);
    for (int fd = 3; fd < 40; ++fd) ASSERT_TRUE(table.watch(fd));
  }
  // What a hooked close() does.
  void close(int fd) {
    table.closing(fd);
    table.closed(fd);
  }

  scribe owner;
  core::descriptor_table table;
  core::mutex outer{core::rank::registry};
  core::mutex inner{core::rank::queue};
};

// Two systems may be made at once, by two threads.
TEST(Descriptors_Enrolment, OwnersThatComeAtTheSameTimeAllGetAPlace) {
  for (int round = 0; round < 200; ++round) {
    core::descriptor_table table;
    scribe owners[4];
    std::barrier start(4);
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) {
      threads.emplace_back([&table, &start, n, &owner = owners[n]] {
        start.arrive_and_wait();
        table.enroll(owner);
        table.assign(n, owner);
      });
    }
    for (std::thread& each : threads) each.join();
    ASSERT_EQ(table.enrolled(), 4);
    for (int n = 0; n < 4; ++n) EXPECT_EQ(table.owner_of(n), &owners[n]);
  }
}

TEST_F(Descriptors, ACloseIsToldBeforeAndAfter) {
  close(7);
  EXPECT_THAT(owner.told, ElementsAre("closing 7", "closed 7"));
  EXPECT_FALSE(table.concerns_us(7));
}

TEST_F(Descriptors, UnderAMutexACloseIsToldWhenTheLastOneIsLetGo) {
  outer.lock();
  inner.lock();
  close(7);
  close(9);
  EXPECT_TRUE(table.is_closing(7)) << "whoever registers on it waits";
  inner.unlock();
  EXPECT_THAT(owner.told, IsEmpty());
  outer.unlock();
  EXPECT_THAT(owner.told, ElementsAre("before 7", "before 9"));
  EXPECT_FALSE(table.is_closing(7));
  close(11);
  EXPECT_THAT(owner.told, ElementsAre("before 7", "before 9", "closing 11", "closed 11"));
}

// Another handler may close and open, too: it would find the owners' locks taken, by its own thread.
TEST_F(Descriptors, NoHandlerRunsWhileWhatWasPutOffIsTold) {
  static std::atomic<int> told = 0;
  static std::atomic<int> told_at_handler = -1;
  owner.before = [] {
    ::raise(SIGUSR1);
    ++told;
  };
  struct sigaction act {};
  struct sigaction former {};
  act.sa_handler = [](int) { told_at_handler = told.load(); };
  ::sigaction(SIGUSR1, &act, &former);
  {
    core::guard hold(outer);
    close(7);
    close(9);
  }
  EXPECT_EQ(told, 2);
  EXPECT_EQ(told_at_handler, 2);
  ::sigaction(SIGUSR1, &former, nullptr);
}

TEST_F(Descriptors, MoreThanCanBeRememberedAreFoundByLooking) {
  {
    core::guard hold(outer);
    for (int fd = 3; fd < 40; ++fd) close(fd);
  }
  EXPECT_EQ(owner.told.size(), 37u);
}

TEST_F(Descriptors, AFailedTryLeavesNothingHeld) {
  outer.lock();
  EXPECT_FALSE(outer.try_lock());
  outer.unlock();
  EXPECT_FALSE(core::holds_mutex());
}

}  // namespace
}  // namespace quay::test
