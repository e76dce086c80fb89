// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_SIGNAL counts postings: handled, ignored, left to the default, blocked; from this
// thread, another, another process; in every dialect.
// Contract: kqueue semantics 5.7 (SIGNAL), rows 28 and 29 of section 7; signal semantics B8 and
// tests E1, E2, E5-E7, E14, E15.
#include <thread>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/signals.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class Signal_Counts : public dialect_test {
 protected:
  void SetUp() override { seen.clear(); }
  static change watch(int number, unsigned flags = 0) { return add(number, EVFILT_SIGNAL, flags); }
  static event_matcher posted(int number, intptr_t times) {
    return Event(number, EVFILT_SIGNAL).flags(EV_CLEAR).data(times);
  }
  static void post(int number, int times = 1) {
    for (int i = 0; i < times; ++i) kill(getpid(), number);
  }
};

TEST_P(Signal_Counts, EveryPostingOfAnIgnoredSignalCounts) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  post(SIGUSR1);
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 1)));
  post(SIGUSR1, 2);
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 2)));
  EXPECT_THAT(poll(kq), IsEmpty()) << "EV_CLEAR is implied";
}

TEST_P(Signal_Counts, EveryPostingOfAHandledSignalCountsAndIsHandled) {
  const disposition handled(SIGUSR1, recording());
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  post(SIGUSR1, 3);
  EXPECT_EQ(seen.calls, 3);
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 3)));
}

TEST_P(Signal_Counts, WhatTheDefaultIgnoresCounts) {
  for (const int number : {SIGURG, SIGWINCH, SIGCHLD, SIGCONT}) {
    ASSERT_THAT(alter(kq, {watch(number)}), Succeeds());
    post(number, 2);
    EXPECT_THAT(poll(kq), ElementsAre(posted(number, 2)));
    ASSERT_THAT(alter(kq, {remove(number, EVFILT_SIGNAL)}), Succeeds());
  }
}

TEST_P(Signal_Counts, ABlockedSignalCountsAtItsPostingAndStaysPending) {
  const disposition handled(SIGUSR1, recording());
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  {
    const blocked now{SIGUSR1};
    post(SIGUSR1);
    EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 1)));
    EXPECT_TRUE(is_pending(SIGUSR1));
    EXPECT_THAT(poll(kq), IsEmpty());
    EXPECT_EQ(seen.calls, 0);
    const sigset_t set = signals({SIGUSR1});
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    EXPECT_EQ(seen.calls, 1);
    EXPECT_THAT(poll(kq), IsEmpty()) << "the delivery is no second posting";
    post(SIGUSR1);
    EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 1)));
  }
}

// The kernels forget it at once; Linux keeps it, and what comes next would merge with it unseen.
TEST_P(Signal_Counts, OfABlockedSignalThatIsIgnoredNothingStaysPending) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  const blocked now{SIGUSR1, SIGCHLD};
  post(SIGUSR1);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1), watch(SIGCHLD)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty()) << "what was posted before";
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(status_of_child([] { return kill(getppid(), SIGUSR1); }), 0);
    EXPECT_THAT(poll(kq), UnorderedElementsAre(posted(SIGUSR1, 1), posted(SIGCHLD, 1)));
    EXPECT_FALSE(is_pending(SIGUSR1) || is_pending(SIGCHLD));
  }
}

TEST_P(Signal_Counts, BlockedRealTimeSignalsThatAreIgnoredCountEach) {
  const int number = SIGRTMIN + 3;
  const disposition ignored(number, SIG_IGN);
  const blocked now{number};
  post(number, 2);
  ASSERT_THAT(alter(kq, {watch(number)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty()) << "what was posted before";
  const auto post_four = [number] {
    for (int i = 0; i < 4; ++i) kill(getppid(), number);
    return 0;
  };
  EXPECT_EQ(status_of_child(post_four), 0);
  EXPECT_THAT(poll(kq), ElementsAre(posted(number, 4)));
  EXPECT_FALSE(is_pending(number));
}

TEST_P(Signal_Counts, SigwaitStillGetsABlockedSignal) {
  const blocked now{SIGUSR1};
  const sigset_t set = signals({SIGUSR1});
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  for (int round = 0; round < 3; ++round) {
    post(SIGUSR1);
    EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 1)));
    int number = 0;
    ASSERT_EQ(sigwait(&set, &number), 0);
    EXPECT_EQ(number, SIGUSR1);
    EXPECT_THAT(poll(kq), IsEmpty());
  }
}

