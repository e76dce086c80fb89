// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_READ on regular files and directories, which no epoll can watch.
// Contract: kqueue semantics, 5.1 (READ: regular file, directory), row 42 of section 7.
#include <fstream>
#include <sstream>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Kqueue_ReadFile : public dialect_test {
 protected:
  unique_fd make(std::string_view content) { return directory_.make_file(content); }
  temporary_directory directory_;
};

TEST_P(Kqueue_ReadFile, DataIsTheDistanceToTheEnd) {
  const unique_fd file = make("0123456789");
  EXPECT_THAT(submit(kq, {add(file, EVFILT_READ)}),
              Returns(ElementsAre(Event(file, EVFILT_READ).data(10))));
  take(file, 4);
  EXPECT_THAT(poll(kq), ElementsAre(Event(file, EVFILT_READ).data(6)));
  take(file, 100);
  EXPECT_THAT(poll(kq), IsEmpty()) << "at the end there is nothing to read, and no EV_EOF";
}

TEST_P(Kqueue_ReadFile, AnEmptyFileIsNotReady) {
  const unique_fd file = make("");
  EXPECT_THAT(submit(kq, {add(file, EVFILT_READ)}), Succeeds());
}

TEST_P(Kqueue_ReadFile, TheOffsetBelongsToTheOpenFile) {
  const unique_fd file = make("0123456789");
  const unique_fd twin(::dup(file));
  ASSERT_THAT(alter(kq, {add(file, EVFILT_READ)}), Succeeds());
  ::lseek(twin, 7, SEEK_SET);
  EXPECT_THAT(poll(kq), ElementsAre(Event(file, EVFILT_READ).data(3)));
}

TEST_P(Kqueue_ReadFile, BehindTheEndDataIsNegativeAndReady) {
  const unique_fd file = make("0123456789");
  ::lseek(file, 15, SEEK_SET);
  EXPECT_THAT(submit(kq, {add(file, EVFILT_READ)}),
              Returns(ElementsAre(Event(file, EVFILT_READ).data(-5))));
}

TEST_P(Kqueue_ReadFile, AnAppendMakesAFinishedReaderReadyAgain) {
  const unique_fd file = make("abc");
  take(file, 3);
  ASSERT_THAT(submit(kq, {add(file, EVFILT_READ)}), Succeeds());
  for (int i = 0; i < 5; ++i) {
    const unique_fd writer = open_file(directory_.path() + "/file", O_WRONLY | O_APPEND);
    put(writer, "de");
    EXPECT_THAT(await(kq), ElementsAre(Event(file, EVFILT_READ).data(2)));
    take(file, 2);
    EXPECT_THAT(poll(kq), IsEmpty());
  }
}

TEST_P(Kqueue_ReadFile, AnAppendWakesAWaiter) {
  const unique_fd file = make("abc");
  take(file, 3);
  ASSERT_THAT(submit(kq, {add(file, EVFILT_READ)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  const unique_fd writer = open_file(directory_.path() + "/file", O_WRONLY | O_APPEND);
  put(writer, "d");
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(file, EVFILT_READ).data(1))));
}

TEST_P(Kqueue_ReadFile, ANoteSurvivesUnlinkAndRename) {
  const unique_fd file = make("abc");
  take(file, 3);
  const unique_fd writer = open_file(directory_.path() + "/file", O_WRONLY | O_APPEND);
  ASSERT_THAT(submit(kq, {add(file, EVFILT_READ)}), Succeeds());
  std::filesystem::rename(directory_.path() + "/file", directory_.path() + "/renamed");
  put(writer, "d");
  EXPECT_THAT(await(kq), ElementsAre(Event(file, EVFILT_READ).data(1)));
  take(file, 1);
  std::filesystem::remove(directory_.path() + "/renamed");
  put(writer, "ef");
  EXPECT_THAT(await(kq), ElementsAre(Event(file, EVFILT_READ).data(2)));
}

