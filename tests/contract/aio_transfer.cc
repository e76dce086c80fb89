// SPDX-License-Identifier: BSD-2-Clause
//
// What: reading, writing and syncing: what is moved, in which order, and what is refused.
// Contract: aio_read(3), aio_write(3), aio_fsync(3) of POSIX and FreeBSD; every test with every way
// of performing requests.
#include <poll.h>
#include <sys/uio.h>

#include <thread>
#include <vector>

#include "support/aio.hpp"
#include "support/matchers.hpp"

namespace quay::test {
namespace {

class Aio_Transfer : public aio_test {};
QUAY_TEST_EVERY_BACKEND(Aio_Transfer);

TEST_P(Aio_Transfer, ReadsWhatTheFileHolds) {
  const scratch_file file("0123456789");
  request r = request::room_for(file, 4, 3);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(r.finish(), 4);
  EXPECT_EQ(r.bytes(), "3456");
}

TEST_P(Aio_Transfer, AReadStopsAtTheEndOfTheFile) {
  const scratch_file file("0123456789");
  request r = request::room_for(file, 8, 6);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(r.finish(), 4);
  EXPECT_EQ(r.bytes().substr(0, 4), "6789");
}

TEST_P(Aio_Transfer, AReadBehindTheEndGivesNothing) {
  const scratch_file file("0123456789");
  request r = request::room_for(file, 8, 100);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(r.error() == EINPROGRESS || r.error() == 0, true);
  EXPECT_EQ(r.finish(), 0);
}

TEST_P(Aio_Transfer, AnEmptyRequestSucceeds) {
  const scratch_file file("0123456789");
  request r = request::room_for(file, 0);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(r.finish(), 0);
}

TEST_P(Aio_Transfer, ALargeReadIsWhole) {
  const std::string content = pattern(size_t{3} << 20);
  const scratch_file file(content);
  request r = request::room_for(file, content.size());
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(r.finish(), static_cast<ssize_t>(content.size()));
  EXPECT_TRUE(r.bytes() == content);
}

TEST_P(Aio_Transfer, WritesAtItsOffsetAndLeavesThePositionAlone) {
  const scratch_file file("0123456789");
  ASSERT_EQ(::lseek(file, 1, SEEK_SET), 1);
  request w(file, "abc", 5);
  ASSERT_EQ(::aio_write(&w.block), 0);
  EXPECT_EQ(w.finish(), 3);
  EXPECT_EQ(file.content(), "01234abc89");
  EXPECT_EQ(::lseek(file, 0, SEEK_CUR), 1);
}

TEST_P(Aio_Transfer, ALargeWriteIsWhole) {
  const std::string content = pattern(size_t{3} << 20);
  const scratch_file file;
  request w(file, content);
  ASSERT_EQ(::aio_write(&w.block), 0);
  EXPECT_EQ(w.finish(), static_cast<ssize_t>(content.size()));
  EXPECT_TRUE(file.content() == content);
}

// POSIX, aio_write: with O_APPEND "write operations append to the file in the same order".
TEST_P(Aio_Transfer, AppendingWritesKeepTheirOrder) {
  const scratch_file file({}, O_WRONLY | O_APPEND);
  std::vector<std::unique_ptr<request>> all;
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    const std::string line =
        std::to_string(i) + std::string(static_cast<size_t>(i) * 50, 'x') + "\n";
    all.push_back(std::make_unique<request>(file, line));
    expected += line;
    ASSERT_EQ(::aio_write(&all.back()->block), 0);
  }
  for (auto& r : all) EXPECT_EQ(r->finish(), static_cast<ssize_t>(r->bytes().size()));
  EXPECT_EQ(file.content(), expected);
}

TEST_P(Aio_Transfer, AListOfBuffersThatCannotBeReadIsRefused) {
  const scratch_file file("content");
  request r = request::room_for(file, 1);
  r.block.aio_buf = reinterpret_cast<void*>(8);
  r.block.aio_nbytes = 2;
  EXPECT_EQ(::aio_readv(&r.block), -1);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_FALSE(r.in_progress());
}

TEST_P(Aio_Transfer, VectorsAreScatteredAndGathered) {
  const scratch_file file;
  char one[] = "one.";
  char two[] = "two..";
  const iovec out[] = {{one, 4}, {two, 5}};
  request w = request::room_for(file, 0, 2);
  w.block.aio_iov = const_cast<iovec*>(out);
  w.block.aio_iovcnt = 2;
  ASSERT_EQ(::aio_writev(&w.block), 0);
  EXPECT_EQ(w.finish(), 9);

  char first[3] = {};
  char second[6] = {};
  const iovec in[] = {{first, 3}, {second, 6}};
  request r = request::room_for(file, 0, 2);
  r.block.aio_iov = const_cast<iovec*>(in);
  r.block.aio_iovcnt = 2;
  ASSERT_EQ(::aio_readv(&r.block), 0);
  EXPECT_EQ(r.finish(), 9);
  EXPECT_EQ(std::string_view(first, 3), "one");
  EXPECT_EQ(std::string_view(second, 6), ".two..");
}

TEST_P(Aio_Transfer, ManyRequestsAtOnceEachGetTheirOwn) {
  const std::string content = pattern(256 * 4096);
  const scratch_file file(content);
  std::vector<std::unique_ptr<request>> all;
  for (size_t i = 0; i < 256; ++i) {
    all.push_back(std::make_unique<request>(file, std::string(4096, '\0'), i * 4096));
    ASSERT_EQ(::aio_read(&all.back()->block), 0);
  }
  for (size_t i = 0; i < 256; ++i) {
    ASSERT_EQ(all[i]->finish(), 4096);
    ASSERT_TRUE(all[i]->bytes() == content.substr(i * 4096, 4096)) << "block " << i;
  }
}

// --- streams --------------------------------------------------------------------------------------

TEST_P(Aio_Transfer, AReadOfAnEmptyPipeWaitsForData) {
  const pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 10);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(r.error(), EINPROGRESS);
  put(pipe.writer, "hello");
  EXPECT_EQ(r.finish(), 5);
  EXPECT_EQ(r.bytes().substr(0, 5), "hello");
}

