// SPDX-License-Identifier: BSD-2-Clause
//
// What: what close(), dup2() and the reuse of a number do to notes; and the end of a queue.
// Contract: kqueue semantics, 1.7 (lifetime); row 2 of what real programs need. With the hooks a
// note ends with its number; without them the kernel forgets the file only with its last number,
// and identity is checked at registration.
#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/processes.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class Kqueue_Closed : public dialect_test {
 protected:
  // Puts `fd` on the number `wanted`, which must be free.
  static unique_fd moved_to(unique_fd fd, int wanted) {
    if (fd.get() == wanted) return fd;
    return unique_fd(checked(::dup3(fd, wanted, O_CLOEXEC), "dup3"));
  }
};

TEST_P(Kqueue_Closed, ACloseEndsTheNotesSilently) {
  socket_pair s = make_socketpair();
  put(s.there, "x");
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ), add(s.here, EVFILT_WRITE)}), Succeeds());
  s.here.close();
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Closed, ACloseTakesAPendingEdgeAlong) {
  socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ, EV_CLEAR)}), Succeeds());
  put(s.there, "x");
  ASSERT_TRUE(looks_readable(kq));
  s.here.close();
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Closed, AReusedNumberRegistersAfreshAndFires) {
  for (const unsigned flags :
       {0u, static_cast<unsigned>(EV_CLEAR), static_cast<unsigned>(EV_DISPATCH)}) {
    socket_pair old = make_socketpair();
    const int number = old.here;
    put(old.there, "old");
    ASSERT_THAT(submit(kq, {add(static_cast<uintptr_t>(number), EVFILT_READ, flags).udata(1)}),
                Returns(SizeIs(1)));
    old.here.close();
    socket_pair fresh = make_socketpair();
    const unique_fd reused = moved_to(std::move(fresh.here), number);
    EXPECT_THAT(submit(kq, {add(reused, EVFILT_READ, flags).udata(2)}), Succeeds());
    put(fresh.there, "x");
    EXPECT_THAT(poll(kq), ElementsAre(Event(reused, EVFILT_READ).data(1).flags(flags).udata(2)));
    EXPECT_THAT(alter(kq, {remove(reused, EVFILT_READ)}), Succeeds());
  }
}

// A server that closes and accepts in the same round gets the same number at once.
TEST_P(Kqueue_Closed, ADispatchedNumberThatIsReusedFiresWhenAdded) {
  for (int round = 0; round < 20; ++round) {
    socket_pair s = make_socketpair();
    ASSERT_THAT(
        alter(kq, {add(s.here, EVFILT_READ, EV_DISPATCH).udata(static_cast<uintptr_t>(round + 1))}),
        Succeeds());
    put(s.there, "x");
    EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ)
                                          .data(1)
                                          .flags(EV_DISPATCH)
                                          .udata(static_cast<uintptr_t>(round + 1))))
        << round;
  }
}

TEST_P(Kqueue_Closed, AReusedNumberThatNobodyAddsIsSilent) {
  socket_pair old = make_socketpair();
  const int number = old.here;
  ASSERT_THAT(alter(kq, {add(old.here, EVFILT_READ)}), Succeeds());
  old.here.close();
  socket_pair fresh = make_socketpair();
  const unique_fd reused = moved_to(std::move(fresh.here), number);
  put(fresh.there, "x");
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Closed, AReusedNumberHasNoNoteToDelete) {
  QUAY_SKIP_UNLESS_HOOKED();
  socket_pair old = make_socketpair();
  const int number = old.here;
  ASSERT_THAT(alter(kq, {add(old.here, EVFILT_READ)}), Succeeds());
  old.here.close();
  socket_pair fresh = make_socketpair();
  const unique_fd reused = moved_to(std::move(fresh.here), number);
  EXPECT_THAT(alter(kq, {remove(reused, EVFILT_READ)}), FailsWith(ENOENT));
  EXPECT_THAT(alter(kq, {enable(reused, EVFILT_READ)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Closed, ALivingDuplicateDoesNotFireForTheClosedNumber) {
  QUAY_SKIP_UNLESS_HOOKED();
  socket_pair s = make_socketpair();
  const unique_fd twin(::dup(s.here));
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  s.here.close();
  put(s.there, "x");
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_FALSE(looks_readable(kq));
}

TEST_P(Kqueue_Closed, TheNoteOfALivingDuplicateStays) {
  socket_pair s = make_socketpair();
  const unique_fd twin(::dup(s.here));
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ, EV_DISABLE), add(twin, EVFILT_READ)}),
              Succeeds());
  s.here.close();
  put(s.there, "x");
  EXPECT_THAT(poll(kq), ElementsAre(Event(twin, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_Closed, Dup2OverAWatchedNumberEndsItsNotes) {
  QUAY_SKIP_UNLESS_HOOKED();
  const socket_pair s = make_socketpair();
  const unique_fd kept(::dup(s.here));
  const socket_pair other = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  ASSERT_EQ(::dup2(other.here, s.here), s.here.get());
  put(s.there, "x");
  put(other.there, "y");
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(alter(kq, {remove(s.here, EVFILT_READ)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Closed, Dup2OntoItselfEndsNothing) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  ASSERT_EQ(::dup2(s.here, s.here), s.here.get());
  put(s.there, "x");
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_Closed, AFailedCloseEndsNothing) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  EXPECT_EQ(::close(-1), -1);
  EXPECT_EQ(::close(1000000), -1);
  put(s.there, "x");
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_Closed, ACloseOfAFileEndsItsNote) {
  const temporary_directory directory;
  unique_fd file = directory.make_file("abc");
  const int number = file;
  ASSERT_THAT(alter(kq, {add(file, EVFILT_READ)}), Succeeds());
  file.close();
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(alter(kq, {remove(static_cast<uintptr_t>(number), EVFILT_READ)}), FailsWith(EBADF));
}

TEST_P(Kqueue_Closed, ACloseDoesNotWakeAWaiter) {
  socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ), add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  s.here.close();
  EXPECT_TRUE(thread.falls_asleep());
  EXPECT_FALSE(thread.returned());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR))));
}

