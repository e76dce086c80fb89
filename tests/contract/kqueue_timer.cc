// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_TIMER: expirations and their count, one-shot and periodic, units, absolute times.
// Contract: kqueue semantics, 5.7 (TIMER); rows 25 and 27 of section 7. Time is asserted in one
// direction only: never early. How late a loaded machine is, is not the library's promise.
#include <chrono>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::Le;
using testing::SizeIs;

constexpr intptr_t kHour = 3'600'000;

// Lets real time go by: the only thing a timer can be asked about.
void pass(milliseconds duration) { std::this_thread::sleep_for(duration); }

intptr_t periods_since(steady_clock::time_point start, milliseconds period) {
  return static_cast<intptr_t>((steady_clock::now() - start) / period);
}

class Kqueue_Timer : public dialect_test {
 protected:
  static change timer(uintptr_t ident, intptr_t period, unsigned flags = 0) {
    return add(ident, EVFILT_TIMER, flags).data(period);
  }
};

TEST_P(Kqueue_Timer, FiresAfterItsPeriodAndIsClearedByItself) {
  const auto start = steady_clock::now();
  ASSERT_THAT(submit(kq, {timer(1, 20).udata(9)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(1)).udata(9)));
  EXPECT_GE(steady_clock::now() - start, milliseconds(20));
}

TEST_P(Kqueue_Timer, AOneShotFiresOnceAndIsGone) {
  ASSERT_THAT(alter(kq, {timer(1, 5, EV_ONESHOT)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_ONESHOT).data(1)));
  EXPECT_THAT(alter(kq, {remove(1, EVFILT_TIMER)}), FailsWith(ENOENT));
  pass(milliseconds(20));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Timer, AOneShotNobodyLooksAtCountsOnlyOnce) {
  ASSERT_THAT(alter(kq, {timer(1, 2, EV_ONESHOT)}), Succeeds());
  pass(milliseconds(30));
  EXPECT_THAT(poll(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_ONESHOT).data(1)));
}

TEST_P(Kqueue_Timer, APeriodicTimerGoesOn) {
  const auto start = steady_clock::now();
  ASSERT_THAT(alter(kq, {timer(1, 5)}), Succeeds());
  intptr_t expirations = 0;
  for (int i = 0; i < 6; ++i) {
    const events got = await(kq);
    ASSERT_THAT(got, ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(1))));
    expirations += got[0].data;
    EXPECT_LE(expirations, periods_since(start, milliseconds(5))) << "none is early";
  }
}

TEST_P(Kqueue_Timer, DataCountsTheExpirationsSinceTheLastLook) {
  const auto start = steady_clock::now();
  ASSERT_THAT(submit(kq, {timer(1, 10)}), Succeeds());
  pass(milliseconds(105));
  const events got = poll(kq);
  const intptr_t most = periods_since(start, milliseconds(10));
  EXPECT_THAT(got,
              ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(AllOf(Ge(8), Le(most)))));
}

TEST_P(Kqueue_Timer, TheCountStartsAgainAfterDelivery) {
  ASSERT_THAT(submit(kq, {timer(1, 100)}), Succeeds());
  pass(milliseconds(350));
  const events first = poll(kq);
  ASSERT_THAT(first, ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(3))));
  const auto after = steady_clock::now();
  const events second = await(kq);
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_LE(second[0].data, periods_since(after, milliseconds(100)) + 1);
}

TEST_P(Kqueue_Timer, DeleteStopsIt) {
  ASSERT_THAT(submit(kq, {timer(1, 5), remove(1, EVFILT_TIMER)}), Succeeds());
  pass(milliseconds(20));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Timer, DeleteTakesAPendingExpirationAlong) {
  ASSERT_THAT(alter(kq, {timer(1, 1)}), Succeeds());
  ASSERT_TRUE(becomes_readable(kq));
  EXPECT_THAT(submit(kq, {remove(1, EVFILT_TIMER)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Timer, ADisabledTimerKeepsRunningAndCounting) {
  ASSERT_THAT(alter(kq, {timer(1, 5, EV_DISABLE)}), Succeeds());
  pass(milliseconds(55));
  ASSERT_THAT(poll(kq), IsEmpty());
  // The same data again: DragonFly takes it as the period.
  EXPECT_THAT(submit(kq, {change(1, EVFILT_TIMER, EV_ENABLE).data(5)}),
              Returns(ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(8)))));
}

TEST_P(Kqueue_Timer, DisableDropsAPendingExpiration) {
  ASSERT_THAT(alter(kq, {timer(1, 1)}), Succeeds());
  ASSERT_TRUE(becomes_readable(kq));
  EXPECT_THAT(submit(kq, {change(1, EVFILT_TIMER, EV_DISABLE).data(kHour)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Timer, DispatchDisablesAfterTheExpiration) {
  if (is(QUAY_DIALECT_NETBSD))
    GTEST_SKIP() << "EV_CLEAR, which every timer has, wins over EV_DISPATCH";
  ASSERT_THAT(alter(kq, {timer(1, 1, EV_DISPATCH)}), Succeeds());
  ASSERT_THAT(await(kq),
              ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_DISPATCH).data(Ge(1))));
  pass(milliseconds(5));
  EXPECT_THAT(poll(kq), IsEmpty());
  ASSERT_THAT(alter(kq, {change(1, EVFILT_TIMER, EV_ENABLE).data(1)}), Succeeds());
  EXPECT_THAT(await(kq),
              ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_DISPATCH).data(Ge(1))));
}

