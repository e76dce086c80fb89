// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay::task and quay::scheduler: what a co_await waits for and gives, who runs what, how it ends.
// Contract: include/quay/task.hpp, include/quay/scheduler.hpp.
#include <quay/scheduler.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/child.hpp"
#include "support/kqueue.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class Kqueue_Scheduler : public testing::Test {
 protected:
  // Runs in so many threads until all tasks have ended.
  void run_in(unsigned threads) {
    std::vector<std::jthread> crew;
    while (crew.size() < threads) crew.emplace_back([this] { s.run(); });
  }

  scheduler s;
  std::vector<std::string> story;
};

TEST_F(Kqueue_Scheduler, WithoutTasksRunReturns) {
  s.run();
  s.run();
}

TEST_F(Kqueue_Scheduler, ATaskBeginsAtSpawnAndGoesOnInRun) {
  s.spawn([](scheduler& q, std::vector<std::string>& story) -> task<> {
    story.emplace_back("begins");
    co_await q.after(1us);
    story.emplace_back("goes on");
  }(s, story));
  story.emplace_back("spawned");
  s.run();
  EXPECT_THAT(story, ElementsAre("begins", "spawned", "goes on"));
}

TEST_F(Kqueue_Scheduler, ReadableGivesItsEvent) {
  const auto ends = make_pipe();
  size_t bytes = 0;
  s.spawn([](scheduler& q, int fd, size_t& found) -> task<> {
    const readable_event r = co_await q.readable(fd);
    found = r.bytes();
  }(s, ends.reader, bytes));
  s.spawn([](scheduler& q, int fd) -> task<> {
    co_await q.writable(fd);
    EXPECT_EQ(::write(fd, "12345", 5), 5);
  }(s, ends.writer));
  s.run();
  EXPECT_EQ(bytes, 5U);
}

TEST_F(Kqueue_Scheduler, BothDirectionsOfASocketAreTwoWaits) {
  const auto pair = make_socketpair();
  s.spawn([](scheduler& q, int fd, std::vector<std::string>& story) -> task<> {
    co_await q.readable(fd);
    story.emplace_back("read");
  }(s, pair.here, story));
  s.spawn([](scheduler& q, int fd, int peer, std::vector<std::string>& story) -> task<> {
    co_await q.writable(fd);
    story.emplace_back("written");
    EXPECT_EQ(::write(peer, "x", 1), 1);
  }(s, pair.here, pair.there, story));
  s.run();
  EXPECT_THAT(story, ElementsAre("written", "read"));
}

TEST_F(Kqueue_Scheduler, ChildrenSignalsFilesAndTimes) {
  test::child c = ends_with(3);
  std::string name = ::testing::TempDir() + "quay-scheduler-XXXXXX";
  const unique_fd fd(checked(::mkstemp(name.data()), "mkstemp"));
  int code = -1;
  std::set<std::string> seen;
  s.spawn([](scheduler& q, pid_t pid, int& code) -> task<> {
    code = (co_await q.child(pid)).exit_code();
  }(s, c.pid(), code));
  s.spawn([](scheduler& q, std::set<std::string>& seen) -> task<> {
    co_await q.signal(SIGURG);
    seen.insert("signal");
  }(s, seen));
  s.spawn([](scheduler& q, int fd, std::set<std::string>& seen) -> task<> {
    co_await q.file(fd, file_change::written);
    seen.insert("file");
  }(s, fd, seen));
  s.spawn([](scheduler& q, std::set<std::string>& seen) -> task<> {
    co_await q.at(std::chrono::system_clock::now() + 1ms);
    seen.insert("time");
  }(s, seen));
  c.step();
  ::raise(SIGURG);
  ASSERT_EQ(::write(fd, "x", 1), 1);
  ::unlink(name.c_str());
  s.run();
  EXPECT_EQ(code, 3);
  EXPECT_THAT(seen, ElementsAre("file", "signal", "time"));
}

TEST_F(Kqueue_Scheduler, AnyInterestCanBeAwaited) {
  const auto ends = make_pipe();
  ASSERT_EQ(::write(ends.writer, "abc", 3), 3);
  size_t bytes = 0;
  s.spawn([](scheduler& q, int fd, size_t& found) -> task<> {
    found = static_cast<size_t>((co_await q.on(readable(fd).at_least(3))).native().data);
  }(s, ends.reader, bytes));
  s.run();
  EXPECT_EQ(bytes, 3U);
}