// As daemons begin. The numbers of whatever the library keeps for itself mean other files now.
TEST_P(Kqueue_Closed, QueuesWorkAfterTheProgramHasClosedAllDescriptors) {
  EXPECT_EQ(in_child([&] {
              const int before = quay_kqueue(dialect(), 0);
              QUAY_CHILD_CHECK(alter(before, {add(1, EVFILT_USER), trigger(1)}).result == 0);
              QUAY_CHILD_CHECK(becomes_readable(before));
              ::closefrom(3);
              const int first = quay_kqueue(dialect(), 0);
              int last = -1;
              for (int n = 0; n < 20; ++n) {
                last = ::eventfd(0, EFD_NONBLOCK);
                QUAY_CHILD_CHECK(alter(first, {add(last, EVFILT_READ)}).result == 0);
              }
              QUAY_CHILD_CHECK(poll(first).empty());
              for (const int each : {first, quay_kqueue(dialect(), 0)}) {
                QUAY_CHILD_CHECK(!looks_readable(each));
                QUAY_CHILD_CHECK(alter(each, {add(1, EVFILT_USER), trigger(1)}).result == 0);
                QUAY_CHILD_CHECK(becomes_readable(each));
              }
              QUAY_CHILD_CHECK(::eventfd_write(last, 1) == 0);
              QUAY_CHILD_CHECK(poll(first, 32).size() == 2);
              return 0;
            }),
            0);
}

TEST_P(Kqueue_Closed, OpenAndCloseInQuickSuccessionNeverDeliverAStaleEvent) {
  for (uintptr_t round = 1; round <= 300; ++round) {
    socket_pair s = make_socketpair();
    put(s.there, "x");
    ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ).udata(round),
                           add(s.here, EVFILT_WRITE, EV_CLEAR).udata(round)}),
                Succeeds());
    if (round % 3 == 0) continue;
    for (const struct kevent& e : poll(kq)) ASSERT_EQ(e.udata, reinterpret_cast<void*>(round));
  }
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Closed, NumbersMayBeReusedWhileAnotherThreadWaits) {
  QUAY_SKIP_UNLESS_HOOKED();
  std::atomic<uintptr_t> oldest_alive = 1;
  std::atomic<bool> stop = false;
  std::thread waiter([&] {
    while (!stop) {
      const uintptr_t floor =
          oldest_alive;  // registrations made before this one had ended when the call began
      const outcome got = submit_for(kq, {}, std::chrono::milliseconds(1));
      ASSERT_GE(got.result, 0);
      for (const struct kevent& e : got.events)
        ASSERT_GE(reinterpret_cast<uintptr_t>(e.udata), floor);
    }
  });
  for (uintptr_t round = 1; round <= 1000; ++round) {
    {
      socket_pair s = make_socketpair();
      ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ, round % 2 == 0 ? EV_CLEAR : 0).udata(round)}),
                  Succeeds());
      put(s.there, "x");
    }
    oldest_alive = round + 1;
  }
  stop = true;
  waiter.join();
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Closed, TheEndOfAQueueFreesItsNotesAndLeavesTheObjects) {
  const socket_pair s = make_socketpair();
  put(s.there, "x");
  quay_stats before{};
  ASSERT_EQ(quay_stats_get(&before, sizeof before), 0);
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ), add(s.here, EVFILT_WRITE), add(1, EVFILT_USER),
                         trigger(1), add(2, EVFILT_TIMER).data(1)}),
              Succeeds());
  kq.close();
  quay_stats after{};
  ASSERT_EQ(quay_stats_get(&after, sizeof after), 0);
  EXPECT_EQ(after.notes, before.notes);
  EXPECT_EQ(after.timers, before.timers);
  EXPECT_EQ(take(s.here, 10), "x");
}

