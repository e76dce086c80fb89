// SPDX-License-Identifier: BSD-2-Clause
//
// What: named pipes under FreeBSD's rules, row by row: the end of file and its return, generations,
//       several readers and writers, both roles in one descriptor, notes and their edges.
// Contract: semantics/pipes-signalfd.md A7, A8, A9; docs/differences.md, "Pipes".
#include <port.h>
#include <sys/event.h>
#include <sys/stat.h>

#include "named_pipe.hpp"

namespace quay::test::pipes {
namespace {

using Pipe_NamedRules = named_pipe;

constexpr short kBoth = POLLIN | POLLOUT;

// --- opening ---------------------------------------------------------------------------------------

TEST_F(Pipe_NamedRules, AnOpenForWritingWaitsForAReader) {
  call other([&] { return quay_open(path(), O_WRONLY); });
  other.until_asleep();
  EXPECT_FALSE(other.done());
  const int r = reader();
  const int w = static_cast<int>(other.result());
  EXPECT_EQ(put(w, "hello"), 5);
  EXPECT_EQ(take_text(r, 9), "hello");
  quay_close(w);
}

TEST_F(Pipe_NamedRules, AWriterThatCameAndWentLetsAReaderIn) {
  call other([&] { return quay_open(path(), O_RDONLY); });
  other.until_asleep();
  close(writer());  // a reader that waits counts as one
  const int r = static_cast<int>(other.result());
  ASSERT_GE(r, 0);
  EXPECT_EQ(take(r, 1), 0);
  EXPECT_EQ(ready(r), POLLIN | POLLHUP);
  quay_close(r);
}

TEST_F(Pipe_NamedRules, AReaderThatCameAndWentLetsAWriterIn) {
  const ignored_signal no_sigpipe(SIGPIPE);
  call other([&] { return quay_open(path(), O_WRONLY); });
  other.until_asleep();
  close(reader());
  const int w = static_cast<int>(other.result());
  ASSERT_GE(w, 0);
  EXPECT_EQ(put(w, 1), -EPIPE);
  quay_close(w);
}

TEST_F(Pipe_NamedRules, AnOpenForWritingThatASignalInterruptsLeavesNoTrace) {
  const ignored_signal handled(SIGUSR1, [](int) {});
  call other([&] { return quay_open(path(), O_WRONLY); });
  other.until_asleep();
  other.signal(SIGUSR1);
  EXPECT_EQ(other.result(), -EINTR);
  const int r = reader();
  EXPECT_EQ(take(r, 1), -EAGAIN);
  EXPECT_EQ(ready(r), 0);
}

TEST_F(Pipe_NamedRules, AnOpenGoesOnAfterAHandlerThatRestarts) {
  const ignored_signal handled(
      SIGUSR1, [](int) {}, SA_RESTART);
  call other([&] { return quay_open(path(), O_RDONLY); });
  other.until_asleep();
  other.signal(SIGUSR1);
  other.until_asleep();
  EXPECT_FALSE(other.done());
  writer();
  const int r = static_cast<int>(other.result());
  EXPECT_GE(r, 0);
  quay_close(r);
}

TEST_F(Pipe_NamedRules, OpeningForBothNeverWaitsAndIsBothEnds) {
  for (const int flags : {O_RDWR, O_RDWR | O_NONBLOCK}) {
    const int both = open(flags);
    EXPECT_EQ(ready(both), POLLOUT);
    set_nonblocking(both, true);
    EXPECT_EQ(take(both, 1), -EAGAIN);
    EXPECT_EQ(put(both, "to itself"), 9);
    EXPECT_EQ(ready(both), kBoth);
    EXPECT_EQ(held(both), 9);
    EXPECT_EQ(take_text(both, 20), "to itself");
    close(both);
  }
}

TEST_F(Pipe_NamedRules, WhoHasBothEndsIsNeverAtTheEnd) {
  const int both = open(O_RDWR | O_NONBLOCK);
  close(writer());
  EXPECT_EQ(take(both, 1), -EAGAIN);
  EXPECT_EQ(ready(both), POLLOUT);
  close(reader());
  EXPECT_EQ(put(both, 1), 1);
  EXPECT_EQ(ready(both), kBoth);
}

// --- the end of file -------------------------------------------------------------------------------

TEST_F(Pipe_NamedRules, TheLastOfSeveralWritersIsTheEnd) {
  const int r = reader();
  const int first = writer();
  const int second = writer();
  const int copy = quay_fcntl(second, F_DUPFD, 0);
  ASSERT_GE(copy, 0);
  close(first);
  EXPECT_EQ(take(r, 1), -EAGAIN);
  close(second);
  EXPECT_EQ(take(r, 1), -EAGAIN);
  EXPECT_EQ(ready(r), 0);
  quay_close(copy);
  EXPECT_EQ(take(r, 1), 0);
  EXPECT_EQ(ready(r), POLLIN | POLLHUP);
}

TEST_F(Pipe_NamedRules, TheLastOfSeveralReadersWidowsTheWriter) {
  const ignored_signal no_sigpipe(SIGPIPE);
  const int first = reader();
  const int second = reader();
  const int w = writer();
  close(first);
  EXPECT_EQ(put(w, "still"), 5);
  EXPECT_EQ(take_text(second, 9), "still");
  EXPECT_EQ(ready(w), POLLOUT);
  close(second);
  EXPECT_EQ(put(w, 1), -EPIPE);
  EXPECT_EQ(ready(w), POLLOUT | POLLHUP);
}

TEST_F(Pipe_NamedRules, WritingNothingToNobodyIsRefusedToo) {
  const ignored_signal no_sigpipe(SIGPIPE);
  const int r = reader();
  const int w = writer();
  EXPECT_EQ(put(w, ""), 0);
  close(r);
  EXPECT_EQ(put(w, ""), -EPIPE);
}

TEST_F(Pipe_NamedRules, BytesStayWhileAWriterRemains) {
  const int first = reader();
  const int w = writer();
  put(w, "kept");
  close(first);
  const int second = reader();
  EXPECT_EQ(held(second), 4);
  EXPECT_EQ(take_text(second, 9), "kept");
}

TEST_F(Pipe_NamedRules, BytesGoWithTheLastOfBothSides) {
  const int r = reader();
  const int w = writer();
  put(w, "lost");
  close(w);
  EXPECT_EQ(held(r), 4);
  close(r);
  const int later = reader();
  EXPECT_EQ(held(later), 0);
  EXPECT_EQ(take(later, 1), -EAGAIN);
  EXPECT_EQ(ready(later), 0);
}

TEST_F(Pipe_NamedRules, ASleepingReaderSeesTheLastWriterLeave) {
  const int r = reader();
  const int w = writer();
  set_nonblocking(r, false);
  call sleeper([&] { return take(r, 10); });
  sleeper.until_asleep();
  close(w);
  EXPECT_EQ(sleeper.result(), 0);
}

TEST_F(Pipe_NamedRules, ASleepingWriterSeesTheLastReaderLeave) {
  const ignored_signal no_sigpipe(SIGPIPE);
  const int r = reader();
  const int w = writer();
  fill(w);
  set_nonblocking(w, false);
  call sleeper([&] { return put(w, 10); });
  sleeper.until_asleep();
  close(r);
  EXPECT_EQ(sleeper.result(), -EPIPE);
}

// --- generations -----------------------------------------------------------------------------------

TEST_F(Pipe_NamedRules, AReaderThatFoundAWriterSeesItsEnd) {
  reader();
  const int w = writer();
  const int second = reader();
  close(w);
  EXPECT_EQ(take(second, 1), 0);
  EXPECT_EQ(ready(second), POLLIN | POLLHUP);
}

TEST_F(Pipe_NamedRules, WhoComesAfterTheLastWriterReadsTheEndButIsNotTold) {
  const int first = reader();
  close(writer());
  const int second = reader();
  EXPECT_EQ(take(first, 1), 0);
  EXPECT_EQ(take(second, 1), 0);
  EXPECT_EQ(ready(second), 0);
  EXPECT_EQ(ready(second, 0), POLLHUP);  // the rule is for who asks about bytes
  const notes n;
  n.watch(second, EVFILT_READ);
  EXPECT_FALSE(n.next().came);
  // The next writer's going is its to hear of.
  close(writer());
  EXPECT_EQ(ready(second), POLLIN | POLLHUP);
  EXPECT_TRUE(n.next().flags & EV_EOF);
}

TEST_F(Pipe_NamedRules, TheEndIsForgottenWithItsLastReader) {
  const int first = reader();
  close(writer());
  EXPECT_EQ(take(first, 1), 0);
  close(first);
  EXPECT_EQ(take(reader(), 1), -EAGAIN);
}

// --- notes -----------------------------------------------------------------------------------------

TEST_F(Pipe_NamedRules, ReadingAtTheEndIsNoEdge) {
  const int r = reader();
  const int w = writer();
  const notes n;
  n.watch(r, EVFILT_READ, EV_CLEAR);
  EXPECT_FALSE(n.next().came);
  close(w);
  EXPECT_TRUE(n.next().flags & EV_EOF);
  EXPECT_EQ(take(r, 1), 0);
  EXPECT_FALSE(n.next().came);
}

TEST_F(Pipe_NamedRules, ANewWriterAloneIsNoEdgeButItsBytesAre) {
  const int r = reader();
  close(writer());
  const notes n;
  n.watch(r, EVFILT_READ, EV_CLEAR);
  const int w = writer();
  EXPECT_FALSE(n.next().came);
  put(w, 3);
  const auto told = n.next();
  EXPECT_TRUE(told.came);
  EXPECT_FALSE(told.flags & EV_EOF);
  EXPECT_EQ(told.data, 3);
  EXPECT_FALSE(n.next().came);
}

TEST_F(Pipe_NamedRules, EveryWriteIsAnEdgeForReaders) {
  const int r = reader();
  const int w = writer();
  const notes n;
  n.watch(r, EVFILT_READ, EV_CLEAR);
  for (int i = 1; i <= 3; ++i) {
    put(w, 1);
    EXPECT_EQ(n.next().data, i);
    EXPECT_FALSE(n.next().came);
  }
  // So is what a read leaves.
  take(r, 1);
  EXPECT_EQ(n.next().data, 2);
  take(r, 2);
  EXPECT_FALSE(n.next().came);
}

TEST_F(Pipe_NamedRules, EveryReadIsAnEdgeForWritersOnceThereIsRoom) {
  const int r = reader();
  const int w = writer();
  const notes n;
  n.watch(w, EVFILT_WRITE, EV_CLEAR);
  EXPECT_EQ(n.next().data, 65536);
  EXPECT_FALSE(n.next().came);
  put(w, 1);
  EXPECT_EQ(n.next().data, 65535);
  EXPECT_EQ(fill(w), 65535);
  EXPECT_FALSE(n.next().came);
  take(r, 4095);
  EXPECT_FALSE(n.next().came);
  EXPECT_EQ(ready(w), 0);
  for (int i = 0; i < 3; ++i) {
    take(r, 1);
    const auto told = n.next();
    EXPECT_EQ(told.data, 4096 + i);
    EXPECT_FALSE(told.flags & (EV_EOF | EV_ONESHOT));
    EXPECT_FALSE(n.next().came);
  }
}

TEST_F(Pipe_NamedRules, TheReadersGoingAndComingAreEdgesForWriters) {
  const int r = reader();
  const int w = writer();
  put(w, 100);
  const notes n;
  n.watch(w, EVFILT_WRITE, EV_CLEAR);
  EXPECT_EQ(n.next().data, 65536 - 100);
  close(r);
  auto told = n.next();
  EXPECT_TRUE(told.flags & EV_EOF);
  EXPECT_FALSE(told.flags & EV_ONESHOT);
  EXPECT_FALSE(n.next().came);
  reader();
  told = n.next();
  EXPECT_TRUE(told.came);
  EXPECT_FALSE(told.flags & EV_EOF);
  EXPECT_EQ(told.data, 65536 - 100);
  EXPECT_FALSE(n.next().came);
  reader();  // one more is no news
  EXPECT_FALSE(n.next().came);
}

TEST_F(Pipe_NamedRules, BothFiltersOfADescriptorForBoth) {
  const int both = open(O_RDWR | O_NONBLOCK);
  const notes reading;
  const notes writing;
  reading.watch(both, EVFILT_READ);
  writing.watch(both, EVFILT_WRITE);
  EXPECT_FALSE(reading.next().came);
  EXPECT_EQ(writing.next().data, 65536);
  put(both, 5);
  EXPECT_EQ(reading.next().data, 5);
  EXPECT_EQ(writing.next().data, 65531);
}

TEST_F(Pipe_NamedRules, OtherFiltersAreTheFiles) {
  const int r = reader();
  const int queue = kqueue();
  struct kevent change {};
  EV_SET(&change, r, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_DELETE, 0, nullptr);
  ASSERT_EQ(outcome_of(kevent(queue, &change, 1, nullptr, 0, nullptr)), 0);
  unlink(path());
  struct kevent event {};
  const timespec patience{30, 0};
  ASSERT_EQ(kevent(queue, nullptr, 0, &event, 1, &patience), 1);
  EXPECT_EQ(event.fflags, static_cast<unsigned>(NOTE_DELETE));
  ::close(queue);
}

// --- poll, ports, files ----------------------------------------------------------------------------

TEST_F(Pipe_NamedRules, PollShowsOnlyWhatTheDescriptorIsOpenFor) {
  const int r = reader();
  const int w = writer();
  put(w, 1);
  EXPECT_EQ(ready(r), POLLIN);
  EXPECT_EQ(ready(w), POLLOUT);
  EXPECT_EQ(ready(r, POLLIN | POLLRDNORM), POLLIN | POLLRDNORM);
  EXPECT_EQ(ready(w, POLLOUT | POLLWRNORM), POLLOUT | POLLWRNORM);
  EXPECT_EQ(ready(r, POLLPRI | POLLRDBAND), 0);
}

TEST_F(Pipe_NamedRules, TheEndNeedsNoAskingInPoll) {
  const int r = reader();
  const int w = writer();
  EXPECT_EQ(ready(r, 0), 0);
  close(w);
  EXPECT_EQ(ready(r, 0), POLLHUP);
  EXPECT_EQ(ready(r, POLLOUT), POLLHUP);
}

TEST_F(Pipe_NamedRules, APortHearsOfBothRoles) {
  const int r = reader();
  const int w = writer();
  const int port = port_create();
  port_event_t event{};
  timespec now{0, 0};
  const auto asked = [&](int fd, int events) -> long {
    EXPECT_EQ(port_associate(port, PORT_SOURCE_FD, static_cast<uintptr_t>(fd), events, nullptr), 0);
    return port_get(port, &event, &now) == 0 ? event.portev_events : 0;
  };
  EXPECT_EQ(asked(r, POLLIN), 0);
  EXPECT_EQ(asked(w, POLLOUT), POLLOUT);
  put(w, 1);
  ASSERT_EQ(port_get(port, &event, nullptr), 0);
  EXPECT_EQ(event.portev_object, static_cast<uintptr_t>(r));
  EXPECT_EQ(event.portev_events, POLLIN);
  take(r, 1);
  EXPECT_EQ(asked(r, POLLIN), 0);
  close(w);
  ASSERT_EQ(port_get(port, &event, nullptr), 0);
  EXPECT_TRUE(event.portev_events & POLLHUP);
  quay_close(port);
}

TEST_F(Pipe_NamedRules, FstatModeAndOwnerAreTheFiles) {
  const int w = open(O_RDWR | O_NONBLOCK);
  put(w, 100);
  struct stat by_number {};
  struct stat by_name {};
  ASSERT_EQ(quay_fstat(w, &by_number), 0);
  ASSERT_EQ(stat(path(), &by_name), 0);
  EXPECT_EQ(by_number.st_ino, by_name.st_ino);
  EXPECT_EQ(by_number.st_dev, by_name.st_dev);
  EXPECT_EQ(by_number.st_nlink, 1u);
  EXPECT_EQ(fchmod(w, 0640), 0);
  EXPECT_EQ(fchown(w, getuid(), getgid()), 0);
  ASSERT_EQ(stat(path(), &by_name), 0);
  EXPECT_EQ(by_name.st_mode & 07777u, 0640u);
  EXPECT_EQ(outcome_of(lseek(w, 0, SEEK_CUR)), -ESPIPE);
}

TEST_F(Pipe_NamedRules, AnAtomicWriteGoesInWholeOrNotAtAll) {
  const int r = reader();
  const int w = writer();
  EXPECT_EQ(put(w, 70000), 65536);
  take(r, 4096);
  EXPECT_EQ(put(w, 1), 1);
  EXPECT_EQ(put(w, 4096), -EAGAIN);
  EXPECT_EQ(held(r), 65536 - 4096 + 1);
}

std::atomic<int> g_heard{0};

TEST_F(Pipe_NamedRules, ItsOwnerHearsOfChangesBySigio) {
  g_heard = 0;
  const ignored_signal io(SIGIO, [](int) { ++g_heard; });
  const int r = reader();
  const int w = writer();
  int owner = getpid();
  EXPECT_EQ(quay_ioctl(r, 0x8901 /* FIOSETOWN */, &owner), 0);
  owner = 0;
  EXPECT_EQ(quay_ioctl(r, 0x8903 /* FIOGETOWN */, &owner), 0);
  EXPECT_EQ(owner, getpid());
  owner = getpgrp();
  EXPECT_EQ(quay_ioctl(r, TIOCSPGRP, &owner), 0);
  owner = 0;
  EXPECT_EQ(quay_ioctl(r, TIOCGPGRP, &owner), 0);
  EXPECT_EQ(owner, getpgrp());
  quay_fcntl(r, F_SETOWN, getpid());
  int on = 1;
  EXPECT_EQ(quay_ioctl(r, FIOASYNC, &on), 0);
  put(w, 1);
  EXPECT_EQ(g_heard, 1);
  on = 0;
  EXPECT_EQ(quay_ioctl(r, FIOASYNC, &on), 0);
  put(w, 1);
  EXPECT_EQ(g_heard, 1);
}

TEST_F(Pipe_NamedRules, NonblockingModeIsAnIoctlToo) {
  const int r = open(O_RDWR);
  int on = 1;
  EXPECT_EQ(quay_ioctl(r, FIONBIO, &on), 0);
  EXPECT_EQ(take(r, 1), -EAGAIN);
  EXPECT_EQ(outcome_of(quay_ioctl(r, TIOCOUTQ, &on)), -ENOTTY);
}

TEST_F(Pipe_NamedRules, ProcessesFollowTheSameRules) {
  const int r = reader();
  child other([&] {
    const int w = quay_open(path(), O_WRONLY);
    return put(w, "from afar") == 9 ? 0 : 1;
  });
  pollfd p{r, POLLIN, 0};
  EXPECT_EQ(quay_poll(&p, 1, -1), 1);
  EXPECT_EQ(take_text(r, 20), "from afar");
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(take(r, 1), 0);
  EXPECT_EQ(ready(r), POLLIN | POLLHUP);
}

}  // namespace
}  // namespace quay::test::pipes