TEST_P(Kqueue_Timer, IdentifiersAreTheProgramsOwn) {
  const uintptr_t a = UINTPTR_MAX;
  const uintptr_t b = reinterpret_cast<uintptr_t>(this);
  ASSERT_THAT(alter(kq, {timer(a, kHour), timer(b, kHour), timer(0, kHour)}), Succeeds());
  EXPECT_THAT(
      alter(kq, {remove(0, EVFILT_TIMER), remove(b, EVFILT_TIMER), remove(a, EVFILT_TIMER)}),
      Succeeds());
  EXPECT_THAT(alter(kq, {remove(a, EVFILT_TIMER)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Timer, TimersOfTwoQueuesAreApart) {
  const queue other = make_queue(dialect());
  ASSERT_THAT(alter(kq, {timer(1, 1, EV_ONESHOT)}), Succeeds());
  ASSERT_THAT(alter(other, {timer(1, kHour)}), Succeeds());
  EXPECT_THAT(await(kq), SizeIs(1));
  EXPECT_THAT(poll(other), IsEmpty());
  EXPECT_THAT(alter(other, {remove(1, EVFILT_TIMER)}), Succeeds());
}

TEST_P(Kqueue_Timer, TimersThatAreDueTogetherComeInTheOrderOfTheirDeadlines) {
  ASSERT_THAT(
      alter(kq, {timer(1, 30, EV_ONESHOT), timer(2, 10, EV_ONESHOT), timer(3, 20, EV_ONESHOT)}),
      Succeeds());
  pass(milliseconds(40));
  EXPECT_THAT(poll(kq),
              ElementsAre(Event(2, EVFILT_TIMER).any_flags(), Event(3, EVFILT_TIMER).any_flags(),
                          Event(1, EVFILT_TIMER).any_flags()));
}

TEST_P(Kqueue_Timer, ALaterTimerDoesNotHoldUpAnEarlierOne) {
  ASSERT_THAT(alter(kq, {timer(1, kHour), timer(2, 5, EV_ONESHOT)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(2, EVFILT_TIMER).any_flags()));
}

TEST_P(Kqueue_Timer, ATimerSetByAnotherThreadWakesAWaiter) {
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {timer(1, 5, EV_ONESHOT)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(1, EVFILT_TIMER).any_flags())));
}

TEST_P(Kqueue_Timer, AnEarlierTimerSetByAnotherThreadCutsTheSleepShort) {
  ASSERT_THAT(alter(kq, {timer(1, kHour)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {timer(2, 5, EV_ONESHOT)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(2, EVFILT_TIMER).any_flags())));
}

TEST_P(Kqueue_Timer, AHugePeriodNeverFiresAndDoesNotOverflow) {
  for (const intptr_t period :
       {INTPTR_MAX, INTPTR_MAX / 2, intptr_t{1} << (sizeof(intptr_t) * 5)}) {
    ASSERT_THAT(submit(kq, {timer(1, period)}), Succeeds()) << period;
    EXPECT_THAT(poll(kq), IsEmpty()) << period;
    ASSERT_THAT(alter(kq, {remove(1, EVFILT_TIMER)}), Succeeds());
  }
}

TEST_P(Kqueue_Timer, ManyTimersAllFire) {
  changes list;
  constexpr uintptr_t kTimers = 1000;  // OpenBSD allows 1024
  for (uintptr_t i = 0; i < kTimers; ++i)
    list.push_back(timer(i, 1 + static_cast<intptr_t>(i % 20), EV_ONESHOT));
  ASSERT_THAT(alter(kq, list), Succeeds());
  std::vector<int> seen(kTimers);
  for (size_t n = 0; n < kTimers;) {
    const events got = await(kq, 64);
    ASSERT_FALSE(got.empty()) << "after " << n;
    for (const struct kevent& e : got) ++seen.at(e.ident);
    n += got.size();
  }
  EXPECT_THAT(seen, testing::Each(1));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Timer, AddAndDeleteInQuickSuccessionLeaveNothingBehind) {
  for (int i = 0; i < 2000; ++i)
    ASSERT_THAT(alter(kq, {timer(1, 1), remove(1, EVFILT_TIMER)}), Succeeds());
  pass(milliseconds(5));
  EXPECT_THAT(poll(kq), IsEmpty());
}

QUAY_IN_ALL_DIALECTS(Kqueue_Timer);

// Row 27: DragonFly knows milliseconds only and ignores fflags.
class Kqueue_TimerUnits : public dialect_test {};

TEST_P(Kqueue_TimerUnits, AreNeverEarly) {
  struct unit {
    unsigned fflags;
    intptr_t data;
    std::chrono::nanoseconds period;
  };
  for (const unit& u :
       {unit{NOTE_MSECONDS, 10, milliseconds(10)}, unit{NOTE_USECONDS, 10'000, milliseconds(10)},
        unit{NOTE_NSECONDS, 10'000'000, milliseconds(10)}, unit{0, 10, milliseconds(10)},
        unit{NOTE_SECONDS, 1, std::chrono::seconds(1)}}) {
    const auto start = steady_clock::now();
    ASSERT_THAT(submit(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).fflags(u.fflags).data(u.data)}),
                Succeeds());
    EXPECT_THAT(await(kq),
                ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_ONESHOT).data(1).fflags(0)))
        << "units are not echoed";
    EXPECT_GE(steady_clock::now() - start, u.period) << u.fflags;
  }
}

