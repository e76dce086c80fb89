// SPDX-License-Identifier: BSD-2-Clause
//
// What: which of the ready events a call returns, in which order, and what becomes of the rest.
// Contract: kqueue semantics, 4.1, 4.2 (scan), 4.4 (guarantees), 2.3 (nevents 0).
#include <algorithm>
#include <map>

#include "support/dialects.hpp"
#include "support/matchers.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class Kqueue_Scan : public dialect_test {
 protected:
  // `count` pipes with one byte each, all watched with `flags`.
  void make_ready(size_t count, unsigned flags = 0) {
    changes list;
    for (size_t i = 0; i < count; ++i) {
      pipes_.push_back(make_pipe());
      put(pipes_.back().writer, "x");
      list.push_back(add(pipes_.back().reader, EVFILT_READ, flags));
    }
    ASSERT_THAT(alter(kq, list), Succeeds());
  }

  std::vector<pipe_ends> pipes_;
};

TEST_P(Kqueue_Scan, ANoteComesAtMostOncePerCall) {
  make_ready(3);
  for (int i = 0; i < 5; ++i) EXPECT_THAT(poll(kq, 16), SizeIs(3));
}

// What is reported of disabled notes takes the place of others: the kernel is asked again, and reports levels again.
TEST_P(Kqueue_Scan, ANoteComesAtMostOncePerCallAmongDisabledOnes) {
  make_ready(8);
  for (int room = 1; room <= 8; ++room) {
    for (size_t i = 1; i < pipes_.size(); i += 2) {
      const auto fd = static_cast<uintptr_t>(pipes_[i].reader);
      ASSERT_THAT(alter(kq, {enable(fd, EVFILT_READ), disable(fd, EVFILT_READ)}), Succeeds());
    }
    std::map<uintptr_t, int> seen;
    for (const struct kevent& e : poll(kq, static_cast<size_t>(room))) ++seen[e.ident];
    EXPECT_THAT(seen, SizeIs(std::min(room, 4)));
    for (const auto& [ident, times] : seen) EXPECT_EQ(times, 1) << ident << " of " << room;
  }
}

TEST_P(Kqueue_Scan, OneCallReturnsAsManyAsThereIsRoomFor) {
  make_ready(100);
  EXPECT_THAT(poll(kq, 100), SizeIs(100));
  EXPECT_THAT(poll(kq, 99), SizeIs(99));
  EXPECT_THAT(poll(kq, 200), SizeIs(100));
}

TEST_P(Kqueue_Scan, LevelNotesTakeTurnsWhenThereIsLittleRoom) {
  make_ready(12);
  std::map<uintptr_t, int> seen;
  for (int i = 0; i < 8; ++i) {
    for (const struct kevent& e : poll(kq, 3)) ++seen[e.ident];
  }
  EXPECT_THAT(seen, SizeIs(12));
  for (const auto& [ident, times] : seen) EXPECT_EQ(times, 2) << ident;
}

TEST_P(Kqueue_Scan, EdgesThatFindNoRoomWaitForTheNextCall) {
  make_ready(10, EV_CLEAR);
  std::map<uintptr_t, int> seen;
  for (int i = 0; i < 5; ++i) {
    const events got = poll(kq, 2);
    EXPECT_THAT(got, SizeIs(2));
    for (const struct kevent& e : got) ++seen[e.ident];
  }
  EXPECT_THAT(seen, SizeIs(10));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Scan, OneShotsThatFindNoRoomWaitForTheNextCall) {
  make_ready(10, EV_ONESHOT);
  std::map<uintptr_t, int> seen;
  for (int i = 0; i < 10; ++i) {
    for (const struct kevent& e : poll(kq, 1)) ++seen[e.ident];
  }
  EXPECT_THAT(seen, SizeIs(10));
  EXPECT_THAT(poll(kq), IsEmpty());
}

