// SPDX-License-Identifier: BSD-2-Clause
//
// What: named pipes under FreeBSD's rules.
// Contract: semantics/pipes-signalfd.md A7, A9; docs/differences.md, "Pipes".
#include <sys/event.h>
#include <sys/stat.h>

#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

class Pipe_Named : public ::testing::Test {
 protected:
  void SetUp() override {
    char place[] = "/tmp/quay-named-XXXXXX";
    ASSERT_NE(mkdtemp(place), nullptr);
    folder_ = place;
    path_ = folder_ + "/fifo";
    ASSERT_EQ(quay_mkfifo(path_.c_str(), 0600), 0);
  }
  void TearDown() override {
    for (const int fd : opened_) quay_close(fd);
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }

  int open(int flags) {
    const int fd = quay_open(path_.c_str(), flags);
    EXPECT_GE(fd, 0) << errno;
    opened_.push_back(fd);
    return fd;
  }
  void close(int fd) {
    std::erase(opened_, fd);
    quay_close(fd);
  }
  int reader() { return open(O_RDONLY | O_NONBLOCK); }
  int writer() { return open(O_WRONLY | O_NONBLOCK); }

  std::string folder_;
  std::string path_;
  std::vector<int> opened_;
};

// What a queue tells of one filter of fd: flags, or 0.
struct told {
  int flags;
  int64_t data;
};
told ask(int queue) {
  struct kevent event {};
  const timespec now{0, 0};
  return kevent(queue, nullptr, 0, &event, 1, &now) == 1 ? told{event.flags | 0x10000, event.data}
                                                         : told{0, 0};
}
int watch(int fd, int filter) {
  const int queue = kqueue();
  struct kevent change {};
  EV_SET(&change, fd, filter, EV_ADD, 0, 0, nullptr);
  EXPECT_EQ(kevent(queue, &change, 1, nullptr, 0, nullptr), 0) << errno;
  return queue;
}

TEST_F(Pipe_Named, MakingOneMakesAFileOfItsKind) {
  struct stat st {};
  ASSERT_EQ(stat(path_.c_str(), &st), 0);
  EXPECT_TRUE(S_ISFIFO(st.st_mode));
  EXPECT_EQ(st.st_mode & 0777u, 0600u);
  EXPECT_EQ(outcome_of(quay_mkfifo(path_.c_str(), 0600)), -EEXIST);
  EXPECT_EQ(outcome_of(quay_mkfifo("/no/such/place", 0600)), -ENOENT);
  EXPECT_EQ(outcome_of(quay_mkfifo(nullptr, 0600)), -EFAULT);
  struct stat by_number {};
  EXPECT_EQ(quay_fstat(reader(), &by_number), 0);
  EXPECT_EQ(by_number.st_ino, st.st_ino);
}

TEST_F(Pipe_Named, AWriterThatDoesNotWaitNeedsAReader) {
  EXPECT_EQ(outcome_of(quay_open(path_.c_str(), O_WRONLY | O_NONBLOCK)), -ENXIO);
  reader();
  writer();
}

TEST_F(Pipe_Named, OpensWaitForEachOther) {
  call other([&] { return quay_open(path_.c_str(), O_RDONLY); });
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
  call other([&] { return quay_open(path_.c_str(), O_RDONLY); });
  other.until_asleep();
  other.signal(SIGUSR1);
  EXPECT_EQ(other.result(), -EINTR);
  EXPECT_EQ(outcome_of(quay_open(path_.c_str(), O_WRONLY | O_NONBLOCK)), -ENXIO);
}

TEST_F(Pipe_Named, AReaderBeforeAnyWriterSeesNoEndOfFile) {
  const int r = reader();
  EXPECT_EQ(take(r, 1), -EAGAIN);
  EXPECT_EQ(ready(r), 0);
  const int queue = watch(r, EVFILT_READ);
  EXPECT_EQ(ask(queue).flags, 0);
  ::close(queue);
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
  const int queue = watch(r, EVFILT_READ);
  EXPECT_EQ(ask(queue).data, 10);
  close(w);
  told now = ask(queue);
  EXPECT_TRUE(now.flags & EV_EOF);
  EXPECT_EQ(now.data, 10);
  EXPECT_EQ(take_text(r, 20), "last words");
  EXPECT_EQ(take(r, 1), 0);
  EXPECT_EQ(ready(r), POLLIN | POLLHUP);
  EXPECT_TRUE(ask(queue).flags & EV_EOF);
  // A new writer ends the end of file; its leaving brings it back.
  const int again = writer();
  EXPECT_EQ(take(r, 1), -EAGAIN);
  EXPECT_EQ(ready(r), 0);
  EXPECT_EQ(ask(queue).flags, 0);
  close(again);
  EXPECT_EQ(take(r, 1), 0);
  EXPECT_TRUE(ask(queue).flags & EV_EOF);
  ::close(queue);
}

TEST_F(Pipe_Named, OnlyReadersThatSawAWriterSeeItGo) {
  const int first = reader();
  const int w = writer();
  close(w);
  const int second = reader();
  EXPECT_EQ(ready(first), POLLIN | POLLHUP);
  EXPECT_EQ(ready(second), 0);
  const int queue = watch(second, EVFILT_READ);
  EXPECT_EQ(ask(queue).flags, 0);
  ::close(queue);
}

TEST_F(Pipe_Named, AWidowedWriterHearsOfItAndMayFindANewReader) {
  const ignored_signal no_sigpipe(SIGPIPE);
  const int r = reader();
  const int w = writer();
  const int queue = watch(w, EVFILT_WRITE);
  EXPECT_EQ(ask(queue).data, 65536);
  close(r);
  EXPECT_EQ(ready(w), POLLOUT | POLLHUP);
  EXPECT_EQ(put(w, 1), -EPIPE);
  const told widowed = ask(queue);
  EXPECT_TRUE(widowed.flags & EV_EOF);
  EXPECT_FALSE(widowed.flags & EV_ONESHOT);
  const int again = reader();
  EXPECT_EQ(ready(w), POLLOUT);
  EXPECT_EQ(put(w, "back"), 4);
  EXPECT_EQ(take_text(again, 9), "back");
  const told found = ask(queue);
  EXPECT_TRUE(found.flags & 0x10000);
  EXPECT_FALSE(found.flags & EV_EOF);
  ::close(queue);
}

TEST_F(Pipe_Named, ANoteForWritingMayBeMadeWithoutReaders) {
  const int r = reader();
  const int w = writer();
  close(r);
  const int queue = watch(w, EVFILT_WRITE);
  EXPECT_TRUE(ask(queue).flags & EV_EOF);
  ::close(queue);
}

TEST_F(Pipe_Named, ANoteForTheDirectionItLacksNeverFires) {
  const int r = reader();
  const int w = writer();
  const int reading = watch(w, EVFILT_READ);
  const int writing = watch(r, EVFILT_WRITE);
  put(w, 100);
  EXPECT_EQ(ask(reading).flags, 0);
  EXPECT_EQ(ask(writing).flags, 0);
  EXPECT_EQ(held(r), 100);
  EXPECT_EQ(held(w), 0);
  EXPECT_EQ(outcome_of(quay_write(r, "x", 1)), -EBADF);
  EXPECT_EQ(take(w, 1), -EBADF);
  ::close(reading);
  ::close(writing);
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
  EXPECT_EQ(outcome_of(quay_open(path_.c_str(), O_RDONLY | O_CREAT)), -EINVAL);
}

}  // namespace
}  // namespace quay::test::pipes