TEST_P(Signal_Counts, WhatWasPendingBeforeIsNotCounted) {
  const disposition handled(SIGUSR1, recording());
  const blocked now{SIGUSR1};
  post(SIGUSR1);
  EXPECT_THAT(submit(kq, {watch(SIGUSR1)}), Succeeds());
  const sigset_t set = signals({SIGUSR1});
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  EXPECT_EQ(seen.calls, 1);
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Signal_Counts, AnUnrelatedSignalWhileOneIsPendingAddsNothing) {
  const disposition handled(SIGUSR2, recording());
  const blocked now{SIGUSR1};
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  post(SIGUSR1);
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 1)));
  for (int i = 0; i < 3; ++i) {
    post(SIGUSR2);
    EXPECT_THAT(poll(kq), IsEmpty());
  }
}

TEST_P(Signal_Counts, TheEventIsThereInsideTheHandler) {
  static int queue_in_handler;
  static std::atomic<int> events_in_handler;
  static std::atomic<intptr_t> data_in_handler;
  queue_in_handler = kq;
  events_in_handler = -1;
  const disposition handled(SIGUSR1, [](int) {
    struct kevent e {};
    const timespec zero{};
    events_in_handler = kevent(queue_in_handler, nullptr, 0, &e, 1, &zero);
    data_in_handler = e.data;
  });
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  post(SIGUSR1);
  EXPECT_EQ(events_in_handler, 1);
  EXPECT_EQ(data_in_handler, 1);
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Signal_Counts, ASignalDirectedAtAnotherThreadCounts) {
  const disposition handled(SIGUSR1, recording());
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  std::atomic<bool> done{false};
  std::atomic<pid_t> id{0};
  std::thread other([&] {
    id = gettid();
    while (!done) std::this_thread::yield();
  });
  pthread_kill(other.native_handle(), SIGUSR1);
  while (seen.calls == 0) std::this_thread::yield();
  done = true;
  other.join();
  EXPECT_EQ(seen.thread, id);
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 1)));
}

TEST_P(Signal_Counts, ASleeperWakesForASignalDeliveredInAnotherThread) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  const blocked here{SIGUSR1};  // the sender below takes its own
  std::thread sender([] {
    const sigset_t set = signals({SIGUSR1});
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    pthread_kill(pthread_self(), SIGUSR1);
  });
  EXPECT_THAT(await(kq), ElementsAre(posted(SIGUSR1, 1)));
  sender.join();
}

TEST_P(Signal_Counts, ASleeperWakesForABlockedSignal) {
  const blocked here{SIGUSR1};
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  std::thread sender([] { kill(getpid(), SIGUSR1); });
  EXPECT_THAT(await(kq), ElementsAre(posted(SIGUSR1, 1)));
  sender.join();
}

TEST_P(Signal_Counts, AnotherProcessMayPost) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  const pid_t parent = getpid();
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(status_of_child([parent] { return kill(parent, SIGUSR1); }), 0);
    EXPECT_THAT(await(kq), ElementsAre(posted(SIGUSR1, 1)));
  }
}

TEST_P(Signal_Counts, TheQueuesDescriptorBecomesReadable) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  EXPECT_FALSE(looks_readable(kq));
  post(SIGUSR1);
  EXPECT_TRUE(looks_readable(kq));
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 1)));
  EXPECT_FALSE(looks_readable(kq));
}

TEST_P(Signal_Counts, EveryQueueCountsForItselfFromItsRegistrationOn) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  const queue late = make_queue(dialect());
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  post(SIGUSR1);
  ASSERT_THAT(alter(late, {watch(SIGUSR1)}), Succeeds());
  EXPECT_THAT(poll(late), IsEmpty());
  post(SIGUSR1);
  EXPECT_THAT(poll(late), ElementsAre(posted(SIGUSR1, 1)));
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 2)));
}

TEST_P(Signal_Counts, OnlyTheNotesOfTheSignalFire) {
  const disposition one(SIGUSR1, SIG_IGN);
  const disposition two(SIGUSR2, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1), watch(SIGUSR2)}), Succeeds());
  post(SIGUSR2);
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR2, 1)));
}

