// SPDX-License-Identifier: BSD-2-Clause
//
// What: which mistake gives which errno, and that a mistake changes nothing else.
// Contract: kqueue semantics, 2.1 (order of work), 3.1 (preliminary checks), 5.13 (attach
// refusals), table of errno.
#include <fcntl.h>
#include <limits.h>
#include <sys/epoll.h>

#include "support/dialects.hpp"
#include "support/matchers.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A number that no test ever has open.
constexpr int kNeverOpen = 1000000;

class Kqueue_Errors : public dialect_test {
 protected:
  // A note that is ready for ever: whether the queue still works is seen by it.
  void SetUp() override {
    put(sentinel_.writer, "x");
    ASSERT_THAT(alter(kq, {add(sentinel_.reader, EVFILT_READ)}), Succeeds());
  }
  auto only_the_sentinel() const {
    return ElementsAre(Event(sentinel_.reader, EVFILT_READ).data(1));
  }

  pipe_ends sentinel_ = make_pipe();
};

TEST_P(Kqueue_Errors, ClosedDescriptorIsNoQueue) {
  EXPECT_THAT(submit(kNeverOpen, {}), FailsWith(EBADF));
  EXPECT_THAT(submit(-1, {}), FailsWith(EBADF));
  EXPECT_THAT(submit(INT_MAX, {}), FailsWith(EBADF));
  EXPECT_THAT(submit(INT_MIN, {}), FailsWith(EBADF));
}

TEST_P(Kqueue_Errors, OtherObjectsAreNoQueue) {
  EXPECT_THAT(submit(sentinel_.reader, {}), FailsWith(EBADF));
  EXPECT_THAT(submit(make_eventfd(), {}), FailsWith(EBADF));
  EXPECT_THAT(submit(make_socketpair().here, {}), FailsWith(EBADF));
}

TEST_P(Kqueue_Errors, AnEpollDescriptorIsNoQueue) {
  const unique_fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  EXPECT_THAT(submit(epoll, {}), FailsWith(EBADF));
  EXPECT_THAT(alter(epoll, {add(1, EVFILT_TIMER).data(1000)}), FailsWith(EBADF));
}

TEST_P(Kqueue_Errors, ChangesForNoQueueAreRefusedAsAWhole) {
  EXPECT_THAT(alter(kNeverOpen, {add(sentinel_.reader, EVFILT_READ)}), FailsWith(EBADF));
  EXPECT_THAT(submit(sentinel_.reader, {add(sentinel_.reader, EVFILT_READ)}), FailsWith(EBADF));
}

TEST_P(Kqueue_Errors, UnknownFiltersAreInvalid) {
  for (const int filter : {1, 14, 99, 1000, SHRT_MAX, -40, -99, -1000, SHRT_MIN}) {
    EXPECT_THAT(alter(kq, {change(sentinel_.reader, filter, EV_ADD)}), FailsWith(EINVAL)) << filter;
    EXPECT_THAT(alter(kq, {change(sentinel_.reader, filter, EV_DELETE)}), FailsWith(EINVAL))
        << filter;
    EXPECT_THAT(alter(kq, {change(kNeverOpen, filter, EV_ADD)}), FailsWith(EINVAL)) << filter;
  }
  EXPECT_THAT(poll(kq), only_the_sentinel());
}

TEST_P(Kqueue_Errors, AFilterOnADescriptorThatIsNotOpenIsEbadf) {
  for (const int filter : {EVFILT_READ, EVFILT_WRITE}) {
    for (const unsigned flags : {EV_ADD, EV_DELETE, EV_ENABLE, EV_DISABLE, 0}) {
      EXPECT_THAT(alter(kq, {change(kNeverOpen, filter, flags)}), FailsWith(EBADF))
          << filter << " " << flags;
      EXPECT_THAT(alter(kq, {change(static_cast<uintptr_t>(-1), filter, flags)}), FailsWith(EBADF));
      EXPECT_THAT(alter(kq, {change(INT_MAX, filter, flags)}), FailsWith(EBADF));
    }
  }
  EXPECT_THAT(poll(kq), only_the_sentinel());
}

// Programs tell the two apart: a descriptor that is gone, or a note that was never made.
TEST_P(Kqueue_Errors, DeleteOfAClosedDescriptorIsEbadfAndOfAnAbsentNoteIsEnoent) {
  int closed;
  {
    const pipe_ends gone = make_pipe();
    closed = gone.reader;
    ASSERT_THAT(alter(kq, {add(gone.reader, EVFILT_READ)}), Succeeds());
  }
  EXPECT_THAT(alter(kq, {remove(static_cast<uintptr_t>(closed), EVFILT_READ)}), FailsWith(EBADF));
  EXPECT_THAT(alter(kq, {remove(sentinel_.reader, EVFILT_WRITE)}), FailsWith(ENOENT));
  EXPECT_THAT(alter(kq, {remove(sentinel_.writer, EVFILT_READ)}), FailsWith(ENOENT));
}

// A descriptor that the library makes while it looks at the change would take just that number.
TEST_P(Kqueue_Errors, TheLowestFreeNumberIsAClosedDescriptorToo) {
  for (const int filter : {EVFILT_READ, EVFILT_WRITE}) {
    const queue fresh = make_queue(GetParam());
    const int closed = ::dup(sentinel_.reader);
    ::close(closed);
    EXPECT_THAT(alter(fresh, {add(closed, filter)}), FailsWith(EBADF));
    // Both directions of one descriptor need a place each.
    const socket_pair s = make_socketpair();
    ASSERT_THAT(alter(fresh, {add(s.here, EVFILT_READ)}), Succeeds());
    const int twin = ::dup(s.here);
    ASSERT_THAT(alter(fresh, {add(twin, EVFILT_READ)}), Succeeds());
    ::close(twin);
    EXPECT_THAT(alter(fresh, {add(twin, EVFILT_WRITE)}), FailsWith(EBADF));
  }
}