TEST_F(Kqueue_Scheduler, ARefusedWaitIsAnExceptionThere) {
  std::error_code error;
  s.spawn([](scheduler& q, std::error_code& error) -> task<> {
    try {
      co_await q.readable(1000000);
    } catch (const std::system_error& e) {
      error = e.code();
    }
  }(s, error));
  s.run();
  EXPECT_EQ(error, std::errc::bad_file_descriptor);
}

TEST_F(Kqueue_Scheduler, AWaitWithATimeGivesTheEventThatCameFirst) {
  const auto ends = make_pipe();
  ASSERT_EQ(::write(ends.writer, "abc", 3), 3);
  size_t bytes = 0;
  s.spawn([](scheduler& q, int fd, size_t& found) -> task<> {
    const std::optional<readable_event> r = co_await q.readable(fd).within(1h);
    found = r ? r->bytes() : 0;
  }(s, ends.reader, bytes));
  s.run();
  EXPECT_EQ(bytes, 3U);
}

TEST_F(Kqueue_Scheduler, AWaitWithATimeGivesNothingWhenTheTimeIsOver) {
  const auto ends = make_pipe();
  s.spawn([](scheduler& q, int fd, int writer, std::vector<std::string>& story) -> task<> {
    for (int i = 0; i < 3; ++i) {
      if (!co_await q.readable(fd).within(1ms)) story.emplace_back("over");
    }
    EXPECT_EQ(::write(writer, "x", 1), 1);
    co_await q.readable(fd);
    story.emplace_back("read");
  }(s, ends.reader, ends.writer, story));
  s.run();
  EXPECT_THAT(story, ElementsAre("over", "over", "over", "read"));
}

TEST_F(Kqueue_Scheduler, AnEventAndATimeAtOnceAreTheEvent) {
  const auto ends = make_pipe();
  ASSERT_EQ(::write(ends.writer, "x", 1), 1);
  bool came = false;
  s.spawn([](scheduler& q, int fd, bool& came) -> task<> {
    came = (co_await q.readable(fd).within(0ns)).has_value();
  }(s, ends.reader, came));
  s.run();
  EXPECT_TRUE(came);
}

TEST_F(Kqueue_Scheduler, ARefusedWaitWithATimeIsAnExceptionAndLeavesNoTimer) {
  std::error_code error;
  s.spawn([](scheduler& q, std::error_code& error) -> task<> {
    try {
      co_await q.readable(1000000).within(1ms);
    } catch (const std::system_error& e) {
      error = e.code();
    }
    co_await q.after(3ms);
  }(s, error));
  s.run();
  EXPECT_EQ(error, std::errc::bad_file_descriptor);
}

TEST_F(Kqueue_Scheduler, AWaitWithATimeMayBeLeftBehind) {
  const auto ends = make_pipe();
  {
    scheduler left;
    left.spawn([](scheduler& q, int fd) -> task<> { co_await q.readable(fd).within(1h); }(
                                            left, ends.reader));
  }
  ASSERT_EQ(::write(ends.writer, "x", 1), 1);
}

// Times that are over about when the bytes come, in several threads: each byte is read once, each wait ends once.
TEST_F(Kqueue_Scheduler, EventsAndTimesMayMeetInAnyOrderInSeveralThreads) {
  constexpr int kPipes = 4;
  constexpr int kBytes = 200;
  std::vector<decltype(make_pipe())> pipes;
  std::vector<int> read(kPipes);
  for (int i = 0; i < kPipes; ++i) pipes.push_back(make_pipe());
  for (int i = 0; i < kPipes; ++i) {
    s.spawn([](scheduler& q, int fd, int& read) -> task<> {
      while (read < kBytes) {
        const auto r = co_await q.readable(fd).within(20us);
        if (!r) continue;
        char byte = 0;
        EXPECT_EQ(::read(fd, &byte, 1), 1);
        ++read;
      }
    }(s, pipes[i].reader, read[i]));
    s.spawn([](scheduler& q, int fd) -> task<> {
      for (int n = 0; n < kBytes; ++n) {
        co_await q.after(20us);
        EXPECT_EQ(::write(fd, "x", 1), 1);
      }
    }(s, pipes[i].writer));
  }
  run_in(3);
  EXPECT_THAT(read, testing::Each(kBytes));
}

task<int> sum_up_to(scheduler& s, int n) {
  if (n == 0) co_return 0;
  if (n % 100 == 0) co_await s.turn();
  co_return n + co_await sum_up_to(s, n - 1);
}