TEST_P(Signal_Counts, WhatComesWhileDisabledIsToldWhenEnabled) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1), disable(SIGUSR1, EVFILT_SIGNAL)}), Succeeds());
  post(SIGUSR1);
  EXPECT_THAT(poll(kq), IsEmpty());
  ASSERT_THAT(alter(kq, {enable(SIGUSR1, EVFILT_SIGNAL)}), Succeeds());
  post(SIGUSR1);
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 2)));
}

TEST_P(Signal_Counts, AOneShotIsGoneAfterItsEvent) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1, EV_ONESHOT)}), Succeeds());
  post(SIGUSR1);
  EXPECT_THAT(poll(kq),
              ElementsAre(Event(SIGUSR1, EVFILT_SIGNAL).flags(EV_ONESHOT | EV_CLEAR).data(1)));
  post(SIGUSR1);
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(alter(kq, {remove(SIGUSR1, EVFILT_SIGNAL)}), FailsWith(ENOENT));
}

TEST_P(Signal_Counts, DispatchDisablesAfterTheEventUnlessClearComesFirst) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1, EV_DISPATCH)}), Succeeds());
  const auto event = Event(SIGUSR1, EVFILT_SIGNAL).flags(EV_CLEAR | EV_DISPATCH).data(1);
  post(SIGUSR1);
  EXPECT_THAT(poll(kq), ElementsAre(event));
  post(SIGUSR1);
  if (!is(QUAY_DIALECT_NETBSD)) {  // row 5
    EXPECT_THAT(poll(kq), IsEmpty());
    ASSERT_THAT(alter(kq, {enable(SIGUSR1, EVFILT_SIGNAL)}), Succeeds());
  }
  EXPECT_THAT(poll(kq), ElementsAre(event));
}

TEST_P(Signal_Counts, ANewRegistrationKnowsNothingOfTheOldOnes) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  post(SIGUSR1);
  ASSERT_THAT(alter(kq, {remove(SIGUSR1, EVFILT_SIGNAL), watch(SIGUSR1)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Signal_Counts, AddingAgainTakesUdataAndKeepsTheCount) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1).udata(uintptr_t{1})}), Succeeds());
  post(SIGUSR1);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1).udata(uintptr_t{2})}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 1).udata(uintptr_t{2})));
}

TEST_P(Signal_Counts, QueuedRealTimeSignalsCountEach) {
  QUAY_SKIP_UNDER_TSAN();
  const int number = SIGRTMIN + 3;
  const disposition handled(number, recording());
  ASSERT_THAT(alter(kq, {watch(number)}), Succeeds());
  {
    const blocked now{number};
    post(number, 4);
    EXPECT_THAT(poll(kq), ElementsAre(posted(number, hooked() ? 4 : 1)))
        << "unhooked, the kernel shows what is pending as one";
    const sigset_t set = signals({number});
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  }
  EXPECT_EQ(seen.calls, 4);
  if (hooked()) {
    EXPECT_THAT(poll(kq), IsEmpty()) << "they were counted at their posting";
  } else {
    EXPECT_THAT(poll(kq), ElementsAre(posted(number, 3)));
  }
}

constexpr const char* kUnseen =
    "needs the hooks library: the kernel shows nothing of a posting that it merges";

TEST_P(Signal_Counts, EachOfTheProgramsOwnPostingsOfABlockedSignalCounts) {
  if (!hooked()) GTEST_SKIP() << kUnseen;
  QUAY_SKIP_UNDER_TSAN();
  const disposition handled(SIGUSR1, recording());
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  {
    const blocked now{SIGUSR1};
    post(SIGUSR1, 2);
    sigqueue(getpid(), SIGUSR1, sigval{});
    EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 3)));
    post(SIGUSR1);
    EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 1)));
    EXPECT_EQ(seen.calls, 0);
    const sigset_t set = signals({SIGUSR1});
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    EXPECT_EQ(seen.calls, 1);
    EXPECT_THAT(poll(kq), IsEmpty()) << "the delivery is no further posting";
  }
  post(SIGUSR1);
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 1)));
}