TEST_P(Kqueue_TimerUnits, ShortPeriodsCountManyExpirations) {
  ASSERT_THAT(submit(kq, {add(1, EVFILT_TIMER).fflags(NOTE_USECONDS).data(500)}), Succeeds());
  pass(milliseconds(20));
  EXPECT_THAT(poll(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(20))));
}

INSTANTIATE_TEST_SUITE_P(Dialect, Kqueue_TimerUnits,
                         testing::Values(QUAY_DIALECT_FREEBSD, QUAY_DIALECT_NETBSD,
                                         QUAY_DIALECT_OPENBSD),
                         name_of_parameter);

class Kqueue_TimerBits : public dialect_test {};

TEST_P(Kqueue_TimerBits, UnknownOnesAreInvalid) {
  for (const unsigned bit : {0x20u, 0x100u, 0x10000u, 0x80000000u}) {
    EXPECT_THAT(alter(kq, {add(1, EVFILT_TIMER).fflags(bit).data(100)}), FailsWith(EINVAL)) << bit;
  }
  EXPECT_THAT(alter(kq, {remove(1, EVFILT_TIMER)}), FailsWith(ENOENT));
}

INSTANTIATE_TEST_SUITE_P(Dialect, Kqueue_TimerBits,
                         testing::Values(QUAY_DIALECT_FREEBSD, QUAY_DIALECT_OPENBSD),
                         name_of_parameter);

TEST(Kqueue_TimerDragonfly, FflagsAreIgnoredAndDataIsMilliseconds) {
  const queue kq = make_queue(QUAY_DIALECT_DRAGONFLY);
  const auto start = steady_clock::now();
  ASSERT_THAT(submit(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).fflags(NOTE_NSECONDS).data(20)}),
              Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_ONESHOT).data(1)));
  EXPECT_GE(steady_clock::now() - start, milliseconds(20));
  EXPECT_THAT(alter(kq, {add(1, EVFILT_TIMER).fflags(0x10000).data(kHour)}), Succeeds());
}

class Kqueue_TimerAbsolute : public dialect_test {
 protected:
  void SetUp() override {
    dialect_test::SetUp();
    if (sizeof(intptr_t) < 8) GTEST_SKIP() << "the classic data has no room for microseconds";
  }
  static intptr_t wall_clock(std::chrono::microseconds from_now = {}) {
    const auto at = std::chrono::system_clock::now() + from_now;
    return static_cast<intptr_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count());
  }
  static change deadline(intptr_t microseconds, unsigned flags = 0) {
    return add(1, EVFILT_TIMER, flags).fflags(NOTE_ABSTIME | NOTE_USECONDS).data(microseconds);
  }
};

