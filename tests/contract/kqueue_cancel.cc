// SPDX-License-Identifier: BSD-2-Clause
//
// What: a thread that waits in kevent() is cancelled: no lock stays behind, no event is lost.
// Contract: kevent(2), FreeBSD: a point of cancellation unless nevents is 0.
#include <pthread.h>

#include <array>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// A thread in kevent(), made for being cancelled: what it got is told even then.
struct cancellable {
  int kq;
  int room = 4;
  std::vector<struct kevent> changes{};
  std::atomic<pid_t> tid{0};
  std::atomic<bool> left{false};
  std::atomic<int> taken{-2};  // what kevent() returned, -2: it never did
  std::atomic<bool> go{true};
  pthread_t thread{};

  static void* run(void* self) {
    auto* me = static_cast<cancellable*>(self);
    me->tid = static_cast<pid_t>(::syscall(SYS_gettid));
    while (!me->go) ::sched_yield();
    std::array<struct kevent, 8> list;
    const int n = ::kevent(me->kq, me->changes.empty() ? nullptr : me->changes.data(),
                           static_cast<int>(me->changes.size()), list.data(), me->room, nullptr);
    int before = 0;
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    me->taken = n;
    me->left = true;
    return nullptr;
  }
  void start() { ASSERT_EQ(::pthread_create(&thread, nullptr, run, this), 0); }
  bool falls_asleep() const {
    while (tid == 0) std::this_thread::yield();
    return test::falls_asleep(tid, left);
  }
  void cancel() const { ASSERT_EQ(::pthread_cancel(thread), 0); }
  // Whether it was cancelled in the call.
  bool join() const {
    void* result = nullptr;
    EXPECT_EQ(::pthread_join(thread, &result), 0);
    return result == PTHREAD_CANCELED;
  }
};

class Kqueue_Cancel : public dialect_test {};

TEST_P(Kqueue_Cancel, ASleepingThreadEndsAndTheQueueGoesOn) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  for (int round = 0; round < 5; ++round) {
    cancellable thread{.kq = kq};
    thread.start();
    ASSERT_TRUE(thread.falls_asleep());
    thread.cancel();
    EXPECT_TRUE(thread.join());
    EXPECT_EQ(thread.taken, -2);
    EXPECT_THAT(poll(kq), IsEmpty());
  }
  waiter other(kq);
  ASSERT_TRUE(other.falls_asleep());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(other.result(), Returns(ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR))));
}

TEST_P(Kqueue_Cancel, AnEventThatArrivesWithTheCancellationIsTakenOrStays) {
  const pipe_ends p = make_pipe();
  for (int round = 0; round < 60; ++round) {
    ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, round % 2 == 0 ? EV_CLEAR : EV_ONESHOT)}),
                Succeeds());
    cancellable thread{.kq = kq, .room = 1 + round % 3};
    thread.start();
    if (round % 4 != 3) {
      ASSERT_TRUE(thread.falls_asleep());
    }
    if (round % 3 == 0) {
      put(p.writer, "x");
      thread.cancel();
    } else {
      std::thread other([&] { put(p.writer, "x"); });
      thread.cancel();
      other.join();
    }
    const bool cancelled = thread.join();
    const size_t left = poll(kq).size();
    ASSERT_EQ(left + (thread.taken == 1 ? 1 : 0), 1u)
        << "round " << round << (cancelled ? ", cancelled" : "");
    drain(p.reader);
    alter(kq, {remove(p.reader, EVFILT_READ)});
  }
}

TEST_P(Kqueue_Cancel, AnotherSleeperTakesOver) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, EV_CLEAR)}), Succeeds());
  for (int round = 0; round < 20; ++round) {
    cancellable thread{.kq = kq};
    thread.start();
    ASSERT_TRUE(thread.falls_asleep());
    waiter other(kq);
    ASSERT_TRUE(other.falls_asleep());
    put(p.writer, "x");
    thread.cancel();
    thread.join();
    if (thread.taken == 1) put(p.writer, "x");
    EXPECT_THAT(other.result(), Returns(SizeIs(1)));
    drain(p.reader);
    poll(kq);
  }
}

TEST_P(Kqueue_Cancel, ACancellationThatIsPendingActsBeforeAnyChange) {
  cancellable thread{.kq = kq, .changes = {add(9, EVFILT_USER).entry}, .go = false};
  thread.start();
  thread.cancel();
  thread.go = true;
  EXPECT_TRUE(thread.join());
  EXPECT_THAT(alter(kq, {trigger(9)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Cancel, WithoutRoomForEventsItIsNoPointOfCancellation) {
  cancellable thread{.kq = kq, .room = 0, .changes = {add(9, EVFILT_USER).entry}, .go = false};
  thread.start();
  thread.cancel();
  thread.go = true;
  EXPECT_FALSE(thread.join());
  EXPECT_EQ(thread.taken, 0);
  EXPECT_THAT(alter(kq, {trigger(9)}), Succeeds());
}

QUAY_IN_ALL_DIALECTS(Kqueue_Cancel);

TEST(Kqueue_CancelPrivate, APrivateQueueIsNoDifferent) {
  const queue kq = make_queue(QUAY_DIALECT_FREEBSD, QUAY_PRIVATE);
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR), add(2, EVFILT_TIMER).data(1'000'000)}),
              Succeeds());
  cancellable thread{.kq = kq};
  thread.start();
  ASSERT_TRUE(thread.falls_asleep());
  thread.cancel();
  EXPECT_TRUE(thread.join());
  EXPECT_THAT(submit(kq, {trigger(1)}), Returns(SizeIs(1)));
}

}  // namespace
}  // namespace quay::test