// Two filters on one descriptor arrive in one report of the kernel.
TEST_P(Kqueue_Scan, WithRoomForOneNeitherFilterOfADescriptorIsLost) {
  for (const unsigned flags :
       {0u, static_cast<unsigned>(EV_CLEAR), static_cast<unsigned>(EV_ONESHOT),
        static_cast<unsigned>(EV_DISPATCH)}) {
    const socket_pair s = make_socketpair();
    put(s.there, "x");
    ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ, flags), add(s.here, EVFILT_WRITE, flags)}),
                Succeeds());
    const events first = poll(kq, 1);
    const events second = poll(kq, 1);
    ASSERT_THAT(first, SizeIs(1)) << flags;
    ASSERT_THAT(second, SizeIs(1)) << flags;
    EXPECT_NE(first[0].filter, second[0].filter) << flags;
  }
}

TEST_P(Kqueue_Scan, ThreeKindsOfEventsShareTheRoomWithoutLoss) {
  make_ready(20, EV_CLEAR);
  changes list;
  for (uintptr_t i = 0; i < 20; ++i) {
    list.push_back(add(i, EVFILT_TIMER, EV_ONESHOT).data(1));
    list.push_back(add(i, EVFILT_USER, EV_CLEAR));
    list.push_back(trigger(i));
  }
  ASSERT_THAT(alter(kq, list), Succeeds());
  std::map<int, int> seen;
  for (int n = 0; n < 60;) {
    const events got = await(kq, 7);
    ASSERT_FALSE(got.empty()) << "after " << n;
    n += static_cast<int>(got.size());
    for (const struct kevent& e : got) ++seen[e.filter];
  }
  EXPECT_EQ(seen[EVFILT_READ], 20);
  EXPECT_EQ(seen[EVFILT_TIMER], 20);
  EXPECT_EQ(seen[EVFILT_USER], 20);
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Scan, ANoteThatIsNoLongerTrueTakesNoRoom) {
  make_ready(4);
  drain(pipes_[0].reader);
  drain(pipes_[2].reader);
  EXPECT_THAT(poll(kq, 2),
              testing::UnorderedElementsAre(Event(pipes_[1].reader, EVFILT_READ).data(1),
                                            Event(pipes_[3].reader, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_Scan, WithoutAnEventlistNothingIsTakenAndNothingWaitedFor) {
  make_ready(1, EV_CLEAR);
  EXPECT_THAT(alter(kq, {}), Succeeds());
  const timespec never_used{1'000'000, 0};
  EXPECT_EQ(::kevent(kq, nullptr, 0, nullptr, 0, &never_used), 0);
  struct kevent unused;
  EXPECT_EQ(::kevent(kq, nullptr, 0, &unused, 0, nullptr), 0) << "not even for ever";
  EXPECT_THAT(poll(kq), SizeIs(1));
}

TEST_P(Kqueue_Scan, OnlyTheSlotsOfReturnedEventsAreWritten) {
  make_ready(2);
  std::vector<struct kevent> list(5);
  for (struct kevent& e : list) e.data = 4711;
  const timespec zero{};
  ASSERT_EQ(::kevent(kq, nullptr, 0, list.data(), 4, &zero), 2);
  for (size_t i = 2; i < 5; ++i) EXPECT_EQ(list[i].data, 4711) << i;
}

TEST_P(Kqueue_Scan, ReadyObjectsAreFoundAmongManyIdleOnes) {
  std::vector<pipe_ends> idle;
  changes list;
  for (int i = 0; i < 300; ++i) {
    idle.push_back(make_pipe());
    list.push_back(add(idle.back().reader, EVFILT_READ));
  }
  ASSERT_THAT(alter(kq, list), Succeeds());
  for (const size_t i : {0u, 150u, 299u}) put(idle[i].writer, "x");
  EXPECT_THAT(poll(kq),
              testing::UnorderedElementsAre(Event(idle[0].reader, EVFILT_READ).data(1),
                                            Event(idle[150].reader, EVFILT_READ).data(1),
                                            Event(idle[299].reader, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_Scan, AClosedQueueIsNoQueueAnyMore) {
  make_ready(1);
  const int number = kq;
  kq.close();
  EXPECT_THAT(submit(number, {}), FailsWith(EBADF));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Scan);

}  // namespace
}  // namespace quay::test