TEST_P(Kqueue_ReadFile, OneShotAndDeleteWorkAsOnOtherObjects) {
  const unique_fd file = make("abc");
  EXPECT_THAT(submit(kq, {add(file, EVFILT_READ, EV_ONESHOT)}),
              Returns(ElementsAre(Event(file, EVFILT_READ).data(3).flags(EV_ONESHOT))));
  EXPECT_THAT(alter(kq, {remove(file, EVFILT_READ)}), FailsWith(ENOENT));
  EXPECT_THAT(alter(kq, {add(file, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(submit(kq, {remove(file, EVFILT_READ)}), Succeeds());
}

TEST_P(Kqueue_ReadFile, AnEdgeComesOnceUntilTheFileGrows) {
  const unique_fd file = make("abc");
  ASSERT_THAT(submit(kq, {add(file, EVFILT_READ, EV_CLEAR)}),
              Returns(ElementsAre(Event(file, EVFILT_READ).data(3).flags(EV_CLEAR))));
  EXPECT_THAT(poll(kq), IsEmpty());
  const unique_fd writer = open_file(directory_.path() + "/file", O_WRONLY | O_APPEND);
  put(writer, "d");
  EXPECT_THAT(await(kq), ElementsAre(Event(file, EVFILT_READ).data(4).flags(EV_CLEAR)));
}

TEST_P(Kqueue_ReadFile, DisableAndEnableWork) {
  const unique_fd file = make("abc");
  ASSERT_THAT(submit(kq, {add(file, EVFILT_READ, EV_DISABLE)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {enable(file, EVFILT_READ)}),
              Returns(ElementsAre(Event(file, EVFILT_READ).data(3))));
}

// POSIX locks of a process vanish when it closes any descriptor of the file: a library that opens
// it would drop them.
TEST_P(Kqueue_ReadFile, LocksSurviveTheNotesAndTheQueue) {
  const unique_fd file = make("abc");
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  ASSERT_EQ(::fcntl(file, F_SETLK, &lock), 0);
  ASSERT_THAT(submit(kq, {add(file, EVFILT_READ)}), Returns(testing::SizeIs(1)));
  take(file, 3);
  ASSERT_THAT(poll(kq), IsEmpty());
  ASSERT_THAT(alter(kq, {remove(file, EVFILT_READ), add(file, EVFILT_READ),
                         add(file, EVFILT_VNODE, EV_CLEAR).fflags(NOTE_WRITE | NOTE_DELETE)}),
              Succeeds());
  kq.close();
  // Only another process can see the lock; the kernel lists it.
  std::ifstream locks("/proc/locks");
  const std::string all{std::istreambuf_iterator<char>(locks), std::istreambuf_iterator<char>()};
  struct stat status;
  ASSERT_EQ(::fstat(file, &status), 0);
  const std::string holder = "POSIX  ADVISORY  WRITE " + std::to_string(::getpid()) + " ";
  const std::string inode = ":" + std::to_string(status.st_ino) + " ";
  bool held = false;
  std::istringstream lines(all);
  for (std::string line; std::getline(lines, line);) {
    held |= line.find(holder) != std::string::npos && line.find(inode) != std::string::npos;
  }
  EXPECT_TRUE(held) << all;
}

TEST_P(Kqueue_ReadFile, ManyFilesAreReadyTogether) {
  std::vector<unique_fd> files;
  changes list;
  for (int i = 0; i < 20; ++i) {
    files.push_back(directory_.make_file("abc", "file" + std::to_string(i)));
    list.push_back(add(files.back(), EVFILT_READ));
  }
  ASSERT_THAT(alter(kq, list), Succeeds());
  EXPECT_THAT(poll(kq, 32), testing::SizeIs(20));
}

TEST_P(Kqueue_ReadFile, ADirectoryIsMeasuredLikeAFile) {
  const unique_fd directory(
      checked(::open(directory_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open"));
  struct stat status;
  ASSERT_EQ(::fstat(directory, &status), 0);
  const outcome got = submit(kq, {add(directory, EVFILT_READ)});
  if (status.st_size == 0) {
    EXPECT_THAT(got, Succeeds());
  } else {
    EXPECT_THAT(got, Returns(ElementsAre(Event(directory, EVFILT_READ).data(status.st_size))));
  }
  EXPECT_THAT(alter(kq, {remove(directory, EVFILT_READ)}), Succeeds());
}

QUAY_IN_ALL_DIALECTS(Kqueue_ReadFile);

TEST(Kqueue_ReadFilePoll, OnRequestAFileIsAlwaysReady) {
  const temporary_directory directory;
  const queue kq = make_queue();
  const unique_fd file = directory.make_file("");
  EXPECT_THAT(submit(kq, {add(file, EVFILT_READ).fflags(NOTE_FILE_POLL)}),
              Returns(ElementsAre(Event(file, EVFILT_READ).data(0))));
  EXPECT_THAT(poll(kq), ElementsAre(Event(file, EVFILT_READ).data(0)));
}

}  // namespace
}  // namespace quay::test