// FreeBSD: O_NONBLOCK is the program's affair, not the request's.
TEST_P(Aio_Transfer, AStreamThatDoesNotBlockIsAwaited) {
  const socket_pair pair = make_socketpair();
  ASSERT_EQ(::fcntl(pair.here, F_SETFL, O_NONBLOCK), 0);
  request r = request::room_for(pair.here, 10);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(r.error(), EINPROGRESS);
  put(pair.there, "hello");
  EXPECT_EQ(r.finish(), 5);
}

// Reads until all is there, or the patience ends.
std::string take_all(int fd, size_t count) {
  std::string all;
  pollfd ready{fd, POLLIN, 0};
  while (all.size() < count &&
         ::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1) {
    const std::string part = take(fd, count - all.size());
    if (part.empty()) break;
    all += part;
  }
  return all;
}

// What fits at once is not the end of a write that may block.
void expect_whole(int from, int to) {
  const std::string content = pattern(size_t{2} << 20);
  ASSERT_EQ(::fcntl(to, F_SETFL, 0), 0);
  request w(to, content);
  ASSERT_EQ(::aio_write(&w.block), 0);
  EXPECT_TRUE(take_all(from, content.size()) == content);
  EXPECT_EQ(w.finish(), static_cast<ssize_t>(content.size()));
}

TEST_P(Aio_Transfer, AWriteToASocketThatBlocksIsWhole) {
  const socket_pair pair = make_socketpair();
  expect_whole(pair.here, pair.there);
}

TEST_P(Aio_Transfer, AWriteToAPipeThatBlocksIsWhole) {
  const pipe_ends pipe = make_pipe();
  expect_whole(pipe.reader, pipe.writer);
}

TEST_P(Aio_Transfer, AWriteToAStreamThatDoesNotBlockMayBeShort) {
  const socket_pair pair = make_socketpair();
  request w(pair.there, pattern(size_t{4} << 20));
  ASSERT_EQ(::aio_write(&w.block), 0);
  const ssize_t written = w.finish();
  EXPECT_GT(written, 0);
  EXPECT_LT(written, ssize_t{4} << 20);
}

