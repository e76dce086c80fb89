// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay::signal_fd, signal_set, blocked_signals.
// Contract: include/quay/signal_fd.hpp.
#include <quay/signal_fd.hpp>

#include <quay/kqueue.hpp>

#include <array>

#include "support/kqueue.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

class Signal_Face : public testing::Test {
 protected:
  const blocked_signals guard{{SIGUSR1, SIGUSR2}};
  signal_fd fd{{SIGUSR1, SIGUSR2}, true};
  std::array<taken_signal, 4> room;
};

TEST_F(Signal_Face, PendingSignalsAreReadInOrder) {
  ASSERT_EQ(::raise(SIGUSR2), 0);
  ASSERT_EQ(::raise(SIGUSR1), 0);
  const auto taken = fd.read(room);
  ASSERT_EQ(taken.size(), 2U);
  EXPECT_EQ(taken[0].number(), SIGUSR1);
  EXPECT_EQ(taken[1].number(), SIGUSR2);
  EXPECT_EQ(taken[0].sender(), ::getpid());
  EXPECT_EQ(taken[0].sender_user(), ::getuid());
}

TEST_F(Signal_Face, AQueuedValueComesAlong) {
  sigval value{};
  value.sival_int = 42;
  ASSERT_EQ(::sigqueue(::getpid(), SIGUSR1, value), 0);
  const auto one = fd.read_one();
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ(one->value(), 42);
  EXPECT_EQ(one->code(), SI_QUEUE);
}

TEST_F(Signal_Face, NothingPendingIsNothing) {
  EXPECT_FALSE(fd.read_one().has_value());
  std::error_code error;
  EXPECT_TRUE(fd.read(room, error).empty());
  EXPECT_EQ(error, std::errc::resource_unavailable_try_again);
}

TEST_F(Signal_Face, ABlockingReadWaits) {
  signal_fd blocking({SIGUSR1});
  thread_in_call<int> reader([&] { return blocking.read_one()->number(); });
  ASSERT_TRUE(reader.falls_asleep());
  ASSERT_EQ(::kill(::getpid(), SIGUSR1), 0);
  EXPECT_EQ(reader.result(), SIGUSR1);
}

TEST_F(Signal_Face, AnotherSetReplacesTheFirst) {
  fd.assign({SIGUSR2});
  ASSERT_EQ(::raise(SIGUSR1), 0);
  EXPECT_FALSE(fd.read_one().has_value());
  fd.assign({SIGUSR1});
  EXPECT_EQ(fd.read_one()->number(), SIGUSR1);
}

TEST_F(Signal_Face, AQueueWaitsForIt) {
  kqueue q;
  q.add(readable(fd));
  std::array<event, 2> events;
  EXPECT_TRUE(q.poll(events).empty());
  ASSERT_EQ(::raise(SIGUSR1), 0);
  EXPECT_EQ(q.wait(events, kPatience).size(), 1U);
  EXPECT_TRUE(fd.read_one().has_value());
}

TEST_F(Signal_Face, RoomForNothingIsAnError) {
  std::error_code error;
  fd.read({}, error);
  EXPECT_EQ(error, std::errc::invalid_argument);
  EXPECT_THROW(fd.read({}), std::system_error);
}

TEST_F(Signal_Face, SetsKnowWhatTheyHold) {
  const signal_set some{SIGINT, SIGTERM};
  EXPECT_TRUE(some.contains(SIGINT) && some.contains(SIGTERM));
  EXPECT_FALSE(some.contains(SIGHUP));
  EXPECT_TRUE(signal_set::all().contains(SIGHUP));
}

TEST_F(Signal_Face, TheGuardRestoresTheMask) {
  const auto blocked = [](int number) {
    sigset_t now;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
    return sigismember(&now, number) == 1;
  };
  ASSERT_FALSE(blocked(SIGHUP));
  {
    const blocked_signals more({SIGHUP});
    EXPECT_TRUE(blocked(SIGHUP) && blocked(SIGUSR1));
  }
  EXPECT_FALSE(blocked(SIGHUP));
  EXPECT_TRUE(blocked(SIGUSR1));
}

TEST_F(Signal_Face, MovesAndOpensWithoutThrowing) {
  std::error_code error;
  auto opened = signal_fd::open({SIGUSR1}, true, error);
  EXPECT_FALSE(error);
  ASSERT_TRUE(opened);
  fd = std::move(opened);
  EXPECT_FALSE(opened);  // NOLINT(bugprone-use-after-move): that is the question
  EXPECT_FALSE(fd.read_one().has_value());
}

}  // namespace
}  // namespace quay::test
