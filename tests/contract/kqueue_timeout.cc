// SPDX-License-Identifier: BSD-2-Clause
//
// What: how long kevent() waits, which timeouts are refused, and what a signal does to a wait.
// Contract: kqueue semantics, 2.3 (timeouts, EINTR); rows 8, 9 and 10 of section 7.
#include <limits.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <limits>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::ElementsAre;
using testing::IsEmpty;

class Kqueue_Timeout : public dialect_test {
 protected:
  outcome call(const changes& list, const timespec* timeout, int room = 4) {
    return detail::call(kq, list, room, timeout);
  }
  static change armed() { return add(1, EVFILT_USER, EV_CLEAR); }
};

TEST_P(Kqueue_Timeout, ZeroPolls) {
  const timespec zero{};
  EXPECT_THAT(call({}, &zero), Succeeds());
}

TEST_P(Kqueue_Timeout, AWaitWithoutEventsLastsAtLeastItsTime) {
  const auto start = steady_clock::now();
  EXPECT_THAT(submit_for(kq, {}, milliseconds(20)), Succeeds());
  EXPECT_GE(steady_clock::now() - start, milliseconds(20));
}

TEST_P(Kqueue_Timeout, ATinyWaitStillReturns) {
  EXPECT_THAT(submit_for(kq, {}, std::chrono::nanoseconds(1)), Succeeds());
}

TEST_P(Kqueue_Timeout, AWaitWithSomethingReadyDoesNotWait) {
  ASSERT_THAT(alter(kq, {armed(), trigger(1)}), Succeeds());
  EXPECT_THAT(submit_for(kq, {}, kPatience),
              Returns(ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR))));
}

TEST_P(Kqueue_Timeout, WithoutTimeoutItWaitsForAnEvent) {
  ASSERT_THAT(alter(kq, {armed()}), Succeeds());
  thread_in_call<outcome> thread([this] { return call({}, nullptr); });
  ASSERT_TRUE(thread.falls_asleep());
  EXPECT_FALSE(thread.returned());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR))));
}

// A note that loses its condition before the woken thread looks at it is no reason to return early.
TEST_P(Kqueue_Timeout, ADisabledNoteInTheQueueDoesNotEndTheWait) {
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), disable(p.reader, EVFILT_READ)}), Succeeds());
  const auto start = steady_clock::now();
  EXPECT_THAT(submit_for(kq, {}, milliseconds(20)), Succeeds());
  EXPECT_GE(steady_clock::now() - start, milliseconds(20));
}

TEST_P(Kqueue_Timeout, AStaleNoteInTheQueueDoesNotEndTheWait) {
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  drain(p.reader);
  const auto start = steady_clock::now();
  EXPECT_THAT(submit_for(kq, {}, milliseconds(20)), Succeeds());
  EXPECT_GE(steady_clock::now() - start, milliseconds(20));
}

// Row 8.
TEST_P(Kqueue_Timeout, ImpossibleTimesAreInvalidExceptInDragonfly) {
  for (const timespec& bad : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000},
                              timespec{0, LONG_MAX}, timespec{LONG_MIN, 0}}) {
    if (is(QUAY_DIALECT_DRAGONFLY)) {
      if (bad.tv_nsec > 1'000'000'000)
        continue;  // two thousand years of nanoseconds are honoured there
      EXPECT_THAT(call({}, &bad), Succeeds());
    } else {
      EXPECT_THAT(call({}, &bad), FailsWith(EINVAL)) << bad.tv_sec << " " << bad.tv_nsec;
    }
  }
}

TEST_P(Kqueue_Timeout, AnImpossibleTimeComesBeforeOrAfterTheChanges) {
  const timespec bad{-1, 0};
  const outcome got = call({armed()}, &bad);
  if (is(QUAY_DIALECT_DRAGONFLY)) {
    EXPECT_THAT(got, Succeeds());
  } else {
    EXPECT_THAT(got, FailsWith(EINVAL));
  }
  const bool applied = !is(QUAY_DIALECT_OPENBSD);
  if (applied) {
    EXPECT_THAT(alter(kq, {trigger(1)}), Succeeds());
  } else {
    EXPECT_THAT(alter(kq, {trigger(1)}), FailsWith(ENOENT));
  }
}

TEST_P(Kqueue_Timeout, WithoutAnEventlistAnImpossibleTimeIsIgnoredExceptInOpenbsd) {
  const timespec bad{-1, 0};
  const outcome got = call({armed()}, &bad, 0);
  if (is(QUAY_DIALECT_OPENBSD)) {
    EXPECT_THAT(got, FailsWith(EINVAL));
  } else {
    EXPECT_THAT(got, Succeeds());
  }
}