// FreeBSD: what was written cannot be taken back.
TEST_P(Aio_Transfer, CancellingAHalfDoneWriteLeavesAShortOne) {
  if (GetParam() == by::threads) GTEST_SKIP() << "a thread that writes is not interrupted";
  const socket_pair pair = make_socketpair();
  ASSERT_EQ(::fcntl(pair.there, F_SETFL, 0), 0);
  request w(pair.there, pattern(size_t{8} << 20));
  ASSERT_EQ(::aio_write(&w.block), 0);
  EXPECT_EQ(take_all(pair.here, 1'000'000).size(), 1'000'000U);
  EXPECT_TRUE(w.in_progress());
  EXPECT_EQ(::aio_cancel(pair.there, &w.block), AIO_NOTCANCELED);
  const ssize_t written = w.finish();
  EXPECT_GE(written, 1'000'000);
  EXPECT_LT(written, ssize_t{8} << 20);
}

TEST_P(Aio_Transfer, ReadsOfAStreamKeepTheirOrder) {
  const pipe_ends pipe = make_pipe();
  std::vector<std::unique_ptr<request>> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(std::make_unique<request>(pipe.reader, std::string(2, '\0')));
    ASSERT_EQ(::aio_read(&all.back()->block), 0);
  }
  put(pipe.writer, "0011223344556677");
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(all[static_cast<size_t>(i)]->finish(), 2);
    EXPECT_EQ(all[static_cast<size_t>(i)]->bytes(), std::string(2, static_cast<char>('0' + i)));
  }
}

TEST_P(Aio_Transfer, AReadThatWaitsDoesNotHoldUpAWrite) {
  const socket_pair pair = make_socketpair();
  request r = request::room_for(pair.here, 5);
  request w(pair.here, "hello");
  ASSERT_EQ(::aio_read(&r.block), 0);
  ASSERT_EQ(::aio_write(&w.block), 0);
  EXPECT_EQ(w.finish(), 5);
  EXPECT_TRUE(r.in_progress());
  ASSERT_TRUE(wait_readable(pair.there));
  put(pair.there, take(pair.there, 5));
  EXPECT_EQ(r.finish(), 5);
  EXPECT_EQ(r.bytes(), "hello");
}

TEST_P(Aio_Transfer, AReadOfAClosedPipeIsItsEnd) {
  pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 10);
  ASSERT_EQ(::aio_read(&r.block), 0);
  pipe.writer.close();
  EXPECT_EQ(r.finish(), 0);
}

// A pipe of quay's own is a ring in memory: the kernel does not know what is in it.
TEST_P(Aio_Transfer, APipeOfQuaysIsReadAndWritten) {
  int ends[2];
  ASSERT_EQ(quay_pipe2(ends, O_CLOEXEC), 0);
  request r = request::room_for(ends[0], 5);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_EQ(r.error(), EINPROGRESS);
  request w(ends[1], "hello");
  ASSERT_EQ(::aio_write(&w.block), 0);
  EXPECT_EQ(w.finish(), 5);
  EXPECT_EQ(r.finish(), 5);
  EXPECT_EQ(r.bytes(), "hello");
  quay_close(ends[0]);
  quay_close(ends[1]);
}

// --- sync -----------------------------------------------------------------------------------------

TEST_P(Aio_Transfer, ASyncEndsAfterTheWritesBeforeIt) {
  const scratch_file file;
  std::vector<std::unique_ptr<request>> writes;
  for (off_t i = 0; i < 16; ++i) {
    writes.push_back(std::make_unique<request>(file, pattern(200000), i * 200000));
    ASSERT_EQ(::aio_write(&writes.back()->block), 0);
  }
  request s = request::room_for(file, 0);
  ASSERT_EQ(::aio_fsync(O_SYNC, &s.block), 0);
  EXPECT_EQ(s.finish(), 0);
  for (auto& w : writes) {
    EXPECT_EQ(w->error(), 0);
    EXPECT_EQ(::aio_return(&w->block), 200000);
  }
}