TEST_P(Kqueue_TimerAbsolute, FiresOnceAndNotBeforeItsTime) {
  const intptr_t due = wall_clock(milliseconds(20));
  ASSERT_THAT(submit(kq, {deadline(due, EV_ONESHOT)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_ONESHOT).data(1).fflags(0)))
      << "and it is not cleared by itself";
  EXPECT_GE(wall_clock(), due);
  EXPECT_THAT(alter(kq, {remove(1, EVFILT_TIMER)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_TimerAbsolute, StaysActiveWithoutClear) {
  ASSERT_THAT(alter(kq, {deadline(wall_clock(milliseconds(5)))}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).data(1)));
  EXPECT_THAT(poll(kq), ElementsAre(Event(1, EVFILT_TIMER).data(1)));
  EXPECT_THAT(submit(kq, {remove(1, EVFILT_TIMER)}), Succeeds());
}

TEST_P(Kqueue_TimerAbsolute, APastTimeFiresAtOnce) {
  for (const intptr_t past : {intptr_t{0}, intptr_t{1}, wall_clock(-std::chrono::seconds(100))}) {
    ASSERT_THAT(alter(kq, {deadline(past, EV_ONESHOT)}), Succeeds());
    EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_ONESHOT).data(1))) << past;
  }
}

TEST_P(Kqueue_TimerAbsolute, AWholeSecondHasComeForTimeAsWell) {
  const time_t due = time(nullptr) + 1;
  ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER, EV_ONESHOT)
                             .fflags(NOTE_ABSTIME | NOTE_SECONDS)
                             .data(static_cast<intptr_t>(due))}),
              Succeeds());
  EXPECT_THAT(await(kq), SizeIs(1));
  EXPECT_GE(time(nullptr), due);
}

TEST_P(Kqueue_TimerAbsolute, AddAgainMovesTheDeadline) {
  if (is(QUAY_DIALECT_NETBSD)) GTEST_SKIP() << "a running timer keeps its expiry";
  ASSERT_THAT(alter(kq, {deadline(wall_clock(std::chrono::hours(1)), EV_ONESHOT)}), Succeeds());
  const intptr_t due = wall_clock(milliseconds(10));
  ASSERT_THAT(alter(kq, {deadline(due, EV_ONESHOT)}), Succeeds());
  EXPECT_THAT(await(kq), SizeIs(1));
  EXPECT_GE(wall_clock(), due);
}

INSTANTIATE_TEST_SUITE_P(Dialect, Kqueue_TimerAbsolute,
                         testing::Values(QUAY_DIALECT_FREEBSD, QUAY_DIALECT_NETBSD,
                                         QUAY_DIALECT_OPENBSD),
                         name_of_parameter);

// Row 25.
class Kqueue_TimerPeriods : public dialect_test {};

TEST_P(Kqueue_TimerPeriods, ZeroIsTheShortestPeriodOrRefused) {
  const outcome got = alter(kq, {add(1, EVFILT_TIMER).data(0)});
  if (is(QUAY_DIALECT_NETBSD)) {
    EXPECT_THAT(got, FailsWith(EINVAL));
    EXPECT_THAT(alter(kq, {remove(1, EVFILT_TIMER)}), FailsWith(ENOENT));
    return;
  }
  EXPECT_THAT(got, Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(1))));
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR).data(Ge(1))))
      << "it is periodic";
}

TEST_P(Kqueue_TimerPeriods, AZeroOneShotFiresNow) {
  if (is(QUAY_DIALECT_NETBSD)) GTEST_SKIP() << "refuses a period of zero";
  ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).data(0)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(1, EVFILT_TIMER).flags(EV_CLEAR | EV_ONESHOT).data(1)));
}

TEST_P(Kqueue_TimerPeriods, ANegativePeriodIsInvalidInFreebsdAndHarmlessElsewhere) {
  const outcome got = alter(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).data(-5)});
  if (is(QUAY_DIALECT_FREEBSD)) {
    EXPECT_THAT(got, FailsWith(EINVAL));
    return;
  }
  EXPECT_THAT(got, Succeeds());
  EXPECT_THAT(alter(kq, {add(2, EVFILT_TIMER, EV_ONESHOT).data(INTPTR_MIN)}), Succeeds());
}

QUAY_IN_ALL_DIALECTS(Kqueue_TimerPeriods);

}  // namespace
}  // namespace quay::test
