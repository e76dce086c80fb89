// SPDX-License-Identifier: BSD-2-Clause
//
// What: KQUEUE_CPONFORK: a forked child gets a working copy of the queue.
// Contract: kqueue semantics, section 6 (fork, FreeBSD); kqueuex(2).
#include "support/matchers.hpp"
#include "support/processes.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class Kqueue_ForkCopy : public testing::Test {
 protected:
  queue kq{::kqueuex(KQUEUE_CPONFORK | KQUEUE_CLOEXEC)};
};

TEST_F(Kqueue_ForkCopy, TheChildsQueueHasTheSameRegistrations) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ).udata(uintptr_t{7}), add(1, EVFILT_USER),
                         add(2, EVFILT_TIMER, EV_ONESHOT).data(1)}),
              Succeeds());
  EXPECT_EQ(in_child([&] {
              QUAY_CHILD_CHECK((::fcntl(kq, F_GETFD) & FD_CLOEXEC) != 0);
              put(s.there, "abc");
              events got = await(kq);
              while (got.size() < 2) {
                for (const struct kevent& e : poll(kq))
                  if (e.filter == EVFILT_TIMER || got[0].filter == EVFILT_TIMER) got.push_back(e);
              }
              bool bytes = false;
              for (const struct kevent& e : got)
                bytes = bytes || (e.filter == EVFILT_READ && e.data == 3 &&
                                  e.udata == reinterpret_cast<void*>(7));
              QUAY_CHILD_CHECK(bytes);
              QUAY_CHILD_CHECK(alter(kq, {trigger(1)}).result == 0);
              QUAY_CHILD_CHECK(submit(kq, {remove(s.here, EVFILT_READ)}).events.size() == 1);
              return 0;
            }),
            0);
}

TEST_F(Kqueue_ForkCopy, TheTwoQueuesGoTheirOwnWays) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ), add(1, EVFILT_USER, EV_CLEAR), trigger(1)}),
              Succeeds());
  EXPECT_EQ(in_child([&] {
              QUAY_CHILD_CHECK(poll(kq).size() == 1);  // what was pending is pending in both
              QUAY_CHILD_CHECK(poll(kq).empty());
              QUAY_CHILD_CHECK(alter(kq, {remove(s.here, EVFILT_READ), remove(1, EVFILT_USER),
                                          add(5, EVFILT_USER), trigger(5)})
                                   .result == 0);
              QUAY_CHILD_CHECK(poll(kq).size() == 1);
              return 0;
            }),
            0);
  put(s.there, "x");
  EXPECT_THAT(poll(kq), testing::UnorderedElementsAre(Event(s.here, EVFILT_READ).data(1),
                                                      Event(1, EVFILT_USER).flags(EV_CLEAR)));
  EXPECT_THAT(alter(kq, {trigger(5)}), FailsWith(ENOENT));
}

TEST_F(Kqueue_ForkCopy, DisabledAndDispatchedStayWhatTheyWere) {
  const pipe_ends p = make_pipe();
  const pipe_ends r = make_pipe();
  put(p.writer, "x");
  put(r.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, EV_DISABLE)}), Succeeds());
  ASSERT_THAT(submit(kq, {add(r.reader, EVFILT_READ, EV_DISPATCH)}), Returns(SizeIs(1)));
  EXPECT_EQ(
      in_child([&] {
        QUAY_CHILD_CHECK(poll(kq).empty());
        QUAY_CHILD_CHECK(
            submit(kq, {enable(p.reader, EVFILT_READ), enable(r.reader, EVFILT_READ)}).result == 2);
        return 0;
      }),
      0);
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_F(Kqueue_ForkCopy, ACloseInTheChildEndsTheChildsNotesOnly) {
  QUAY_SKIP_UNLESS_HOOKED();
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  put(s.there, "x");
  EXPECT_EQ(in_child([&] {
              const int number = s.here;
              const int twin = ::dup(number);
              QUAY_CHILD_CHECK(poll(kq).size() == 1);
              ::close(number);
              QUAY_CHILD_CHECK(poll(kq).empty());
              QUAY_CHILD_CHECK(::dup2(twin, number) == number);
              QUAY_CHILD_CHECK(alter(kq, {remove(number, EVFILT_READ)}).error == ENOENT);
              return 0;
            }),
            0);
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(1)));
}