TEST_P(Aio_Transfer, DataCanBeSyncedAlone) {
  const scratch_file file("x");
  request s = request::room_for(file, 0);
  ASSERT_EQ(::aio_fsync(O_DSYNC, &s.block), 0);
  EXPECT_EQ(s.finish(), 0);
}

// --- refusals -------------------------------------------------------------------------------------

#define EXPECT_REFUSED(call, expected) \
  do {                                 \
    errno = 0;                         \
    EXPECT_EQ(call, -1);               \
    EXPECT_EQ(errno, expected);        \
  } while (false)

TEST_P(Aio_Transfer, ADescriptorThatIsNotOpenIsRefused) {
  request r = request::room_for(1'000'000, 1);
  EXPECT_REFUSED(::aio_read(&r.block), EBADF);
  EXPECT_REFUSED(::aio_write(&r.block), EBADF);
  EXPECT_REFUSED(::aio_fsync(O_SYNC, &r.block), EBADF);
}

TEST_P(Aio_Transfer, TheWrongDirectionIsRefused) {
  const scratch_file readable("x", O_RDONLY);
  const scratch_file writable("x", O_WRONLY);
  request w(readable, "y");
  EXPECT_REFUSED(::aio_write(&w.block), EBADF);
  request r = request::room_for(writable, 1);
  EXPECT_REFUSED(::aio_read(&r.block), EBADF);
}

TEST_P(Aio_Transfer, ImpossibleArgumentsAreRefused) {
  const scratch_file file("x");
  request r = request::room_for(file, 1, -1);
  EXPECT_REFUSED(::aio_read(&r.block), EINVAL);
  r.block.aio_offset = 0;
  r.block.aio_nbytes = SIZE_MAX;
  EXPECT_REFUSED(::aio_read(&r.block), EINVAL);
  r.block.aio_nbytes = 1;
  r.block.aio_reqprio = -1;
  EXPECT_REFUSED(::aio_read(&r.block), EINVAL);
  r.block.aio_reqprio = 0;
  r.block.aio_sigevent.sigev_notify = 77;
  EXPECT_REFUSED(::aio_read(&r.block), EINVAL);
  EXPECT_REFUSED(::aio_fsync(O_RDWR, &r.block), EINVAL);
  EXPECT_REFUSED(::aio_read(nullptr), EFAULT);
}

TEST_P(Aio_Transfer, AStreamCannotBeSynced) {
  const pipe_ends pipe = make_pipe();
  request s = request::room_for(pipe.writer, 0);
  EXPECT_REFUSED(::aio_fsync(O_SYNC, &s.block), EINVAL);
}

// The owner of the descriptor answers, not the kernel (which would say EINVAL).
TEST_P(Aio_Transfer, AQueueCannotBeRead) {
  queue kq = make_queue();
  request r = request::room_for(kq, 1);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_REFUSED(r.finish(), ENXIO);
}

TEST_P(Aio_Transfer, TheErrorOfTheTransferIsTheErrorOfTheRequest) {
  const unique_fd directory(open_file("/", O_RDONLY | O_DIRECTORY));
  request r = request::room_for(directory, 1);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_REFUSED(r.finish(), EISDIR);

  const scratch_file file("x");
  request bad = request::room_for(file, 1);
  bad.block.aio_buf = reinterpret_cast<void*>(16);
  ASSERT_EQ(::aio_read(&bad.block), 0);
  EXPECT_REFUSED(bad.finish(), EFAULT);
}

TEST_P(Aio_Transfer, ARequestUnderWayCannotBeSubmittedAgain) {
  const pipe_ends pipe = make_pipe();
  request r = request::room_for(pipe.reader, 1);
  ASSERT_EQ(::aio_read(&r.block), 0);
  EXPECT_REFUSED(::aio_read(&r.block), EINVAL);
  put(pipe.writer, "x");
  EXPECT_EQ(r.finish(), 1);
}

}  // namespace
}  // namespace quay::test