TEST_P(Kqueue_Errors, ChangingAnAbsentNoteIsEnoent) {
  for (const unsigned flags :
       {EV_DELETE, EV_ENABLE, EV_DISABLE, 0, EV_ONESHOT, EV_CLEAR, EV_ENABLE | EV_CLEAR}) {
    EXPECT_THAT(alter(kq, {change(sentinel_.writer, EVFILT_WRITE, flags)}), FailsWith(ENOENT))
        << flags;
    EXPECT_THAT(alter(kq, {change(7, EVFILT_TIMER, flags).data(1)}), FailsWith(ENOENT)) << flags;
    EXPECT_THAT(alter(kq, {change(7, EVFILT_USER, flags).fflags(NOTE_TRIGGER)}), FailsWith(ENOENT))
        << flags;
  }
  EXPECT_THAT(poll(kq), only_the_sentinel());
}

TEST_P(Kqueue_Errors, DeleteTwiceIsEnoent) {
  ASSERT_THAT(alter(kq, {remove(sentinel_.reader, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(alter(kq, {remove(sentinel_.reader, EVFILT_READ)}), FailsWith(ENOENT));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Errors, UdataIsNoPartOfTheKey) {
  EXPECT_THAT(alter(kq, {remove(sentinel_.reader, EVFILT_READ).udata(99)}), Succeeds());
}

TEST_P(Kqueue_Errors, ARefusedAttachLeavesNoNote) {
  const queue inner = make_queue(dialect());
  const outcome refused = alter(kq, {add(inner, EVFILT_WRITE)});
  EXPECT_EQ(refused.result, -1);
  EXPECT_THAT(alter(kq, {remove(inner, EVFILT_WRITE)}), FailsWith(ENOENT));
  EXPECT_THAT(alter(kq, {enable(inner, EVFILT_WRITE)}), FailsWith(ENOENT));
}

// The object is asked only when a note is to be made.
TEST_P(Kqueue_Errors, AFilterTheObjectLacksIsEnoentWithoutAdd) {
  const queue inner = make_queue(dialect());
  EXPECT_THAT(alter(kq, {remove(inner, EVFILT_WRITE)}), FailsWith(ENOENT));
  EXPECT_THAT(alter(kq, {change(inner, EVFILT_WRITE, 0)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Errors, SuccessLeavesErrnoAlone) {
  struct kevent event;
  const timespec zero{};
  errno = 4711;
  EXPECT_EQ(::kevent(kq, nullptr, 0, &event, 1, &zero), 1);
  EXPECT_EQ(errno, 4711);
  const change ready = add(sentinel_.reader, EVFILT_READ);
  EXPECT_EQ(::kevent(kq, &ready.entry, 1, nullptr, 0, nullptr), 0);
  EXPECT_EQ(errno, 4711);
}

TEST_P(Kqueue_Errors, NothingToDoIsNoError) {
  EXPECT_EQ(::kevent(kq, nullptr, 0, nullptr, 0, nullptr), 0);
  const timespec zero{};
  EXPECT_EQ(::kevent(kq, nullptr, 0, nullptr, 0, &zero), 0);
}

TEST_P(Kqueue_Errors, EveryRefusalLeavesOtherNotesAsTheyWere) {
  const queue inner = make_queue(dialect());
  const pipe_ends other = make_pipe();
  ASSERT_THAT(
      alter(kq, {add(other.reader, EVFILT_READ, EV_DISABLE), add(5, EVFILT_TIMER).data(100000)}),
      Succeeds());
  alter(kq, {change(other.reader, 99, EV_ADD | EV_ENABLE)});
  alter(kq, {change(kNeverOpen, EVFILT_READ, EV_ADD | EV_ENABLE)});
  alter(kq, {change(other.writer, EVFILT_WRITE, EV_ENABLE)});
  alter(kq, {add(inner, EVFILT_WRITE)});
  put(other.writer, "abc");
  EXPECT_THAT(poll(kq), only_the_sentinel());
  EXPECT_THAT(submit(kq, {enable(other.reader, EVFILT_READ), remove(5, EVFILT_TIMER)}),
              Returns(testing::UnorderedElementsAre(Event(sentinel_.reader, EVFILT_READ).data(1),
                                                    Event(other.reader, EVFILT_READ).data(3))));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Errors);

TEST(Kqueue_Counts, NegativeCountsAreInvalid) {
  const queue kq = make_queue();
  struct kevent entry {};
  const timespec zero{};
  errno = 0;
  EXPECT_EQ(::kevent(kq, &entry, -1, nullptr, 0, &zero), -1);
  EXPECT_EQ(errno, EINVAL);
  errno = 0;
  EXPECT_EQ(::kevent(kq, nullptr, 0, &entry, -1, &zero), -1);
  EXPECT_EQ(errno, EINVAL);
  errno = 0;
  EXPECT_EQ(::kevent(kq, &entry, INT_MIN, &entry, INT_MIN, &zero), -1);
  EXPECT_EQ(errno, EINVAL);
}

// A program may say that there is more room than it will ever need.
TEST(Kqueue_Counts, AHugeCountOfEventsIsOnlyALimit) {
  const queue kq = make_queue();
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  std::vector<struct kevent> room(16);
  const timespec zero{};
  EXPECT_EQ(::kevent(kq, nullptr, 0, room.data(), INT_MAX, &zero), 1);
  EXPECT_THAT(room.front(), Event(p.reader, EVFILT_READ).data(1));
}

}  // namespace
}  // namespace quay::test
