// SPDX-License-Identifier: BSD-2-Clause
//
// What: every way in which libc closes a descriptor ends its notes at once, from any thread and from
// signal handlers.
// Contract: kqueue semantics, 1.7. The plain cases are in kqueue_closed.cc.
#include <dirent.h>
#include <signal.h>
#include <stdio.h>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

unique_fd eventfd_at(int number) {
  unique_fd made = make_eventfd();
  if (made != number) made = unique_fd(checked(::fcntl(made, F_DUPFD_CLOEXEC, number), "F_DUPFD"));
  EXPECT_EQ(made, number) << "the test wants the number back";
  return made;
}

// A watched number, and whether its note is gone although the number means the same file again.
class Kqueue_Hooks : public dialect_test {
 protected:
  void SetUp() override {
    if (!hooked())
      GTEST_SKIP()
          << "needs the hooks library: nothing else can see close(), dup2() and their like";
  }
  void watch(int fd) { ASSERT_THAT(alter(kq, {add(fd, EVFILT_WRITE, EV_DISABLE)}), Succeeds()); }
  bool note_is_gone(int number) {
    const unique_fd reused = eventfd_at(number);
    return alter(kq, {enable(number, EVFILT_WRITE)}).error == ENOENT;
  }
};

TEST_P(Kqueue_Hooks, CloseRangeAndClosefrom) {
  constexpr int kFirst = 700;
  for (const bool from : {false, true}) {
    for (int n = 0; n < 5; ++n) {
      ASSERT_EQ(::fcntl(make_eventfd(), F_DUPFD_CLOEXEC, kFirst + n), kFirst + n);
      if (n % 2 == 0) watch(kFirst + n);
    }
    if (from) {
      ::closefrom(kFirst);
    } else {
      ASSERT_EQ(::close_range(kFirst, kFirst + 4, 0), 0);
    }
    for (int n = 0; n < 5; n += 2) EXPECT_TRUE(note_is_gone(kFirst + n)) << from << n;
  }
}

TEST_P(Kqueue_Hooks, ACloseRangeThatFailsEndsNothing) {
  const pipe_ends p = make_pipe();
  const unsigned number = static_cast<unsigned>(p.reader.get());
  ASSERT_THAT(alter(kq, {add(number, EVFILT_READ)}), Succeeds());
  EXPECT_EQ(::close_range(number, number, 1 << 6), -1);
  put(p.writer, "x");
  EXPECT_EQ(poll(kq).size(), 1U);
}

TEST_P(Kqueue_Hooks, AQueueInACloseRangeEnds) {
  const int number = quay_kqueue(dialect(), 0);
  ASSERT_THAT(alter(number, {add(1, EVFILT_USER)}), Succeeds());
  waiter thread(number);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_EQ(::close_range(static_cast<unsigned>(number), static_cast<unsigned>(number), 0), 0);
  EXPECT_THAT(thread.result(), FailsWith(EBADF));
}

TEST_P(Kqueue_Hooks, FcloseFreopenPcloseAndClosedir) {
  FILE* file = ::fdopen(::dup(make_eventfd()), "w");
  int number = ::fileno(file);
  watch(number);
  ::fclose(file);
  EXPECT_TRUE(note_is_gone(number)) << "fclose";

  file = ::fdopen(::dup(make_eventfd()), "w");
  number = ::fileno(file);
  watch(number);
  for (const auto reopen : {&::freopen, &::freopen64}) {
    file = reopen("/dev/null", "w", file);
    EXPECT_THAT(alter(kq, {enable(number, EVFILT_WRITE)}),
                FailsWith(::fileno(file) == number ? ENOENT : EBADF))
        << "freopen";
    const unique_fd object = make_eventfd();
    number = ::fileno(file);
    ASSERT_EQ(::dup2(object, number), number);
    watch(number);
  }
  ::fclose(file);

  file = ::popen("cat >/dev/null", "w");
  number = ::fileno(file);
  watch(number);
  ::pclose(file);
  EXPECT_TRUE(note_is_gone(number)) << "pclose";

  DIR* folder = ::opendir("/");
  number = ::dirfd(folder);
  const outcome watched = alter(kq, {add(number, EVFILT_WRITE, EV_DISABLE)});
  ::closedir(folder);
  if (watched.result == 0) {
    EXPECT_TRUE(note_is_gone(number)) << "closedir";
  }
}

