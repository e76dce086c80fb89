// SPDX-License-Identifier: BSD-2-Clause
//
// What: changing a timer that exists, and the limit on how many there may be.
// Contract: kqueue semantics, 5.7 (TIMER: re-ADD, invalid values, ENABLE without ADD, limit); rows
// 11, 24 and 26 of section 7; section 8 (kq_calloutmax).
#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::SizeIs;

constexpr intptr_t kHour = 3'600'000;

void pass(milliseconds duration) { std::this_thread::sleep_for(duration); }

class Kqueue_TimerAgain : public dialect_test {
 protected:
  static change timer(intptr_t period, unsigned flags = 0) {
    return add(1, EVFILT_TIMER, flags).data(period);
  }
  bool restarts() const { return is(QUAY_DIALECT_FREEBSD) || is(QUAY_DIALECT_OPENBSD); }
};

TEST_P(Kqueue_TimerAgain, AnUnreadExpirationIsDroppedOrKept) {
  ASSERT_THAT(alter(kq, {timer(1, EV_ONESHOT)}), Succeeds());
  ASSERT_TRUE(becomes_readable(kq));
  const outcome got = submit(kq, {timer(kHour, EV_ONESHOT).udata(2)});
  if (restarts()) {
    EXPECT_THAT(got, Succeeds()) << "dropped: the timer starts again";
    EXPECT_THAT(alter(kq, {remove(1, EVFILT_TIMER)}), Succeeds());
  } else {
    EXPECT_THAT(
        got,
        Returns(ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_ONESHOT).data(1).udata(2))));
  }
}

TEST_P(Kqueue_TimerAgain, ARunningTimerTakesAShorterPeriodAtOnceOrAtItsNextExpiry) {
  ASSERT_THAT(alter(kq, {timer(kHour)}), Succeeds());
  ASSERT_THAT(alter(kq, {timer(5)}), Succeeds());
  if (restarts()) {
    EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(1))));
  } else {
    pass(milliseconds(30));
    EXPECT_THAT(poll(kq), IsEmpty()) << "the running shot keeps its old expiry";
  }
}

TEST_P(Kqueue_TimerAgain, ARunningTimerTakesALongerPeriodAtOnceOrAtItsNextExpiry) {
  ASSERT_THAT(alter(kq, {timer(50)}), Succeeds());
  ASSERT_THAT(alter(kq, {timer(kHour)}), Succeeds());
  if (restarts()) {
    pass(milliseconds(80));
    EXPECT_THAT(poll(kq), IsEmpty());
  } else {
    EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(1)));
    pass(milliseconds(80));
    EXPECT_THAT(poll(kq), IsEmpty()) << "and goes on with the new period";
  }
}

TEST_P(Kqueue_TimerAgain, TheSamePeriodAgainStartsFromNowWhereItRestarts) {
  if (!restarts()) GTEST_SKIP() << "the running shot keeps its old expiry";
  ASSERT_THAT(alter(kq, {timer(60, EV_ONESHOT)}), Succeeds());
  pass(milliseconds(30));
  const auto start = steady_clock::now();
  ASSERT_THAT(alter(kq, {timer(60, EV_ONESHOT)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_ONESHOT).data(1)));
  EXPECT_GE(steady_clock::now() - start, milliseconds(60));
}

TEST_P(Kqueue_TimerAgain, TheUnitIsReplacedAndNotAddedTo) {
  if (!restarts()) GTEST_SKIP() << "the running shot keeps its old expiry";
  ASSERT_THAT(alter(kq, {timer(3600, EV_ONESHOT).fflags(NOTE_SECONDS)}), Succeeds());
  ASSERT_THAT(alter(kq, {timer(5000, EV_ONESHOT).fflags(NOTE_USECONDS)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_ONESHOT).data(1)));
}

// Whenever the change falls, before or after the expiry, there is one event, and not before the new
// time.
TEST_P(Kqueue_TimerAgain, AChangeAroundTheExpiryGivesOneEvent) {
  if (!restarts()) GTEST_SKIP() << "the running shot keeps its old expiry";
  for (int offset = 0; offset < 100; ++offset) {
    ASSERT_THAT(alter(kq, {timer(500, EV_ONESHOT).fflags(NOTE_USECONDS).udata(1)}), Succeeds());
    const auto change_at = steady_clock::now() + std::chrono::microseconds(450 + offset);
    while (steady_clock::now() < change_at) {
    }
    const auto start = steady_clock::now();
    ASSERT_THAT(alter(kq, {timer(1000, EV_ONESHOT).fflags(NOTE_USECONDS).udata(2)}), Succeeds());
    ASSERT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).any_flags().data(1).udata(2)))
        << offset;
    EXPECT_GE(steady_clock::now() - start, std::chrono::microseconds(1000)) << offset;
    ASSERT_THAT(poll(kq), IsEmpty());
  }
}

TEST_P(Kqueue_TimerAgain, UdataIsReplaced) {
  ASSERT_THAT(alter(kq, {timer(20, EV_ONESHOT).udata(1)}), Succeeds());
  ASSERT_THAT(alter(kq, {timer(20, EV_ONESHOT).udata(2)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).any_flags().udata(2)));
}

TEST_P(Kqueue_TimerAgain, TheKindOfTimerStays) {
  ASSERT_THAT(alter(kq, {timer(5)}), Succeeds());
  ASSERT_THAT(alter(kq, {timer(5, EV_ONESHOT)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(1))));
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(1))));
}