TEST_P(Kqueue_Closed, ANewQueueOnAClosedQueuesNumberIsEmpty) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  const int number = kq;
  kq.close();
  const queue fresh = make_queue(dialect());
  EXPECT_EQ(fresh.operator int(), number) << "the test wants the number back";
  EXPECT_THAT(poll(fresh), IsEmpty());
  EXPECT_THAT(alter(fresh, {trigger(1)}), FailsWith(ENOENT));
}

// Without the hooks nobody told the library that the queue is gone.
TEST_P(Kqueue_Closed, ThePlainlyClosedNumberOfAQueueMayBecomeAnythingElse) {
  const int number = make_queue(dialect()).operator int();  // a number that is free now
  ASSERT_EQ(quay_kqueue(dialect(), 0), number) << "the test wants a certain number";
  ASSERT_THAT(alter(number, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  ASSERT_EQ(::close(number), 0);
  socket_pair s = make_socketpair();
  const unique_fd reused = moved_to(std::move(s.here), number);
  EXPECT_THAT(submit(reused, {}), FailsWith(EBADF));
  EXPECT_THAT(submit(kq, {add(reused, EVFILT_READ), add(reused, EVFILT_WRITE)}),
              Returns(ElementsAre(Event(reused, EVFILT_WRITE))));
  put(s.there, "x");
  EXPECT_THAT(poll(kq), testing::UnorderedElementsAre(Event(reused, EVFILT_READ).data(1),
                                                      Event(reused, EVFILT_WRITE)));
}

TEST_P(Kqueue_Closed, APlainCloseEndsAQueueWhereTheHooksSeeIt) {
  QUAY_SKIP_UNLESS_HOOKED();
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  waiter thread(kq);
  thread.result();
  ASSERT_THAT(alter(kq, {remove(1, EVFILT_USER)}), Succeeds());
  waiter sleeper(kq);
  ASSERT_TRUE(sleeper.falls_asleep());
  ASSERT_EQ(::close(kq), 0);
  EXPECT_THAT(sleeper.result(), FailsWith(EBADF));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Closed);

// Closed by the system call itself: nobody is told, and who asks the kernel finds out.
TEST_P(Kqueue_Closed, AQueueThatWatchesAnotherMayEndUnseen) {
  const int outer = quay_kqueue(dialect(), 0);
  ASSERT_THAT(alter(outer, {add(kq, EVFILT_READ)}), Succeeds());
  ASSERT_EQ(::syscall(SYS_close, outer), 0);
  struct stat found {};
  EXPECT_EQ(::quay_fstat(outer, &found), -1);
  EXPECT_THAT(submit(outer, {}, 1), FailsWith(EBADF));
  EXPECT_THAT(alter(kq, {add(1, EVFILT_USER)}), Succeeds());
}

TEST_P(Kqueue_Closed, TheDuplicatesOfWhatHasTheNumberNowAreNoQueues) {
  const int number = quay_kqueue(dialect(), 0);
  ASSERT_EQ(::syscall(SYS_close, number), 0);
  const unique_fd next = moved_to(make_socketpair().here, number);
  const unique_fd duplicate(::dup(next));
  struct stat found {};
  ASSERT_EQ(::quay_fstat(next, &found), 0);
  EXPECT_TRUE(S_ISSOCK(found.st_mode));
  EXPECT_THAT(alter(duplicate, {add(1, EVFILT_USER)}), FailsWith(EBADF));
}

// Closed unseen, the number is the next queue's: a ring for who sleeps in the old one would be heard there.
TEST_P(Kqueue_Closed, AWaiterOfAQueueThatLostItsNumberDoesNotShowInTheNext) {
  const int number = quay_kqueue(dialect(), 0);
  const thread_in_call<outcome> thread(
      [number] { return submit_for(number, {}, std::chrono::milliseconds(300)); });
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_EQ(::syscall(SYS_close, number), 0);
  const queue next(quay_kqueue(dialect(), 0));
  ASSERT_EQ(next, number);
  pollfd look{next, POLLIN, 0};
  EXPECT_EQ(::poll(&look, 1, 0), 0);
}

}  // namespace
}  // namespace quay::test
