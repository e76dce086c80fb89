// SPDX-License-Identifier: BSD-2-Clause
//
// What: odd arguments, signals in the middle, numbers that close while somebody uses them.
// Contract: semantics/pipes-signalfd.md A3, A4, A5, A6; A13 P5, P24, P29, P30, P51, P52.
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <climits>
#include <cstdint>

#include "pipe.hpp"
#include "support/threads.hpp"

namespace quay::test::pipes {
namespace {

std::atomic<int> g_signals{0};
void count_signal(int) { ++g_signals; }

// --- arguments -------------------------------------------------------------------------------------

TEST(Pipe_Arguments, ListsMayBeEmptyButNotTooLong) {
  pipe_pair p;
  std::vector<iovec> parts(IOV_MAX + 1);
  char byte = 'v';
  for (iovec& part : parts) part = {&byte, 1};
  EXPECT_EQ(outcome_of(quay_writev(p.writer(), parts.data(), IOV_MAX + 1)), -EINVAL);
  EXPECT_EQ(outcome_of(quay_writev(p.writer(), parts.data(), -1)), -EINVAL);
  EXPECT_EQ(outcome_of(quay_writev(p.writer(), parts.data(), 0)), 0);
  EXPECT_EQ(outcome_of(quay_writev(p.writer(), nullptr, 0)), 0);
  EXPECT_EQ(held(p.reader()), 0);
  EXPECT_EQ(outcome_of(quay_writev(p.writer(), parts.data(), IOV_MAX)), IOV_MAX);
  EXPECT_EQ(outcome_of(quay_readv(p.reader(), parts.data(), IOV_MAX + 1)), -EINVAL);
  EXPECT_EQ(outcome_of(quay_readv(p.reader(), parts.data(), 0)), 0);
  EXPECT_EQ(outcome_of(quay_readv(p.reader(), nullptr, 0)), 0);
  EXPECT_EQ(outcome_of(quay_readv(p.reader(), parts.data(), IOV_MAX)), IOV_MAX);
}

TEST(Pipe_Arguments, LengthsMustNotAddUpToMoreThanACount) {
  pipe_pair p;
  char byte = 'v';
  const iovec parts[2] = {{&byte, 1}, {&byte, SSIZE_MAX}};
  EXPECT_EQ(outcome_of(quay_writev(p.writer(), parts, 2)), -EINVAL);
  EXPECT_EQ(outcome_of(quay_readv(p.reader(), parts, 2)), -EINVAL);
  constexpr size_t kMore = static_cast<size_t>(SSIZE_MAX) + 1;
  EXPECT_EQ(outcome_of(quay_write(p.writer(), &byte, kMore)), -EINVAL);
  EXPECT_EQ(outcome_of(quay_read(p.reader(), &byte, kMore)), -EINVAL);
  EXPECT_EQ(held(p.reader()), 0);
}

TEST(Pipe_Arguments, AReaderMayWaitForMoreThanMemoryHolds) {
  constexpr size_t kMost = SSIZE_MAX;
  for (const size_t count : {kMost, kMost / 2 + 1, kMost / 4 + 1, kMost / 8 + 1}) {
    pipe_pair p;
    char byte = 0;
    thread_in_call<long> reader([&] { return outcome_of(quay_read(p.reader(), &byte, count)); });
    ASSERT_TRUE(reader.falls_asleep());
    EXPECT_EQ(outcome_of(quay_write(p.writer(), "v", 1)), 1);
    EXPECT_EQ(reader.result(), 1);
    EXPECT_EQ(byte, 'v');
  }
}

TEST(Pipe_Arguments, ReadingNothingAsksNothing) {
  pipe_pair p;
  EXPECT_EQ(take(p.reader(), 0), 0);  // with nothing there, and blocking
  p.close(1);
  EXPECT_EQ(take(p.reader(), 0), 0);
  EXPECT_EQ(outcome_of(quay_read(p.reader(), reinterpret_cast<void*>(16), 0)), 0);
}

TEST(Pipe_Arguments, WritingNothingMeetsTheReaderOrFails) {
  pipe_pair p(O_NONBLOCK);
  EXPECT_EQ(put(p.writer(), 0), 0);
  fill(p.writer());
  EXPECT_EQ(put(p.writer(), 0), 0);
  EXPECT_EQ(outcome_of(quay_write(p.writer(), reinterpret_cast<void*>(16), 0)), 0);
  p.close(0);
  const ignored_signal no_sigpipe(SIGPIPE);
  EXPECT_EQ(put(p.writer(), 0), -EPIPE);
}

TEST(Pipe_Arguments, AListWithABadBufferMovesNothing) {
  pipe_pair p;
  char good[] = "good";
  const iovec parts[2] = {{good, 4}, {reinterpret_cast<void*>(16), 4}};
  EXPECT_EQ(outcome_of(quay_writev(p.writer(), parts, 2)), -EFAULT);
  EXPECT_EQ(held(p.reader()), 0);
  put(p.writer(), "12345678");
  EXPECT_EQ(outcome_of(quay_readv(p.reader(), parts, 2)), -EFAULT);
  EXPECT_EQ(take_text(p.reader(), 10), "12345678");
}

TEST(Pipe_Arguments, EmptyBuffersInAListAreStepsOver) {
  pipe_pair p;
  char a[] = "ab";
  char b[] = "cd";
  const iovec parts[5] = {{nullptr, 0}, {a, 2}, {nullptr, 0}, {b, 2}, {nullptr, 0}};
  EXPECT_EQ(quay_writev(p.writer(), parts, 5), 4);
  char got[4] = {};
  const iovec room[4] = {{nullptr, 0}, {got, 1}, {nullptr, 0}, {got + 1, 3}};
  EXPECT_EQ(quay_readv(p.reader(), room, 4), 4);
  EXPECT_EQ(std::string(got, 4), "abcd");
}

TEST(Pipe_Arguments, ADirectWriteFromABadBufferIsRefusedAndThePipeGoesOn) {
  pipe_pair p;
  EXPECT_EQ(outcome_of(quay_write(p.writer(), reinterpret_cast<void*>(16), 20000)), -EFAULT);
  EXPECT_EQ(held(p.reader()), 0);
  EXPECT_EQ(ready(p.writer()), POLLOUT);
  EXPECT_EQ(put(p.writer(), "on"), 2);
}

TEST(Pipe_Arguments, ABadPlaceForTheResultLeavesNoDescriptor) {
  const int lowest = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(lowest);
  EXPECT_EQ(outcome_of(quay_pipe2(nullptr, 0)), -EFAULT);
  const int same = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(same, lowest);
  ::close(same);
}

// --- short counts ----------------------------------------------------------------------------------

// A blocking write that does not go in at once, of buffers too small for a direct one.
long write_in_pieces(int fd, size_t pieces) {
  std::string piece(4096, 'p');
  std::vector<iovec> parts(pieces, {piece.data(), piece.size()});
  return outcome_of(quay_writev(fd, parts.data(), static_cast<int>(pieces)));
}

TEST(Pipe_ShortCount, AWriteThatWasPartlyTakenWhenTheReaderCloses) {
  g_signals = 0;
  const ignored_signal pipe(SIGPIPE, count_signal);
  for (const int end : {0, 1}) {
    pipe_pair p;
    call writer([&] { return write_in_pieces(p[1 - end], 20); });
    writer.until_asleep();
    EXPECT_EQ(held(p[end]), 65536);
    p.close(end);
    EXPECT_EQ(writer.result(), 65536);
    EXPECT_EQ(g_signals, 0);
  }
}

TEST(Pipe_ShortCount, AWriteThatWasPartlyTakenWhenASignalComes) {
  for (const int flags : {0, SA_RESTART}) {
    const ignored_signal usr(SIGUSR1, count_signal, flags);
    pipe_pair p;
    call writer([&] { return write_in_pieces(p.writer(), 20); });
    writer.until_asleep();
    writer.signal(SIGUSR1);
    EXPECT_EQ(writer.result(), 65536);
    EXPECT_EQ(held(p.reader()), 65536);
  }
}

TEST(Pipe_ShortCount, AReadReturnsWhatIsThere) {
  pipe_pair p;
  put(p.writer(), 5);
  EXPECT_EQ(take(p.reader(), 100), 5);
  char got[10] = {};
  put(p.writer(), 3);
  const iovec parts[2] = {{got, 2}, {got + 2, 8}};
  EXPECT_EQ(quay_readv(p.reader(), parts, 2), 3);
}

// --- signals ---------------------------------------------------------------------------------------

TEST(Pipe_Signals, AWriterThatGotNothingInIsInterruptedUnlessItRestarts) {
  for (const int end : {0, 1}) {
    for (const int flags : {0, SA_RESTART}) {
      const ignored_signal usr(SIGUSR1, count_signal, flags);
      pipe_pair p;
      set_nonblocking(p[end], true);
      fill(p[end]);
      set_nonblocking(p[end], false);
      call writer([&] { return put(p[end], 100); });
      writer.until_asleep();
      writer.signal(SIGUSR1);
      if (flags == 0) {
        EXPECT_EQ(writer.result(), -EINTR);
      } else {
        writer.until_asleep();
        EXPECT_FALSE(writer.done());
        take(p[1 - end], 65536);
        EXPECT_EQ(writer.result(), 100);
      }
    }
  }
}

TEST(Pipe_Signals, AWriterThatWaitsForTheRingToDrainIsInterrupted) {
  const ignored_signal usr(SIGUSR1, count_signal);
  pipe_pair p;
  put(p.writer(), 10);
  call writer([&] { return put(p.writer(), 8192); });
  writer.until_asleep();
  EXPECT_EQ(held(p.reader()), 10);
  writer.signal(SIGUSR1);
  EXPECT_EQ(writer.result(), -EINTR);
  EXPECT_EQ(held(p.reader()), 10);
}

TEST(Pipe_Signals, SigpipeThatIsBlockedWaitsForItsThread) {
  sigset_t set;
  sigset_t before;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, &before);
  pipe_pair p;
  p.close(0);
  EXPECT_EQ(put(p.writer(), 1), -EPIPE);
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 1);
  call other([&] {  // not the process's
    sigset_t here;
    sigpending(&here);
    return sigismember(&here, SIGPIPE);
  });
  EXPECT_EQ(other.result(), 0);
  const timespec now{0, 0};
  EXPECT_EQ(sigtimedwait(&set, nullptr, &now), SIGPIPE);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(Pipe_Signals, SigpipeIsHandledByTheThreadThatWrote) {
  static std::atomic<pid_t> handler_ran_in{0};
  handler_ran_in = 0;
  const ignored_signal pipe(
      SIGPIPE, [](int) { handler_ran_in = static_cast<pid_t>(syscall(SYS_gettid)); }, SA_RESTART);
  pipe_pair p;
  p.close(0);
  std::atomic<pid_t> writer_is{0};
  call writer([&] {
    writer_is = static_cast<pid_t>(syscall(SYS_gettid));
    return put(p.writer(), 1);  // restarts nothing
  });
  EXPECT_EQ(writer.result(), -EPIPE);
  EXPECT_EQ(handler_ran_in, writer_is);
}

TEST(Pipe_Signals, SigpipeKillsWhoDoesNotCare) {
  pipe_pair p;
  p.close(0);
  child other([&] {
    signal(SIGPIPE, SIG_DFL);
    put(p.writer(), 1);
    return 0;
  });
  EXPECT_EQ(other.wait(), -SIGPIPE);
}

TEST(Pipe_Signals, AHandlerMayUseThePipeThatItInterrupted) {
  QUAY_NEEDS_HANDLERS_IN_TIME();
  static int answering = -1;
  pipe_pair p;
  answering = p.writer();
  const ignored_signal usr(
      SIGUSR1, [](int) { quay_write(answering, "!", 1); }, SA_RESTART);
  call reader([&] { return take(p.reader(), 10); });
  reader.until_asleep();
  reader.signal(SIGUSR1);
  EXPECT_EQ(reader.result(), 1);
}

TEST(Pipe_Signals, AHandlerForSigpipeMayReadWhatIsLeft) {
  static int widow = -1;
  g_signals = 0;
  const ignored_signal pipe(SIGPIPE, [](int) {
    char got[8];
    g_signals = static_cast<int>(quay_read(widow, got, sizeof got));
  });
  pipe_pair p;
  put(p.writer(), "left");
  p.close(1);
  widow = p.reader();
  EXPECT_EQ(put(p.reader(), 1), -EPIPE);
  EXPECT_EQ(g_signals, 4);
}

// Wherever in the call the signal finds the thread: the handler is served, or told to try again.
TEST(Pipe_Signals, AHandlerInTheMiddleOfACallNeitherHangsNorTears) {
  static int ends[2];
  pipe_pair p;
  ends[0] = p.reader();
  ends[1] = p.writer();
  set_nonblocking(p.reader(), true);
  set_nonblocking(p.writer(), true);
  static std::atomic<long> more{0};
  more = 0;
  const ignored_signal alarm(
      SIGALRM,
      [](int) {
        const int saved = errno;
        const char byte = 'h';
        if (quay_write(ends[1], &byte, 1) == 1) ++more;
        errno = saved;
      },
      SA_RESTART);
  const itimerval often{{0, 200}, {0, 200}};
  const itimerval never{};
  const std::string piece(7000, 'm');
  setitimer(ITIMER_REAL, &often, nullptr);
  long mine = 0;
  long handlers = 0;
  const auto count = [&](const std::string& got) {
    for (const char c : got) ++(c == 'm' ? mine : handlers);
  };
  long rounds = 0;
  for (; more < 200; ++rounds) {
    for (size_t sent = 0; sent < piece.size();) {
      const long n = put(p.writer(), piece.substr(sent));
      if (n > 0) sent += static_cast<size_t>(n);
      count(take_text(p.reader(), 10000));
    }
  }
  setitimer(ITIMER_REAL, &never, nullptr);
  while (held(p.reader()) > 0) count(take_text(p.reader(), 10000));
  EXPECT_EQ(mine, 7000 * rounds);
  EXPECT_EQ(handlers, more);
}

// --- waiting behind others -------------------------------------------------------------------------

TEST(Pipe_Order, ASmallWriteWaitsBehindAWindow) {
  pipe_pair p;
  call large([&] { return put(p.writer(), 10000, 'l'); });
  large.until_asleep();
  call small([&] { return put(p.writer(), 3, 's'); });
  small.until_asleep();
  EXPECT_FALSE(small.done());
  EXPECT_EQ(held(p.reader()), 10000);
  EXPECT_EQ(take_text(p.reader(), 20000), std::string(10000, 'l'));
  EXPECT_EQ(large.result(), 10000);
  EXPECT_EQ(small.result(), 3);
  EXPECT_EQ(take_text(p.reader(), 9), "sss");
}

TEST(Pipe_Order, ADirectWriteWaitsForTheRingToDrain) {
  pipe_pair p;
  put(p.writer(), "first");
  call large([&] { return put(p.writer(), 10000, 'l'); });
  large.until_asleep();
  EXPECT_EQ(held(p.reader()), 5);
  EXPECT_EQ(take_text(p.reader(), 20000), "first");
  large.until_asleep();
  EXPECT_EQ(held(p.reader()), 10000);
  EXPECT_FALSE(large.done());
  EXPECT_EQ(take(p.reader(), 20000), 10000);
  EXPECT_EQ(large.result(), 10000);
}

TEST(Pipe_Order, AWindowMayGoBackwardToo) {
  pipe_pair p;
  call writer([&] { return put(p.reader(), 20000); });
  writer.until_asleep();
  EXPECT_FALSE(writer.done());
  EXPECT_EQ(held(p.writer()), 20000);
  EXPECT_EQ(take(p.writer(), 30000), 20000);
  EXPECT_EQ(writer.result(), 20000);
}

// --- closing ---------------------------------------------------------------------------------------

TEST(Pipe_Numbers, ClosingOneDoesNotDisturbAWriterThatSleeps) {
  pipe_pair p;
  call writer([&, fd = p.writer()] { return put(fd, 8192); });
  writer.until_asleep();
  p.close(1);
  writer.until_asleep();
  EXPECT_FALSE(writer.done());
  EXPECT_EQ(take(p.reader(), 10000), 8192);
  EXPECT_EQ(writer.result(), 8192);
  EXPECT_EQ(take(p.reader(), 1), 0);
}

TEST(Pipe_Numbers, ASleepingWriterOfEitherEndSeesTheReaderGo) {
  g_signals = 0;
  const ignored_signal pipe(SIGPIPE, count_signal);
  for (const int end : {0, 1}) {
    pipe_pair p;
    set_nonblocking(p[end], true);
    fill(p[end]);
    set_nonblocking(p[end], false);
    call writer([&] { return put(p[end], 10); });
    writer.until_asleep();
    p.close(1 - end);
    EXPECT_EQ(writer.result(), -EPIPE);
  }
  EXPECT_EQ(g_signals, 2);
}

TEST(Pipe_Numbers, AnUntouchedWindowCountsAsWrittenWhenTheReaderGoes) {
  g_signals = 0;
  const ignored_signal pipe(SIGPIPE, count_signal);
  pipe_pair p;
  call writer([&] { return put(p.writer(), 10000); });
  writer.until_asleep();
  p.close(0);
  EXPECT_EQ(writer.result(), 10000);
  EXPECT_EQ(g_signals, 0);
}

TEST(Pipe_Numbers, OnlyTheLastDuplicateClosesItsEnd) {
  const ignored_signal no_sigpipe(SIGPIPE);
  for (const int end : {0, 1}) {
    pipe_pair p;
    const int first = quay_fcntl(p[end], F_DUPFD, 100);
    const int second = quay_fcntl(p[end], F_DUPFD_CLOEXEC, 100);
    ASSERT_GE(first, 100);
    EXPECT_EQ(fcntl(second, F_GETFD), FD_CLOEXEC);
    p.close(end);
    quay_close(first);
    EXPECT_EQ(put(p[1 - end], "to it"), 5);
    EXPECT_EQ(take_text(second, 9), "to it");
    EXPECT_EQ(put(second, "back"), 4);
    quay_close(second);
    EXPECT_EQ(put(p[1 - end], 1), -EPIPE);
    EXPECT_EQ(take_text(p[1 - end], 9), "back");
    EXPECT_EQ(take(p[1 - end], 9), 0);
  }
}

TEST(Pipe_Numbers, NonblockingModeIsOfOneEndAndItsDuplicates) {
  pipe_pair p;
  const int copy = quay_fcntl(p.reader(), F_DUPFD, 0);
  int on = 1;
  EXPECT_EQ(quay_ioctl(p.reader(), FIONBIO, &on), 0);
  EXPECT_EQ(take(copy, 1), -EAGAIN);
  EXPECT_EQ(quay_fcntl(p.writer(), F_GETFL), O_RDWR);
  EXPECT_EQ(quay_fcntl(copy, F_GETFL), O_RDWR | O_NONBLOCK);
  EXPECT_EQ(quay_ioctl(p.reader(), FIOCLEX, nullptr), 0);
  EXPECT_EQ(quay_fcntl(p.reader(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(quay_fcntl(copy, F_GETFD), 0);
  quay_close(copy);
}

TEST(Pipe_Numbers, AReadAtTheEndIsAnAccess) {
  pipe_pair p;
  struct stat before {};
  quay_fstat(p.reader(), &before);
  p.close(1);
  struct timespec t {};
  do clock_gettime(CLOCK_REALTIME_COARSE, &t);
  while (t.tv_sec == before.st_atim.tv_sec && t.tv_nsec == before.st_atim.tv_nsec);
  EXPECT_EQ(take(p.reader(), 1), 0);
  struct stat after {};
  quay_fstat(p.reader(), &after);
  EXPECT_GT(std::pair(after.st_atim.tv_sec, after.st_atim.tv_nsec),
            std::pair(before.st_atim.tv_sec, before.st_atim.tv_nsec));
  EXPECT_EQ(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
  EXPECT_EQ(after.st_blksize, 4096);
}

}  // namespace
}  // namespace quay::test::pipes