TEST_P(Kqueue_TimerAgain, ADisabledTimerStaysDisabled) {
  ASSERT_THAT(alter(kq, {timer(1, EV_DISABLE)}), Succeeds());
  ASSERT_THAT(alter(kq, {timer(1)}), Succeeds());
  pass(milliseconds(5));
  EXPECT_THAT(poll(kq), IsEmpty());
}

// Row 11 for timers: only DragonFly takes the data of a bare EV_ENABLE as the period.
TEST_P(Kqueue_TimerAgain, EnableAloneKeepsThePeriodOrTakesItsData) {
  ASSERT_THAT(alter(kq, {timer(20)}), Succeeds());
  ASSERT_THAT(alter(kq, {change(1, EVFILT_TIMER, EV_ENABLE).data(kHour)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(1))));
  if (is(QUAY_DIALECT_DRAGONFLY)) {
    pass(milliseconds(60));
    EXPECT_THAT(poll(kq), IsEmpty());
  } else {
    EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(1))));
  }
}

TEST_P(Kqueue_TimerAgain, EnableAloneDoesNotRestart) {
  ASSERT_THAT(alter(kq, {timer(5, EV_ONESHOT)}), Succeeds());
  ASSERT_TRUE(becomes_readable(kq));
  EXPECT_THAT(submit(kq, {change(1, EVFILT_TIMER, EV_ENABLE).data(5)}),
              Returns(ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_ONESHOT).data(1))));
}

QUAY_IN_ALL_DIALECTS(Kqueue_TimerAgain);

TEST(Kqueue_TimerBadValues, FreebsdReportsThemThroughTheNote) {
  const queue kq = make_queue();
  ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER).data(kHour)}), Succeeds());
  EXPECT_THAT(submit(kq, {add(1, EVFILT_TIMER).data(-1)}),
              Returns(ElementsAre(ErrorEntry(1, EVFILT_TIMER, EINVAL))))
      << "the call succeeds; the note carries EV_ERROR and the errno";
}

TEST(Kqueue_TimerBadValues, OpenbsdRefusesThemAndLeavesTheTimerAlone) {
  const queue kq = make_queue(QUAY_DIALECT_OPENBSD);
  ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).data(20)}), Succeeds());
  EXPECT_THAT(alter(kq, {add(1, EVFILT_TIMER).fflags(0x100).data(kHour)}), FailsWith(EINVAL));
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_ONESHOT).data(1)));
}

// The tunable counts all timers of the process; other tests' timers are gone with their queues.
class Kqueue_TimerLimit : public dialect_test {
 protected:
  void SetUp() override {
    before_ = quay_tunable_get("kq_calloutmax");
    ASSERT_GT(before_, 0);
    ASSERT_EQ(quay_tunable_set("kq_calloutmax", 10), 0);
    kq = make_queue(dialect());
  }
  void TearDown() override { EXPECT_EQ(quay_tunable_set("kq_calloutmax", before_), 0); }

  long before_ = -1;
};

// Row 26: NetBSD's comparison lets one fewer pass.
TEST_P(Kqueue_TimerLimit, OneTimerTooManyIsRefused) {
  const uintptr_t allowed = expected<uintptr_t>({10, 9, 10, 0});
  for (uintptr_t i = 0; i < allowed; ++i) {
    ASSERT_THAT(alter(kq, {add(i, EVFILT_TIMER).data(kHour)}), Succeeds()) << i;
  }
  EXPECT_THAT(alter(kq, {add(allowed, EVFILT_TIMER).data(kHour)}), FailsWith(ENOMEM));
  EXPECT_THAT(alter(kq, {add(0, EVFILT_TIMER).data(kHour)}), Succeeds())
      << "one that exists is no new one";
  ASSERT_THAT(alter(kq, {remove(0, EVFILT_TIMER)}), Succeeds());
  EXPECT_THAT(alter(kq, {add(allowed, EVFILT_TIMER).data(kHour)}), Succeeds())
      << "a removal makes room";
}

INSTANTIATE_TEST_SUITE_P(Dialect, Kqueue_TimerLimit,
                         testing::Values(QUAY_DIALECT_FREEBSD, QUAY_DIALECT_NETBSD,
                                         QUAY_DIALECT_DRAGONFLY),
                         name_of_parameter);

TEST(Kqueue_TimerLimitOpenbsd, TimersAndUserEventsShareOneLimit) {
  const queue kq = make_queue(QUAY_DIALECT_OPENBSD);
  for (uintptr_t i = 0; i < 512; ++i) {
    ASSERT_THAT(alter(kq, {add(i, EVFILT_TIMER).data(kHour), add(i, EVFILT_USER)}), Succeeds())
        << i;
  }
  EXPECT_THAT(alter(kq, {add(1000, EVFILT_TIMER).data(kHour)}), FailsWith(ENOMEM));
  EXPECT_THAT(alter(kq, {add(1000, EVFILT_USER)}), FailsWith(ENOMEM));
  ASSERT_THAT(alter(kq, {remove(0, EVFILT_USER)}), Succeeds());
  EXPECT_THAT(alter(kq, {add(1000, EVFILT_TIMER).data(kHour)}), Succeeds());
}

}  // namespace
}  // namespace quay::test