TEST_P(Signal_Counts, APostingBehindOneFromBeforeTheRegistrationCounts) {
  if (!hooked()) GTEST_SKIP() << kUnseen;
  const disposition handled(SIGUSR1, recording());
  const blocked now{SIGUSR1};
  post(SIGUSR1);
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  std::thread other([&] { EXPECT_THAT(await(kq), ElementsAre(posted(SIGUSR1, 1))); });
  post(SIGUSR1);
  other.join();
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Signal_Counts, RaisingABlockedSignalCountsEachTime) {
  if (!hooked()) GTEST_SKIP() << kUnseen;
  QUAY_SKIP_UNDER_TSAN();
  const disposition handled(SIGUSR1, recording());
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  const blocked now{SIGUSR1};
  for (int i = 0; i < 3; ++i) raise(SIGUSR1);
  EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 3)));
}

TEST_P(Signal_Counts, ExitedChildrenCount) {
  ASSERT_THAT(alter(kq, {watch(SIGCHLD)}), Succeeds());
  EXPECT_EQ(status_of_child([] { return 0; }), 0);
  EXPECT_THAT(await(kq), ElementsAre(posted(SIGCHLD, 1)));
}

TEST_P(Signal_Counts, IgnoredSigchldCountsWhereTheSystemCountsItAndChildrenAreReaped) {
  const disposition ignored(SIGCHLD, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGCHLD)}), Succeeds());
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  EXPECT_EQ(waitpid(pid, &status, 0), -1);
  EXPECT_EQ(errno, ECHILD);
  if (is(QUAY_DIALECT_FREEBSD)) {
    EXPECT_THAT(poll(kq), IsEmpty());
  } else {
    EXPECT_THAT(await(kq), ElementsAre(posted(SIGCHLD, 1)));
  }
}

TEST_P(Signal_Counts, IgnoredSigcontCountsEverywhereButOnDragonfly) {
  const disposition ignored(SIGCONT, SIG_IGN);
  ASSERT_THAT(alter(kq, {watch(SIGCONT)}), Succeeds());
  post(SIGCONT);
  if (is(QUAY_DIALECT_DRAGONFLY)) {
    EXPECT_THAT(poll(kq), IsEmpty());
  } else {
    EXPECT_THAT(poll(kq), ElementsAre(posted(SIGCONT, 1)));
  }
}

TEST_P(Signal_Counts, AQueueThatWatchesTheQueueWakesForASignal) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  const queue outer = make_queue(dialect());
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  ASSERT_THAT(alter(outer, {add(kq, EVFILT_READ)}), Succeeds());
  for (int round = 0; round < 3; ++round) {
    EXPECT_THAT(poll(outer), IsEmpty());
    post(SIGUSR1);
    EXPECT_THAT(await(outer), ElementsAre(Event(kq, EVFILT_READ).data(1)));
    EXPECT_THAT(poll(kq), ElementsAre(posted(SIGUSR1, 1)));
  }
  const blocked now{SIGUSR1};
  post(SIGUSR1);
  EXPECT_THAT(await(outer), ElementsAre(Event(kq, EVFILT_READ).data(1)));
}

TEST_P(Signal_Counts, NumbersThatAreNoSignalNeverFire) {
  for (const uintptr_t number : {uintptr_t{65}, uintptr_t{10000}, ~uintptr_t{0}}) {
    const change one = add(number, EVFILT_SIGNAL);
    if (is(QUAY_DIALECT_OPENBSD)) {
      EXPECT_THAT(alter(kq, {one}), FailsWith(EINVAL));
      continue;
    }
    EXPECT_THAT(alter(kq, {one}), Succeeds());
    EXPECT_THAT(poll(kq), IsEmpty());
    EXPECT_THAT(alter(kq, {remove(number, EVFILT_SIGNAL)}), Succeeds());
  }
  for (const int number : {SIGKILL, SIGSTOP, 0}) {
    EXPECT_THAT(submit(kq, {watch(number)}), Succeeds());
  }
}

TEST_P(Signal_Counts, RemovingWhatIsNotThereIsRefused) {
  EXPECT_THAT(alter(kq, {remove(SIGUSR1, EVFILT_SIGNAL)}), FailsWith(ENOENT));
}

TEST_P(Signal_Counts, ClosingAQueueWithPendingBlockedSignalsLeavesThemPending) {
  const blocked now{SIGUSR1};
  ASSERT_THAT(alter(kq, {watch(SIGUSR1)}), Succeeds());
  post(SIGUSR1);
  kq.close();
  EXPECT_TRUE(is_pending(SIGUSR1));
}

QUAY_IN_ALL_DIALECTS(Signal_Counts);

}  // namespace
}  // namespace quay::test
