// SPDX-License-Identifier: BSD-2-Clause
//
// What: named pipes under FreeBSD's rules.
// Contract: semantics/pipes-signalfd.md A7, A9; docs/differences.md, "Pipes".
#include <sys/stat.h>

#include "named_pipe.hpp"

namespace quay::test::pipes {
namespace {

using Pipe_Named = named_pipe;

TEST_F(Pipe_Named, MakingOneMakesAFileOfItsKind) {
  struct stat st {};
  ASSERT_EQ(stat(path(), &st), 0);
  EXPECT_TRUE(S_ISFIFO(st.st_mode));
  EXPECT_EQ(st.st_mode & 0777u, 0600u);
  EXPECT_EQ(outcome_of(quay_mkfifo(path(), 0600)), -EEXIST);
  EXPECT_EQ(outcome_of(quay_mkfifo("/no/such/place", 0600)), -ENOENT);
  EXPECT_EQ(outcome_of(quay_mkfifo(nullptr, 0600)), -EFAULT);
  struct stat by_number {};
  EXPECT_EQ(quay_fstat(reader(), &by_number), 0);
  EXPECT_EQ(by_number.st_ino, st.st_ino);
}

TEST_F(Pipe_Named, AWriterThatDoesNotWaitNeedsAReader) {
  EXPECT_EQ(outcome_of(quay_open(path(), O_WRONLY | O_NONBLOCK)), -ENXIO);
  reader();
  writer();
}

TEST_F(Pipe_Named, OpensWaitForEachOther) {
  call other([&] { return quay_open(path(), O_RDONLY); });
  other.until_asleep();
  EXPECT_FALSE(other.done());
  const int w = open(O_WRONLY);
  const int r = static_cast<int>(other.result());
  EXPECT_EQ(put(w, "hello"), 5);
  EXPECT_EQ(take_text(r, 9), "hello");
  quay_close(r);
}

TEST_F(Pipe_Named, AnOpenThatASignalInterruptsLeavesNoTrace) {
  const ignored_signal handled(SIGUSR1, [](int) {});
  call other([&] { return quay_open(path(), O_RDONLY); });
  other.until_asleep();
  other.signal(SIGUSR1);
  EXPECT_EQ(other.result(), -EINTR);
  EXPECT_EQ(outcome_of(quay_open(path(), O_WRONLY | O_NONBLOCK)), -ENXIO);
}

TEST_F(Pipe_Named, AReaderBeforeAnyWriterSeesNoEndOfFile) {
  const int r = reader();
  EXPECT_EQ(take(r, 1), -EAGAIN);
  EXPECT_EQ(ready(r), 0);
  const notes queue;
  queue.watch(r, EVFILT_READ);
  EXPECT_FALSE(queue.next().came);
}

TEST_F(Pipe_Named, AReaderThatBlocksWaitsForTheFirstWriter) {
  const int r = reader();
  set_nonblocking(r, false);
  call other([&] { return take(r, 10); });
  other.until_asleep();
  EXPECT_FALSE(other.done());
  const int w = writer();
  EXPECT_EQ(put(w, "abc"), 3);
  EXPECT_EQ(other.result(), 3);
}

TEST_F(Pipe_Named, TheEndOfFileComesWhenTheLastWriterLeaves) {
  const int r = reader();
  const int w = writer();
  EXPECT_EQ(take(r, 1), -EAGAIN);
  EXPECT_EQ(put(w, "last words"), 10);
  const notes queue;
  queue.watch(r, EVFILT_READ);
  EXPECT_EQ(queue.next().data, 10);
  close(w);
  notes::told now = queue.next();
  EXPECT_TRUE(now.flags & EV_EOF);
  EXPECT_EQ(now.data, 10);
  EXPECT_EQ(take_text(r, 20), "last words");
  EXPECT_EQ(take(r, 1), 0);
  EXPECT_EQ(ready(r), POLLIN | POLLHUP);
  EXPECT_TRUE(queue.next().flags & EV_EOF);
  // A new writer ends the end of file; its leaving brings it back.
  const int again = writer();
  EXPECT_EQ(take(r, 1), -EAGAIN);
  EXPECT_EQ(ready(r), 0);
  EXPECT_FALSE(queue.next().came);
  close(again);
  EXPECT_EQ(take(r, 1), 0);
  EXPECT_TRUE(queue.next().flags & EV_EOF);
}

TEST_F(Pipe_Named, OnlyReadersThatSawAWriterSeeItGo) {
  const int first = reader();
  const int w = writer();
  close(w);
  const int second = reader();
  EXPECT_EQ(ready(first), POLLIN | POLLHUP);
  EXPECT_EQ(ready(second), 0);
  const notes queue;
  queue.watch(second, EVFILT_READ);
  EXPECT_FALSE(queue.next().came);
}

TEST_F(Pipe_Named, AWidowedWriterHearsOfItAndMayFindANewReader) {
  const ignored_signal no_sigpipe(SIGPIPE);
  const int r = reader();
  const int w = writer();
  const notes queue;
  queue.watch(w, EVFILT_WRITE);
  EXPECT_EQ(queue.next().data, 65536);
  close(r);
  EXPECT_EQ(ready(w), POLLOUT | POLLHUP);
  EXPECT_EQ(put(w, 1), -EPIPE);
  const notes::told widowed = queue.next();
  EXPECT_TRUE(widowed.flags & EV_EOF);
  EXPECT_FALSE(widowed.flags & EV_ONESHOT);
  const int again = reader();
  EXPECT_EQ(ready(w), POLLOUT);
  EXPECT_EQ(put(w, "back"), 4);
  EXPECT_EQ(take_text(again, 9), "back");
  const notes::told found = queue.next();
  EXPECT_TRUE(found.came);
  EXPECT_FALSE(found.flags & EV_EOF);
}

TEST_F(Pipe_Named, ANoteForWritingMayBeMadeWithoutReaders) {
  const int r = reader();
  const int w = writer();
  close(r);
  const notes queue;
  queue.watch(w, EVFILT_WRITE);
  EXPECT_TRUE(queue.next().flags & EV_EOF);
}

TEST_F(Pipe_Named, ANoteForTheDirectionItLacksNeverFires) {
  const int r = reader();
  const int w = writer();
  const notes reading;
  reading.watch(w, EVFILT_READ);
  const notes writing;
  writing.watch(r, EVFILT_WRITE);
  put(w, 100);
  EXPECT_FALSE(reading.next().came);
  EXPECT_FALSE(writing.next().came);
  EXPECT_EQ(held(r), 100);
  EXPECT_EQ(held(w), 0);
  EXPECT_EQ(outcome_of(quay_write(r, "x", 1)), -EBADF);
  EXPECT_EQ(take(w, 1), -EBADF);
}

TEST_F(Pipe_Named, APollerIsWokenByTheFirstByteAndByTheEnd) {
  const int r = reader();
  const int w = writer();
  const auto wait = [r] {
    pollfd p{r, POLLIN, 0};
    return quay_poll(&p, 1, -1) == 1 ? p.revents : -1;
  };
  {
    call poller(wait);
    poller.until_asleep();
    put(w, 1);
    EXPECT_EQ(poller.result(), POLLIN);
  }
  take(r, 1);
  call poller(wait);
  poller.until_asleep();
  close(w);
  EXPECT_EQ(poller.result(), POLLIN | POLLHUP);
}

TEST_F(Pipe_Named, DuplicatesFollowTheSameRules) {
  const int r = reader();
  const int copy = quay_fcntl(r, F_DUPFD, 0);
  ASSERT_GE(copy, 0);
  close(r);
  EXPECT_EQ(take(copy, 1), -EAGAIN);
  quay_close(copy);
}

TEST_F(Pipe_Named, OtherFilesAreOpenedAsTheyAre) {
  const int fd = quay_open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(take(fd, 1), 0);
  EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  quay_close(fd);
  EXPECT_EQ(outcome_of(quay_open("/no/such/file", O_RDONLY)), -ENOENT);
  EXPECT_EQ(outcome_of(quay_open(nullptr, O_RDONLY)), -EFAULT);
  EXPECT_EQ(outcome_of(quay_open(path(), O_RDONLY | O_CREAT)), -EINVAL);
}

}  // namespace
}  // namespace quay::test::pipes
