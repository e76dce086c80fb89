// SPDX-License-Identifier: BSD-2-Clause
//
// What: what programs do while their signals are watched: call the library from handlers that
// interrupted it, collect children, keep their masks.
// Contract: signal semantics B8 rules 2, 6 and 9, tests E9, E10, E17.
#include <thread>

#include "illumos/sys/signalfd.h"
#include "support/kqueue.hpp"
#include "support/matchers.hpp"
#include "support/pipe.hpp"
#include "support/port.hpp"
#include "support/signals.hpp"

namespace quay::test {
namespace {

class Signal_Programs : public testing::Test {
 protected:
  void watch(int number) { ASSERT_THAT(alter(kq, {add(number, EVFILT_SIGNAL)}), Succeeds()); }
  intptr_t counted() {
    intptr_t sum = 0;
    for (const struct kevent& e : poll(kq)) sum += e.data;
    return sum;
  }
  // Calls `work` over and over while a thread sends SIGUSR1 here.
  template <class Work>
  static void under_fire(Work work) {
    std::atomic<bool> done{false};
    const pthread_t self = pthread_self();
    std::thread sender([&] {
      for (int i = 0; i < 2000; ++i) pthread_kill(self, SIGUSR1);
      done = true;
    });
    while (!done) work();
    sender.join();
  }

  const queue kq = make_queue();
};

// What a handler uses; it has no other way to know.
int g_first = -1;
int g_second = -1;
std::atomic<long> g_done{0};

TEST_F(Signal_Programs, HandlersMayReadAndWriteThePipeThatTheyInterrupted) {
  const pipes::pipe_pair p(O_NONBLOCK);
  g_first = p.reader();
  g_second = p.writer();
  g_done = 0;
  const disposition handled(SIGUSR1, [](int) {
    const int saved = errno;
    char bytes[2] = {};
    if (quay_write(g_second, bytes, 2) == 2) g_done += 2;
    const ssize_t n = quay_read(g_first, bytes, 1);
    if (n > 0) g_done -= n;
    errno = saved;
  });
  watch(SIGUSR1);
  long here = 0;
  under_fire([&] {
    char bytes[64] = {};
    const ssize_t in = quay_write(p.writer(), bytes, 3);
    const ssize_t out = quay_read(p.reader(), bytes, sizeof bytes);
    here += (in > 0 ? in : 0) - (out > 0 ? out : 0);
  });
  EXPECT_EQ(pipes::held(p.reader()), here + g_done) << "every byte went in and out once";
}

TEST_F(Signal_Programs, HandlersMaySendToThePortThatTheyInterrupted) {
  const test_port port;
  g_first = port;
  g_done = 0;
  const disposition handled(SIGUSR1, [](int) {
    const int saved = errno;
    if (port_send(g_first, 1, nullptr) == 0) ++g_done;
    errno = saved;
  });
  watch(SIGUSR1);
  long here = 0;
  under_fire([&] { here += static_cast<long>(taken(port).size()); });
  for (std::size_t more = 1; more != 0; here += static_cast<long>(more)) more = taken(port).size();
  EXPECT_EQ(here, g_done);
  EXPECT_GT(here, 0);
}

TEST_F(Signal_Programs, HandlersMayReadTheSignalDescriptorThatTheyInterrupted) {
  const blocked held{SIGUSR2};
  const sigset_t other = signals({SIGUSR2});
  const int fd = quay_signalfd(-1, &other, SFD_NONBLOCK);
  ASSERT_GE(fd, 0);
  g_first = fd;
  g_done = 0;
  const disposition handled(SIGUSR1, [](int) {
    const int saved = errno;
    signalfd_siginfo record{};
    if (quay_read(g_first, &record, sizeof record) == 128) ++g_done;
    errno = saved;
  });
  watch(SIGUSR1);
  ASSERT_THAT(alter(kq, {add(static_cast<uintptr_t>(fd), EVFILT_READ)}), Succeeds());
  long sent = 0;
  long here = 0;
  under_fire([&] {
    raise(SIGUSR2);
    ++sent;
    poll(kq);
    signalfd_siginfo record{};
    while (here + g_done < sent) {
      if (quay_read(fd, &record, sizeof record) == 128) ++here;
    }
  });
  EXPECT_EQ(here + g_done, sent);
  quay_close(fd);
}

TEST_F(Signal_Programs, ChildrenThatNobodyWaitsForAreReapedAndCounted) {
  struct sigaction act = recording(SA_NOCLDWAIT);
  seen.clear();
  const disposition handled(SIGCHLD, act);
  watch(SIGCHLD);
  EXPECT_EQ(status_of_child([] { return 0; }), -1) << "there is nobody to wait for";
  EXPECT_EQ(errno, ECHILD);
  while (seen.calls == 0) std::this_thread::yield();
  EXPECT_EQ(counted(), 1);
  struct sigaction now {};
  sigaction(SIGCHLD, nullptr, &now);
  EXPECT_NE(now.sa_flags & SA_NOCLDWAIT, 0);
}

TEST_F(Signal_Programs, StoppedChildrenAreNotToldToWhoDoesNotWantIt) {
  const disposition handled(SIGCHLD, recording(SA_NOCLDSTOP));
  watch(SIGCHLD);
  const pid_t pid = fork();
  if (pid == 0) {
    raise(SIGSTOP);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(counted(), 0);
  kill(pid, SIGCONT);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  EXPECT_EQ(counted(), 1) << "its end";
}

TEST_F(Signal_Programs, WhatOneIgnoresAndPostsToOneselfInterruptsNoOtherThread) {
  if (!hooked()) GTEST_SKIP() << "needs the hooks library: nothing else can see kill and raise";
  const disposition ignored(SIGUSR1, SIG_IGN);
  watch(SIGUSR1);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  pipes::call other([&] {
    pollfd wait{ends[0], POLLIN, 0};
    return ::poll(&wait, 1, 20000);
  });
  other.until_asleep();
  for (int i = 0; i < 50; ++i) {
    kill(getpid(), SIGUSR1);
    raise(SIGUSR1);
  }
  EXPECT_EQ(counted(), 100);
  EXPECT_EQ(write(ends[1], "x", 1), 1);
  EXPECT_EQ(other.result(), 1);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(Signal_Programs, WhatOneIgnoresIsForgottenThoughItIsBlocked) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  watch(SIGUSR1);
  const blocked held{SIGUSR1};
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(counted(), 1);
  EXPECT_FALSE(is_pending(SIGUSR1));
  raise(SIGUSR1);
  EXPECT_EQ(counted(), 1) << "directed at a thread that blocks it";
  EXPECT_FALSE(is_pending(SIGUSR1));
}

TEST_F(Signal_Programs, WatchingChangesNoMask) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, nullptr, &before);
  for (const int number : {SIGUSR1, SIGCHLD, SIGTSTP, SIGRTMIN}) watch(number);
  raise(SIGUSR1);
  EXPECT_EQ(counted(), 1);
  sigset_t after;
  pthread_sigmask(SIG_BLOCK, nullptr, &after);
  for (int number = 1; number <= SIGRTMAX; ++number) {
    EXPECT_EQ(sigismember(&after, number), sigismember(&before, number)) << number;
  }
}

}  // namespace
}  // namespace quay::test
