// SPDX-License-Identifier: BSD-2-Clause
//
// What: a queue as the object of another queue's EVFILT_READ.
// Contract: kqueue semantics, 5.1 (READ: kqueue) and section 6 (nesting); row 35 of section 7.
#include <sys/resource.h>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::SizeIs;

class Kqueue_Nesting : public dialect_test {
 protected:
  auto outer_event(intptr_t count) const { return Event(inner, EVFILT_READ).data(count); }
  queue inner = make_queue(GetParam());
};

TEST_P(Kqueue_Nesting, AnEmptyQueueIsNotReady) {
  EXPECT_THAT(submit(kq, {add(inner, EVFILT_READ)}), Succeeds());
}

TEST_P(Kqueue_Nesting, FiresWhileTheInnerQueueHasEvents) {
  ASSERT_THAT(alter(kq, {add(inner, EVFILT_READ)}), Succeeds());
  ASSERT_THAT(alter(inner, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(outer_event(1)));
  EXPECT_THAT(poll(kq), ElementsAre(outer_event(1)));
  ASSERT_THAT(alter(inner, {remove(1, EVFILT_USER)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Nesting, DataIsTheNumberOfPendingEvents) {
  ASSERT_THAT(alter(kq, {add(inner, EVFILT_READ)}), Succeeds());
  for (uintptr_t i = 1; i <= 5; ++i) {
    ASSERT_THAT(alter(inner, {add(i, EVFILT_USER, EV_CLEAR), trigger(i)}), Succeeds());
    EXPECT_THAT(poll(kq), ElementsAre(outer_event(static_cast<intptr_t>(i))));
  }
  ASSERT_THAT(poll(inner, 2), SizeIs(2));
  EXPECT_THAT(poll(kq), ElementsAre(outer_event(3)));
  ASSERT_THAT(poll(inner), SizeIs(3));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Nesting, IsReportedWhenRegisteredLate) {
  ASSERT_THAT(alter(inner, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  EXPECT_THAT(submit(kq, {add(inner, EVFILT_READ)}), Returns(ElementsAre(outer_event(1))));
}

TEST_P(Kqueue_Nesting, DescriptorEventsPassThrough) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(inner, EVFILT_READ)}), Succeeds());
  ASSERT_THAT(alter(inner, {add(p.reader, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  put(p.writer, "x");
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(inner, EVFILT_READ).data(Ge(1)))));
  EXPECT_THAT(poll(inner), ElementsAre(Event(p.reader, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_Nesting, TimersPassThrough) {
  ASSERT_THAT(alter(kq, {add(inner, EVFILT_READ)}), Succeeds());
  ASSERT_THAT(alter(inner, {add(1, EVFILT_TIMER, EV_ONESHOT).data(2)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(outer_event(1)));
  EXPECT_THAT(poll(inner), SizeIs(1));
}

TEST_P(Kqueue_Nesting, AnEdgeComesForEveryArrival) {
  ASSERT_THAT(alter(kq, {add(inner, EVFILT_READ, EV_CLEAR)}), Succeeds());
  ASSERT_THAT(alter(inner, {add(1, EVFILT_USER, EV_CLEAR), add(2, EVFILT_USER, EV_CLEAR)}),
              Succeeds());
  ASSERT_THAT(alter(inner, {trigger(1)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(outer_event(1).flags(EV_CLEAR)));
  EXPECT_THAT(poll(kq), IsEmpty());
  ASSERT_THAT(alter(inner, {trigger(2)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(outer_event(2).flags(EV_CLEAR)));
}

TEST_P(Kqueue_Nesting, OneShotAndDispatchWorkOnQueues) {
  ASSERT_THAT(alter(inner, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  EXPECT_THAT(submit(kq, {add(inner, EVFILT_READ, EV_ONESHOT)}),
              Returns(ElementsAre(outer_event(1).flags(EV_ONESHOT))));
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {add(inner, EVFILT_READ, EV_DISPATCH)}),
              Returns(ElementsAre(outer_event(1).flags(EV_DISPATCH))));
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {enable(inner, EVFILT_READ)}),
              Returns(ElementsAre(outer_event(1).flags(EV_DISPATCH))));
}

TEST_P(Kqueue_Nesting, TwoQueuesMayWatchOne) {
  const queue other = make_queue(dialect());
  ASSERT_THAT(alter(kq, {add(inner, EVFILT_READ)}), Succeeds());
  ASSERT_THAT(alter(other, {add(inner, EVFILT_READ)}), Succeeds());
  ASSERT_THAT(alter(inner, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(outer_event(1)));
  EXPECT_THAT(poll(other), ElementsAre(outer_event(1)));
}

TEST_P(Kqueue_Nesting, QueuesOfOtherDialectsMayBeWatched) {
  const queue foreign = make_queue((dialect() + 1) % 4);
  ASSERT_THAT(alter(kq, {add(foreign, EVFILT_READ)}), Succeeds());
  ASSERT_THAT(alter(foreign, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(Event(foreign, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_Nesting, AChainOfThreePassesEventsOn) {
  const queue outermost = make_queue(dialect());
  ASSERT_THAT(alter(outermost, {add(kq, EVFILT_READ)}), Succeeds());
  ASSERT_THAT(alter(kq, {add(inner, EVFILT_READ)}), Succeeds());
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(inner, {add(p.reader, EVFILT_READ), add(1, EVFILT_USER, EV_CLEAR)}),
              Succeeds());
  put(p.writer, "x");
  EXPECT_THAT(await(outermost), ElementsAre(Event(kq, EVFILT_READ).data(1)));
  drain(p.reader);
  EXPECT_THAT(poll(inner), IsEmpty());
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(poll(outermost), IsEmpty()) << "each queue's count falls when it is scanned";
  waiter thread(outermost);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(inner, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(kq, EVFILT_READ).data(1))));
}

// Linux lets five epolls stand in each other; the systems know no such limit.
TEST_P(Kqueue_Nesting, ALongChainPassesEventsOn) {
  std::vector<queue> chain;
  for (int i = 0; i < 12; ++i) {
    chain.push_back(make_queue(dialect()));
    if (i > 0) {
      ASSERT_THAT(alter(chain[i], {add(chain[i - 1], EVFILT_READ)}), Succeeds()) << i;
    }
  }
  ASSERT_THAT(alter(chain[0], {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  waiter thread(chain.back());
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(chain[0], {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(chain[10], EVFILT_READ).data(1))));
}

TEST_P(Kqueue_Nesting, QueuesInLongChainsMayBeClosedInAnyOrder) {
  for (const bool innermost_first : {true, false}) {
    std::vector<queue> chain;
    for (int i = 0; i < 120; ++i) {
      chain.push_back(make_queue(dialect()));
      if (i > 0) {
        ASSERT_THAT(alter(chain[i], {add(chain[i - 1], EVFILT_READ)}), Succeeds()) << i;
      }
    }
    if (innermost_first) {
      for (queue& q : chain) q.close();
    } else {
      while (!chain.empty()) chain.pop_back();
    }
  }
}

TEST_P(Kqueue_Nesting, DeleteStopsTheWatching) {
  ASSERT_THAT(alter(kq, {add(inner, EVFILT_READ)}), Succeeds());
  ASSERT_THAT(alter(kq, {remove(inner, EVFILT_READ)}), Succeeds());
  ASSERT_THAT(alter(inner, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Nesting, ClosingTheInnerQueueEndsItsNote) {
  ASSERT_THAT(alter(inner, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  ASSERT_THAT(alter(kq, {add(inner, EVFILT_READ)}), Succeeds());
  inner.close();
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Nesting, ClosingTheOuterQueueLeavesTheInnerOneAlone) {
  ASSERT_THAT(alter(kq, {add(inner, EVFILT_READ)}), Succeeds());
  kq.close();
  EXPECT_THAT(submit(inner, {add(1, EVFILT_USER), trigger(1)}), Returns(SizeIs(1)));
}

// Row 35. NetBSD and DragonFly do not refuse it and then deadlock; what counts there is that
// nothing hangs.
TEST_P(Kqueue_Nesting, AQueueThatWatchesItself) {
  const outcome got = alter(kq, {add(kq, EVFILT_READ)});
  if (is(QUAY_DIALECT_FREEBSD)) {
    EXPECT_THAT(got, FailsWith(EINVAL));
  }
  if (is(QUAY_DIALECT_OPENBSD)) {
    EXPECT_THAT(got, Succeeds());
  }
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR), trigger(1)}), Succeeds());
  EXPECT_THAT(poll(kq), testing::Contains(Event(1, EVFILT_USER).flags(EV_CLEAR)));
}

TEST_P(Kqueue_Nesting, ACircleOfQueuesHangsNobody) {
  alter(kq, {add(inner, EVFILT_READ)});
  alter(inner, {add(kq, EVFILT_READ)});
  ASSERT_THAT(alter(inner, {add(1, EVFILT_USER, EV_CLEAR), trigger(1)}), Succeeds());
  EXPECT_THAT(poll(inner), testing::Contains(Event(1, EVFILT_USER).flags(EV_CLEAR)));
  poll(kq);
}

QUAY_IN_ALL_DIALECTS(Kqueue_Nesting);

TEST(Kqueue_NestingDeep, AnEventTravelsThroughFiveHundredQueues) {
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit wide{before.rlim_max, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &wide), 0);
  if (before.rlim_max < 4096) GTEST_SKIP() << "too few descriptors are allowed here";
  std::vector<queue> chain;
  for (int i = 0; i < 500; ++i) {
    chain.push_back(make_queue(QUAY_DIALECT_OPENBSD));
    if (i > 0) {
      ASSERT_THAT(alter(chain[i], {add(chain[i - 1], EVFILT_READ)}), Succeeds()) << i;
    }
  }
  ASSERT_THAT(alter(chain[0], {add(1, EVFILT_USER, EV_CLEAR), trigger(1)}), Succeeds());
  EXPECT_THAT(await(chain.back()), ElementsAre(Event(chain[498], EVFILT_READ).data(1)));
  chain.clear();
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace quay::test