TEST_F(Kqueue_Scheduler, TasksAwaitTasksAndGetTheirResults) {
  int sum = 0;
  s.spawn([](scheduler& q, int& sum) -> task<> { sum = co_await sum_up_to(q, 1000); }(s, sum));
  s.run();
  EXPECT_EQ(sum, 500500);
}

TEST_F(Kqueue_Scheduler, ExceptionsReachTheAwaitingTask) {
  s.spawn([](scheduler& q, std::vector<std::string>& story) -> task<> {
    const auto fails = [](scheduler& inner) -> task<std::unique_ptr<int>> {
      co_await inner.turn();
      throw std::runtime_error("inner");
    };
    try {
      co_await fails(q);
    } catch (const std::runtime_error& e) {
      story.emplace_back(e.what());
    }
  }(s, story));
  s.run();
  EXPECT_THAT(story, ElementsAre("inner"));
}

TEST_F(Kqueue_Scheduler, AFailedTaskEndsRunWithItsException) {
  s.spawn([](scheduler& q) -> task<> { co_await q.after(std::chrono::hours(1)); }(s));
  s.spawn([](scheduler& q) -> task<> {
    co_await q.turn();
    throw std::runtime_error("outer");
  }(s));
  EXPECT_THROW(s.run(), std::runtime_error);
}

TEST_F(Kqueue_Scheduler, MoveOnlyResultsAreMoved) {
  int value = 0;
  s.spawn([](int& value) -> task<> {
    const auto make = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(8); };
    value = *co_await make();
  }(value));
  s.run();
  EXPECT_EQ(value, 8);
}

TEST_F(Kqueue_Scheduler, SeveralThreadsShareTheTasks) {
  std::atomic<int> done{0};
  for (int i = 0; i < 200; ++i) {
    s.spawn([](scheduler& q, std::atomic<int>& done) -> task<> {
      for (int k = 0; k < 20; ++k) co_await q.turn();
      ++done;
    }(s, done));
  }
  run_in(4);
  EXPECT_EQ(done, 200);
}

TEST_F(Kqueue_Scheduler, ASleepingThreadTakesWhatAnotherSpawns) {
  const auto ends = make_pipe();
  s.spawn([](scheduler& q, int fd) -> task<> { co_await q.readable(fd); }(s, ends.reader));
  thread_in_call<bool> runner([this] {
    s.run();
    return true;
  });
  ASSERT_TRUE(runner.falls_asleep());
  std::atomic<bool> there{false};
  s.spawn([](scheduler& q, pid_t mine, std::atomic<bool>& there) -> task<> {
    co_await q.turn();
    there = ::gettid() == mine;
  }(s, runner.tid(), there));
  ASSERT_EQ(::write(ends.writer, "x", 1), 1);
  EXPECT_TRUE(runner.result());
  EXPECT_TRUE(there);
}

TEST_F(Kqueue_Scheduler, StopEndsEveryRunAndTasksStay) {
  struct witness {
    explicit witness(bool& ended) : flag(ended) {}
    ~witness() { flag = true; }
    bool& flag;
  };
  bool destroyed = false;
  {
    scheduler local;
    local.spawn([](scheduler& q, bool& flag) -> task<> {
      const witness w(flag);
      co_await q.after(std::chrono::hours(1));
    }(local, destroyed));
    const auto run = [&local] {
      local.run();
      return true;
    };
    thread_in_call<bool> one(run);
    thread_in_call<bool> two(run);
    ASSERT_TRUE(one.falls_asleep() && two.falls_asleep());
    local.stop();
    EXPECT_TRUE(one.result() && two.result());
    EXPECT_FALSE(destroyed);
  }
  EXPECT_TRUE(destroyed) << "with the scheduler its tasks end";
}

TEST_F(Kqueue_Scheduler, CanRunAgain) {
  for (int i = 0; i < 3; ++i) {
    s.spawn([](scheduler& q, std::vector<std::string>& story) -> task<> {
      co_await q.after(1us);
      story.emplace_back("again");
    }(s, story));
    run_in(2);
  }
  EXPECT_EQ(story.size(), 3U);
}

TEST_F(Kqueue_Scheduler, AnUnawaitedTaskNeverBegins) {
  {
    const auto never = [](std::vector<std::string>& story) -> task<> {
      story.emplace_back("begun");
      co_return;
    }(story);
  }
  EXPECT_TRUE(story.empty());
}

}  // namespace
}  // namespace quay::test
