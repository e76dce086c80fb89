// SPDX-License-Identifier: BSD-2-Clause
//
// What: who waits for a signal descriptor: poll, epoll and event ports, before and after fork, and
// readers that sleep.
// Contract: signal semantics B4, B5, tests S6, S12, S15, S19-S21.
#include <poll.h>
#include <sys/epoll.h>

#include "illumos/sys/signalfd.h"
#include "support/matchers.hpp"
#include "support/pipe.hpp"
#include "support/port.hpp"
#include "support/signals.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Signal_FdWatchers : public testing::Test {
 protected:
  Signal_FdWatchers() : fd(quay_signalfd(-1, &both, SFD_CLOEXEC)) {}
  ~Signal_FdWatchers() override { quay_close(fd); }
  void SetUp() override {
    seen.clear();
    ASSERT_GE(fd, 0);
  }
  // The number of the next record.
  int take() const {
    signalfd_siginfo record{};
    EXPECT_EQ(quay_read(fd, &record, sizeof record), 128);
    return static_cast<int>(record.ssi_signo);
  }

  const blocked held{SIGUSR1, SIGUSR2};
  const sigset_t both = signals({SIGUSR1, SIGUSR2});
  const int fd;
};

TEST_F(Signal_FdWatchers, PollEpollAndQuayPollSeeWhatIsPending) {
  const unique_fd set(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
  epoll_event event{EPOLLIN, {}};
  ASSERT_EQ(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
  const auto all_see = [&](int count) {
    pollfd p{fd, POLLIN, 0};
    EXPECT_EQ(::poll(&p, 1, 0), count);
    EXPECT_EQ(quay_poll(&p, 1, 0), count);
    EXPECT_EQ(epoll_wait(set, &event, 1, 0), count);
  };
  all_see(0);
  raise(SIGUSR1);
  all_see(1);
  EXPECT_EQ(take(), SIGUSR1);
  all_see(0);
}

TEST_F(Signal_FdWatchers, ASleepingPollWakesForASignal) {
  pipes::call waiting([&] {
    pollfd p{fd, POLLIN, 0};
    return quay_poll(&p, 1, 20000) == 1 ? p.revents : 0;
  });
  waiting.until_asleep();
  kill(getpid(), SIGUSR2);
  EXPECT_EQ(waiting.result(), POLLIN);
  EXPECT_EQ(take(), SIGUSR2);
}

TEST_F(Signal_FdWatchers, ClosingWakesWhoSleepsInPoll) {
  const int other = quay_signalfd(-1, &both, 0);
  ASSERT_GE(other, 0);
  pipes::call waiting([&] {
    pollfd p{other, POLLIN, 0};
    return quay_poll(&p, 1, 20000) == 1 ? p.revents : 0;
  });
  waiting.until_asleep();
  quay_close(other);
  EXPECT_EQ(waiting.result(), POLLNVAL);
}

TEST_F(Signal_FdWatchers, ASignalOutsideTheMaskInterruptsAReadUnlessItIsToBeRestarted) {
  QUAY_SKIP_UNDER_TSAN();
  for (const int flags : {0, static_cast<int>(SA_RESTART)}) {
    seen.clear();
    const disposition handled(SIGHUP, recording(flags));
    pipes::call reading([&] {
      signalfd_siginfo record{};
      const ssize_t n = quay_read(fd, &record, sizeof record);
      return n == 128 ? static_cast<ssize_t>(record.ssi_signo) : n;
    });
    reading.until_asleep();
    reading.signal(SIGHUP);
    if (flags != 0) {
      while (seen.calls == 0) std::this_thread::yield();
      EXPECT_FALSE(reading.done());
      kill(getpid(), SIGUSR1);
    }
    EXPECT_EQ(reading.result(), flags != 0 ? SIGUSR1 : -EINTR);
    EXPECT_EQ(seen.calls, 1);
  }
}

TEST_F(Signal_FdWatchers, AReaderIsReleasedByATimerAndByAQueuedSignal) {
  pipes::call first([&] { return static_cast<ssize_t>(take()); });
  first.until_asleep();
  timer_t timer{};
  sigevent how{};
  how.sigev_notify = SIGEV_SIGNAL;
  how.sigev_signo = SIGUSR1;
  ASSERT_EQ(timer_create(CLOCK_MONOTONIC, &how, &timer), 0);
  const itimerspec soon{{0, 0}, {0, 1}};
  ASSERT_EQ(timer_settime(timer, 0, &soon, nullptr), 0);
  EXPECT_EQ(first.result(), SIGUSR1);
  timer_delete(timer);
  pipes::call second([&] { return static_cast<ssize_t>(take()); });
  second.until_asleep();
  sigqueue(getpid(), SIGUSR2, sigval{5});
  EXPECT_EQ(second.result(), SIGUSR2);
}

// --- event ports ----------------------------------------------------------------------------------

class Signal_FdPort : public Signal_FdWatchers {
 protected:
  auto readable(uintptr_t user) const { return Is(PORT_SOURCE_FD, POLLIN, fd, user); }

  const test_port port;
};

TEST_F(Signal_FdPort, APortTellsOnceForEachAssociation) {
  ASSERT_THAT(associate(port, fd, POLLIN, 7), Works());
  EXPECT_THAT(taken(port), IsEmpty());
  raise(SIGUSR1);
  EXPECT_THAT(taken(port), ElementsAre(readable(7)));
  EXPECT_THAT(taken(port), IsEmpty()) << "the association is used up";
  ASSERT_THAT(associate(port, fd, POLLIN, 8), Works());
  EXPECT_THAT(taken(port), ElementsAre(readable(8))) << "it is pending still";
  EXPECT_EQ(take(), SIGUSR1);
}

TEST_F(Signal_FdPort, ASleeperInThePortWakes) {
  ASSERT_THAT(associate(port, fd, POLLIN, 7), Works());
  pipes::call waiting([&] { return static_cast<ssize_t>(arrivals(port).size()); });
  waiting.until_asleep();
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(waiting.result(), 1);
  EXPECT_EQ(take(), SIGUSR1);
}

TEST_F(Signal_FdPort, ClosingEndsTheAssociation) {
  const int other = quay_signalfd(-1, &both, 0);
  ASSERT_THAT(associate(port, other, POLLIN, 7), Works());
  quay_close(other);
  raise(SIGUSR1);
  EXPECT_THAT(taken(port), IsEmpty());
  EXPECT_EQ(take(), SIGUSR1);
}

TEST_F(Signal_FdPort, AChildThatWaitsInThePortTakesNothingOfTheParents) {
  ASSERT_THAT(associate(port, fd, POLLIN, 7), Works());
  pipes::child other([&] {
    arrivals(port, 2);
    return 0;
  });
  other.until_asleep();
  for (int round = 0; round < 20; ++round) {
    kill(getpid(), SIGUSR1);
    ASSERT_THAT(arrivals(port), ElementsAre(readable(7))) << "round " << round;
    EXPECT_EQ(take(), SIGUSR1);
    ASSERT_THAT(associate(port, fd, POLLIN, 7), Works());
  }
}

TEST_F(Signal_FdPort, AParentThatSleepsWhenTheChildComesMissesNothing) {
  ASSERT_THAT(associate(port, fd, POLLIN, 7), Works());
  pipes::call waiting([&] { return static_cast<ssize_t>(arrivals(port).size()); });
  waiting.until_asleep();
  pipes::child other([&] {
    arrivals(port, 2);
    return 0;
  });
  other.until_asleep();
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(waiting.result(), 1);
  EXPECT_EQ(take(), SIGUSR1);
}

TEST_F(Signal_FdPort, AChildsAssociationIsForItsOwnSignalsAndLeavesTheParentsAlone) {
  ASSERT_THAT(associate(port, fd, POLLIN, 7), Works());
  EXPECT_TRUE(in_child([&] {
    if (associate(port, fd, POLLIN, 9) != 0) return false;
    kill(getppid(), SIGUSR2);
    if (!taken(port).empty()) return false;
    raise(SIGUSR1);
    const auto got = arrivals(port);
    return got.size() == 1 && got[0].portev_user == cookie(9) && dissociate(port, fd) != 0 &&
           take() == SIGUSR1;
  }));
  EXPECT_THAT(arrivals(port), ElementsAre(readable(7)));
  EXPECT_EQ(take(), SIGUSR2);
}

}  // namespace
}  // namespace quay::test