TEST_P(Kqueue_Timeout, AnImpossibleTimeLosesNoEvent) {
  ASSERT_THAT(alter(kq, {armed(), trigger(1)}), Succeeds());
  const timespec bad{0, 1'000'000'000};
  const outcome got = call({}, &bad);
  if (got.result < 0) {
    EXPECT_THAT(poll(kq), ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR)));
  } else {
    EXPECT_THAT(got, Returns(ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR))));
  }
}

// Row 9: none of the systems comes back at once.
TEST_P(Kqueue_Timeout, AHugeTimeIsALongWait) {
  constexpr int64_t kLongest = std::numeric_limits<time_t>::max();
  for (const int64_t wanted :
       {kLongest, int64_t{INT32_MAX} + 1, int64_t{INT32_MAX}, int64_t{100 * 365} * 86400}) {
    const auto seconds = static_cast<time_t>(std::min(wanted, kLongest));
    ASSERT_THAT(alter(kq, {armed()}), Succeeds());
    thread_in_call<outcome> thread([this, seconds] {
      const timespec huge{seconds, 999'999'999};
      return call({}, &huge);
    });
    ASSERT_TRUE(thread.falls_asleep());
    EXPECT_FALSE(thread.returned()) << seconds;
    ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
    EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR))));
  }
}

void no_action(int) {}

class Kqueue_Signals : public dialect_test {
 protected:
  void SetUp() override {
    struct sigaction action {};
    action.sa_handler = no_action;
    action.sa_flags = SA_RESTART;
    ASSERT_EQ(::sigaction(SIGUSR2, &action, &before_), 0);
  }
  void TearDown() override { ::sigaction(SIGUSR2, &before_, nullptr); }

  struct sigaction before_ {};
};

TEST_P(Kqueue_Signals, ASignalEndsTheWaitWithEintrEvenIfItRestartsCalls) {
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_EQ(::pthread_kill(thread.handle(), SIGUSR2), 0);
  EXPECT_THAT(thread.result(), FailsWith(EINTR));
}

TEST_P(Kqueue_Signals, ChangesOfAnInterruptedCallStayApplied) {
  thread_in_call<outcome> thread(
      [this] { return submit_for(kq, {add(1, EVFILT_USER, EV_CLEAR).udata(3)}, kPatience); });
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_EQ(::pthread_kill(thread.handle(), SIGUSR2), 0);
  EXPECT_THAT(thread.result(), FailsWith(EINTR));
  EXPECT_THAT(alter(kq, {trigger(1)}), Succeeds());
}

TEST_P(Kqueue_Signals, AnotherThreadsSignalIsNotOurs) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_EQ(::pthread_kill(::pthread_self(), SIGUSR2), 0);
  EXPECT_TRUE(thread.falls_asleep());
  EXPECT_FALSE(thread.returned());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(testing::SizeIs(1)));
}

TEST_P(Kqueue_Signals, OneOfSeveralWaitersIsInterruptedAlone) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  waiter first(kq);
  ASSERT_TRUE(first.falls_asleep());
  waiter second(kq);
  ASSERT_TRUE(second.falls_asleep());
  ASSERT_EQ(::pthread_kill(first.handle(), SIGUSR2), 0);
  EXPECT_THAT(first.result(), FailsWith(EINTR));
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(second.result(), Returns(testing::SizeIs(1))) << "the queue is still looked after";
}

TEST_P(Kqueue_Signals, TheSecondOfSeveralWaitersCanBeInterruptedToo) {
  waiter first(kq);
  ASSERT_TRUE(first.falls_asleep());
  waiter second(kq);
  ASSERT_TRUE(second.falls_asleep());
  ASSERT_EQ(::pthread_kill(second.handle(), SIGUSR2), 0);
  EXPECT_THAT(second.result(), FailsWith(EINTR));
  EXPECT_FALSE(first.returned());
  ASSERT_EQ(::pthread_kill(first.handle(), SIGUSR2), 0);
  EXPECT_THAT(first.result(), FailsWith(EINTR));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Timeout);

// Row 10: which of two mistakes is seen first. What is no queue has no dialect; the default's order
// holds.
TEST(Kqueue_TimeoutPointer, IsReadBeforeTheQueueIsLookedUp) {
  struct kevent room;
  const auto* const nowhere = reinterpret_cast<const timespec*>(1);
  errno = 0;
  EXPECT_EQ(::kevent(1000000, nullptr, 0, &room, 1, nowhere), -1);
  EXPECT_EQ(errno, EFAULT);
}
QUAY_IN_ALL_DIALECTS(Kqueue_Signals);

}  // namespace
}  // namespace quay::test
