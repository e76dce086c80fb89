// SPDX-License-Identifier: BSD-2-Clause
//
// What: cancellation and the calls beside the wait: changes are no points of cancellation whatever
// they have to do, and libc's calls behind the hooks stay the points that they were.
// Contract: kevent(2), FreeBSD; pthreads(7), "Cancellation points".
#include <poll.h>
#include <sys/signalfd.h>

#include "support/cancellation.hpp"
#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/processes.hpp"

namespace quay::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class Kqueue_CancelCalls : public dialect_test {};

// Each of these reads, opens, asks or listens inside the library.
TEST_P(Kqueue_CancelCalls, NoChangeIsAPointOfCancellation) {
  const temporary_directory directory;
  const unique_fd file = directory.make_file("abc");
  const socket_pair s = make_socketpair();
  const pipe_ends p = make_pipe();
  const queue other = make_queue(dialect());
  put(s.there, "x");
  const changes all{
      add(file, EVFILT_READ),
      add(file, EVFILT_VNODE, EV_CLEAR).fflags(NOTE_WRITE),
      add(s.here, EVFILT_READ),
      add(s.here, EVFILT_WRITE),
      add(p.writer, EVFILT_WRITE),
      add(other, EVFILT_READ),
      add(static_cast<uintptr_t>(::getpid()), EVFILT_PROC).fflags(NOTE_EXIT | NOTE_FORK),
      add(SIGUSR1, EVFILT_SIGNAL),
      add(1, EVFILT_TIMER).data(100000),
      add(2, EVFILT_USER)};
  cancellable_call pending(
      [&] {
        for (const change& each : all) {
          alter(kq, {each});
          struct stat st {};
          quay_fstat(kq, &st);  // looks at the kernel
        }
      },
      cancellable_call::start::when_cancelled);
  pending.cancel();
  EXPECT_FALSE(pending.join());
  EXPECT_THAT(alter(kq, {trigger(2)}), Succeeds());
}

QUAY_IN_ALL_DIALECTS(Kqueue_CancelCalls);

TEST(Kqueue_CancelLibc, PollReadAndQuayReadAreCancelled) {
  const queue kq = make_queue();
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  ASSERT_EQ(::fcntl(p.reader, F_SETFL, 0), 0);  // a call that may sleep
  char byte = 0;
  for (const std::function<void()>& call : std::initializer_list<std::function<void()>>{
           [&] {
             pollfd one{p.reader, POLLIN, 0};
             ::poll(&one, 1, -1);
           },
           [&] {
             pollfd one{kq, POLLIN, 0};
             ::quay_poll(&one, 1, -1);
           },
           [&] {
             pollfd one{kq, POLLIN, 0};
             ::poll(&one, 1, -1);
           },
           [&] { static_cast<void>(!::read(p.reader, &byte, 1)); },
           [&] { static_cast<void>(!::quay_read(p.reader, &byte, 1)); }}) {
    cancellable_call sleeper(call);
    ASSERT_TRUE(sleeper.falls_asleep());
    sleeper.cancel();
    EXPECT_TRUE(sleeper.join());
  }
  put(p.writer, "x");
  EXPECT_THAT(poll(kq), SizeIs(1));
}

TEST(Kqueue_CancelLibc, AReaderOfASignalfdIsCancelledAndKeepsItsMask) {
  sigset_t mask;
  ::sigemptyset(&mask);
  ::sigaddset(&mask, SIGUSR2);
  const unique_fd file(checked(::quay_signalfd(-1, &mask, SFD_CLOEXEC), "quay_signalfd"));
  std::atomic<bool> restored = false;
  cancellable_call reader([&] {
    struct look {
      std::atomic<bool>& restored;
      ~look() {
        sigset_t now;
        ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
        restored = ::sigismember(&now, SIGUSR2) == 0;
      }
    } at_the_end{restored};
    signalfd_siginfo record;
    static_cast<void>(!::quay_read(file, &record, sizeof record));
  });
  ASSERT_TRUE(reader.falls_asleep());
  reader.cancel();
  EXPECT_TRUE(reader.join());
  EXPECT_TRUE(restored);
}

// Cancelled before it closes, or not at all: the descriptor is open and its notes are there.
TEST(Kqueue_CancelLibc, ACancelledCloseHasClosedNothing) {
  const queue kq = make_queue();
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  const int number = p.reader;
  for (const bool ours : {false, true}) {
    cancellable_call closer([&] { ours ? ::quay_close(number) : ::close(number); },
                            cancellable_call::start::when_cancelled);
    closer.cancel();
    EXPECT_TRUE(closer.join());
    EXPECT_THAT(poll(kq), SizeIs(1));
  }
}

TEST(Kqueue_CancelLibc, SystemTakesItsCommandWithIt) {
  cancellable_call caller([&] { static_cast<void>(!::system("exec sleep 1000")); });
  ASSERT_TRUE(caller.falls_asleep());
  caller.cancel();
  EXPECT_TRUE(caller.join());
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
  EXPECT_EQ(::system("exit 3"), 3 << 8);
}

}  // namespace
}  // namespace quay::test