TEST_F(Kqueue_ForkCopy, EveryNumberOfTheQueueIsTheCopy) {
  const queue twin(quay_fcntl(kq, F_DUPFD, 0));
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  EXPECT_EQ(in_child([&] {
              QUAY_CHILD_CHECK(alter(twin, {trigger(1)}).result == 0);
              QUAY_CHILD_CHECK(poll(kq).size() == 1);
              return 0;
            }),
            0);
  EXPECT_THAT(poll(twin), IsEmpty());
}

TEST_F(Kqueue_ForkCopy, ACopiedQueueThatWatchesACopiedQueueStillDoes) {
  const queue inner(::kqueuex(KQUEUE_CPONFORK));
  const queue plain = make_queue();
  ASSERT_THAT(alter(inner, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  ASSERT_THAT(alter(kq, {add(inner, EVFILT_READ), add(plain, EVFILT_READ)}), Succeeds());
  EXPECT_EQ(in_child([&] {
              QUAY_CHILD_CHECK(::fcntl(plain, F_GETFD) < 0);
              // Now, while the number is nobody's: the doorbell may take it.
              QUAY_CHILD_CHECK(alter(kq, {remove(plain, EVFILT_READ)}).error == EBADF);
              QUAY_CHILD_CHECK(alter(inner, {trigger(1)}).result == 0);
              const events got = await(kq);
              QUAY_CHILD_CHECK(got.size() == 1 && got[0].ident == static_cast<uintptr_t>(inner));
              return 0;
            }),
            0);
  EXPECT_THAT(poll(kq), IsEmpty());
}

// What a copy opens for itself does not go where the program looks for nothing.
TEST_F(Kqueue_ForkCopy, TheNumberOfAQueueThatIsNotCopiedIsNobodys) {
  const queue plain = make_queue();
  const temporary_directory folder;
  const unique_fd watched(::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_THAT(alter(kq, {add(watched, EVFILT_VNODE).fflags(NOTE_WRITE), add(plain, EVFILT_READ),
                         add(1, EVFILT_TIMER).data(100000)}),
              Succeeds());
  EXPECT_FALSE(looks_readable(kq));
  EXPECT_EQ(in_child([&] {
              QUAY_CHILD_CHECK(::fcntl(plain, F_GETFD) < 0 && errno == EBADF);
              const unique_fd next(::open("/dev/null", O_RDONLY));
              QUAY_CHILD_CHECK(next == plain);
              QUAY_CHILD_CHECK(alter(kq, {remove(next, EVFILT_READ)}).error == ENOENT);
              return 0;
            }),
            0);
}

TEST_F(Kqueue_ForkCopy, ACopyIsPolledAndCopiedAgain) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  EXPECT_EQ(in_child([&] {
              return in_child([&] {
                QUAY_CHILD_CHECK(!looks_readable(kq));
                put(p.writer, "x");
                QUAY_CHILD_CHECK(becomes_readable(kq));
                QUAY_CHILD_CHECK(poll(kq).size() == 1);
                return 0;
              });
            }),
            0);
  EXPECT_THAT(poll(kq), SizeIs(1)) << "the byte is in the pipe that all of them share";
}

TEST_F(Kqueue_ForkCopy, TheChildLeaksNothing) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(p.reader, EVFILT_WRITE),
                         add(1, EVFILT_TIMER).data(100000)}),
              Succeeds());
  poll(kq);
  const size_t before = count_descriptors();
  EXPECT_EQ(in_child([&] {
              poll(kq);
              QUAY_CHILD_CHECK(count_descriptors() <= before);
              return 0;
            }),
            0);
}

}  // namespace
}  // namespace quay::test