TEST_P(Kqueue_Hooks, Dup3OverAWatchedNumberEndsItsNotesAndAFailedOneDoesNot) {
  const unique_fd watched = make_eventfd();
  watch(watched);
  EXPECT_EQ(::dup3(-1, watched, 0), -1);
  EXPECT_EQ(::dup3(watched, watched, 0), -1);
  EXPECT_THAT(alter(kq, {enable(watched, EVFILT_WRITE)}), Succeeds());
  const unique_fd other = make_eventfd();
  EXPECT_EQ(::dup3(other, watched, O_CLOEXEC), watched.get());
  EXPECT_THAT(alter(kq, {enable(watched, EVFILT_WRITE)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Hooks, Dup2OfAnotherQueueOverAQueueEndsIt) {
  const queue other = make_queue(dialect());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_EQ(::dup2(other, kq), kq.operator int());
  EXPECT_THAT(thread.result(), FailsWith(EBADF));
  ASSERT_THAT(alter(other, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  EXPECT_THAT(poll(kq), SizeIs(1));
}

TEST_P(Kqueue_Hooks, ANumberThatArrivesInAMessageIsANewOne) {
  const socket_pair s = make_socketpair();
  const pipe_ends p = make_pipe();
  const unique_fd spare = make_eventfd();
  const int number = ::fcntl(spare, F_DUPFD_CLOEXEC, 0);
  watch(number);
  // Closed behind everybody's back.
  ASSERT_EQ(::syscall(SYS_close, number), 0);
  char byte = 'x';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  const int sent = p.writer;
  std::memcpy(CMSG_DATA(head), &sent, sizeof sent);
  ASSERT_EQ(::sendmsg(s.here, &message, 0), 1);
  ASSERT_EQ(::recvmsg(s.there, &message, 0), 1);
  int received = -1;
  std::memcpy(&received, CMSG_DATA(head), sizeof received);
  const unique_fd owned(received);
  ASSERT_EQ(received, number) << "the test wants a certain number";
  EXPECT_THAT(alter(kq, {enable(number, EVFILT_WRITE)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Hooks, ANumberThatAQueueLostBehindEverybodysBackIsTheNextFiles) {
  const pipe_ends p = make_pipe();
  const int number = quay_kqueue(dialect(), 0);
  ASSERT_GE(number, 0);
  ASSERT_EQ(::syscall(SYS_dup3, p.reader.get(), number, O_CLOEXEC), number);
  const unique_fd reader(number);
  ASSERT_EQ(::write(p.writer, "x", 1), 1);
  EXPECT_THAT(alter(kq, {add(reader, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), SizeIs(1));
  char byte = 0;
  EXPECT_EQ(::read(reader, &byte, 1), 1);
}

std::atomic<int> g_victim{-1};
std::atomic<int> g_handled{0};

void close_victim(int) {
  const int saved = errno;
  ::close(g_victim.exchange(-1));
  ++g_handled;
  errno = saved;
}

// A signal that interrupts this thread, once, some microseconds after it was asked for.
class interruption {
 public:
  explicit interruption(int signal) {
    sigevent how{};
    how.sigev_notify = SIGEV_SIGNAL;
    how.sigev_signo = signal;
    checked(::timer_create(CLOCK_MONOTONIC, &how, &timer_), "timer_create");
  }
  ~interruption() { ::timer_delete(timer_); }
  interruption(const interruption&) = delete;
  interruption& operator=(const interruption&) = delete;
  void in(std::chrono::nanoseconds delay) {
    itimerspec when{};
    when.it_value = to_timespec(delay);
    checked(::timer_settime(timer_, 0, &when, nullptr), "timer_settime");
  }

 private:
  timer_t timer_{};
};

// The handler finds its thread anywhere in the library: holding the queue's mutex, about to take it,
// or waiting for it, as another thread uses the queue too. What the handler puts off is done when
// the interrupted call returns.
TEST_P(Kqueue_Hooks, CloseInASignalHandlerMayInterruptTheQueueItself) {
  struct sigaction action {};
  struct sigaction before;
  action.sa_handler = close_victim;
  action.sa_flags = SA_RESTART;
  ASSERT_EQ(::sigaction(SIGUSR2, &action, &before), 0);
  interruption signal(SIGUSR2);
  std::atomic<bool> stop = false;
  std::thread rival([&] {
    sigset_t mine;
    ::sigemptyset(&mine);
    ::sigaddset(&mine, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &mine, nullptr);
    while (!stop) alter(kq, {add(3, EVFILT_USER, EV_DISABLE), remove(3, EVFILT_USER)});
  });
  constexpr int kRounds = 1500;
  int done = 0;
  for (; done < kRounds && !HasFailure(); ++done) {
    const int number = eventfd_at(700).release();  // where no descriptor of the library's goes
    watch(number);
    g_victim = number;
    const int handled = g_handled;
    signal.in(std::chrono::nanoseconds(1 + done * 20));  // every phase of the calls below
    while (g_handled == handled) {
      EXPECT_GE(
          submit(kq, {add(1, EVFILT_USER), trigger(1), add(2, EVFILT_TIMER).data(100000)}).result,
          1);
      EXPECT_THAT(alter(kq, {remove(1, EVFILT_USER), remove(2, EVFILT_TIMER)}), Succeeds());
    }
    EXPECT_TRUE(note_is_gone(number)) << "round " << done;
  }
  stop = true;
  rival.join();
  EXPECT_EQ(done, kRounds);
  ::sigaction(SIGUSR2, &before, nullptr);
}

// The number is closed and given away while the call that registers it is under way.
TEST_P(Kqueue_Hooks, ARegistrationThatRacesTheCloseLeavesNoNoteOnAClosedNumber) {
  constexpr int kNumber = 800;
  std::atomic<bool> stop = false;
  std::thread registrar([&] {
    while (!stop) alter(kq, {add(kNumber, EVFILT_READ), add(kNumber, EVFILT_WRITE, EV_CLEAR)});
  });
  for (int round = 0; round < 1500; ++round) {
    const unique_fd spare = make_eventfd(1);
    unique_fd number(::fcntl(spare, F_DUPFD_CLOEXEC, kNumber));
    ASSERT_EQ(number, kNumber);
    // Open for between nothing and the time of a registration or two: every phase is met.
    for (volatile int spin = round % 500; spin > 0;) spin = spin - 1;
    number.close();
  }
  stop = true;
  registrar.join();
  // Whatever slipped in is gone: nothing is reported, nothing is there to be deleted.
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_TRUE(note_is_gone(kNumber));
  quay_stats stats{};
  quay_stats_get(&stats, sizeof stats);
  EXPECT_EQ(stats.notes, 0u);
}

QUAY_IN_ALL_DIALECTS(Kqueue_Hooks);

}  // namespace
}  // namespace quay::test
