// SPDX-License-Identifier: BSD-2-Clause
//
// What: making pipes, bytes in order, both directions, facts about the ends.
// Contract: semantics/pipes-signalfd.md A1, A8, A13 P1 to P9.
#include <sys/resource.h>
#include <sys/stat.h>

#include <random>
#include <set>

#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

TEST(Pipe_Basics, BytesArriveInOrderWhateverTheSizes) {
  for (const int from : {1, 0}) {
    pipe_pair p;
    constexpr size_t kTotal = 2'000'000;
    std::thread writer([&] {
      std::minstd_rand random(7);
      std::string bytes;
      for (size_t at = 0; at < kTotal;) {
        const size_t n = std::min<size_t>(1 + random() % 200'000, kTotal - at);
        bytes.resize(n);
        for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<char>((at + i) * 2654435761u >> 24);
        ASSERT_EQ(put(p[from], bytes), static_cast<long>(n));
        at += n;
      }
    });
    std::minstd_rand random(11);
    size_t at = 0;
    while (at < kTotal) {
      const std::string got = take_text(p[1 - from], 1 + random() % 200'000);
      ASSERT_FALSE(got.empty());
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i], static_cast<char>((at + i) * 2654435761u >> 24)) << "byte " << at + i;
      }
      at += got.size();
    }
    writer.join();
  }
}

TEST(Pipe_Basics, WritesAreJoinedAndSplitByReads) {
  pipe_pair p;
  EXPECT_EQ(put(p.writer(), "hello"), 5);
  EXPECT_EQ(put(p.writer(), "world"), 5);
  EXPECT_EQ(take_text(p.reader(), 10), "helloworld");
  EXPECT_EQ(put(p.writer(), "helloworld"), 10);
  EXPECT_EQ(take_text(p.reader(), 5), "hello");
  EXPECT_EQ(take_text(p.reader(), 5), "world");
}

TEST(Pipe_Basics, TheOtherDirectionFlowsWhileThisOneIsFull) {
  pipe_pair p(O_NONBLOCK);
  EXPECT_EQ(fill(p.writer()), 65536);
  EXPECT_EQ(put(p.reader(), 65535), 65535);
  EXPECT_EQ(take(p.writer(), 70000), 65535);
}

TEST(Pipe_Basics, OnlyTwoFlagsAreKnown) {
  int fds[2];
  EXPECT_EQ(outcome_of(quay_pipe2(fds, O_APPEND)), -EINVAL);
  EXPECT_EQ(outcome_of(quay_pipe2(fds, O_DIRECT)), -EINVAL);
  pipe_pair p(O_NONBLOCK | O_CLOEXEC);
  for (const int end : {0, 1}) {
    EXPECT_EQ(quay_fcntl(p[end], F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_NONBLOCK | O_RDWR);
    EXPECT_EQ(quay_fcntl(p[end], F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(take(p[end], 1), -EAGAIN);
  }
}

TEST(Pipe_Basics, ABadPlaceForTheResultMakesNothing) {
  const long before = quay_tunable_get("pipekva");
  int probe[2];
  EXPECT_EQ(outcome_of(quay_pipe2(reinterpret_cast<int*>(8), 0)), -EFAULT);
  EXPECT_EQ(quay_tunable_get("pipekva"), before);
  pipe_pair p;
  EXPECT_LT(p.writer(), 1000);
  static_cast<void>(probe);
}

TEST(Pipe_Basics, RunningOutOfDescriptorsCostsNothing) {
  const long before = quay_tunable_get("pipekva");
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  for (int spare = 0; spare < 2; ++spare) {
    std::vector<int> taken;
    const int lowest = open("/dev/null", O_RDONLY);
    const rlimit tight{static_cast<rlim_t>(lowest + 20), limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &tight);
    for (int fd = 0; (fd = dup(lowest)) >= 0;) taken.push_back(fd);
    if (spare == 1) {
      close(taken.back());
      taken.pop_back();
    }
    for (int i = 0; i < 1000; ++i) {
      int fds[2];
      ASSERT_EQ(outcome_of(quay_pipe2(fds, 0)), -EMFILE);
    }
    setrlimit(RLIMIT_NOFILE, &limit);
    for (const int fd : taken) close(fd);
    close(lowest);
  }
  EXPECT_EQ(quay_tunable_get("pipekva"), before);
}

TEST(Pipe_Basics, EveryEndHasAnInodeOfItsOwn) {
  std::set<ino_t> seen;
  for (int i = 0; i < 5000; ++i) {
    pipe_pair p;
    struct stat st[2];
    ASSERT_EQ(quay_fstat(p[0], &st[0]), 0);
    ASSERT_EQ(quay_fstat(p[1], &st[1]), 0);
    ASSERT_EQ(st[0].st_dev, st[1].st_dev);
    ASSERT_NE(st[0].st_dev, 0u);
    ASSERT_TRUE(seen.insert(st[0].st_ino).second);
    ASSERT_TRUE(seen.insert(st[1].st_ino).second);
  }
}

TEST(Pipe_Basics, FstatTellsOfTheInboundQueue) {
  pipe_pair p;
  struct stat before[2];
  for (const int e : {0, 1}) quay_fstat(p[e], &before[e]);
  // The clock of the times is coarse: wait until it has moved.
  struct timespec t {};
  do clock_gettime(CLOCK_REALTIME_COARSE, &t);
  while (t.tv_sec == before[0].st_mtim.tv_sec && t.tv_nsec == before[0].st_mtim.tv_nsec);
  put(p.writer(), 4097);
  struct stat after[2];
  for (const int e : {0, 1}) quay_fstat(p[e], &after[e]);
  const auto later = [](timespec a, timespec b) {
    return std::pair(a.tv_sec, a.tv_nsec) > std::pair(b.tv_sec, b.tv_nsec);
  };
  EXPECT_TRUE(S_ISFIFO(after[0].st_mode));
  EXPECT_EQ(after[0].st_mode & 07777u, 0u);
  EXPECT_EQ(after[0].st_size, 4097);
  EXPECT_EQ(after[0].st_blocks, 2);
  EXPECT_EQ(after[0].st_nlink, 0u);
  EXPECT_EQ(after[0].st_uid, geteuid());
  EXPECT_EQ(after[1].st_size, 0);
  EXPECT_TRUE(later(after[0].st_mtim, before[0].st_mtim));
  EXPECT_FALSE(later(after[1].st_mtim, before[1].st_mtim));
  EXPECT_FALSE(later(after[0].st_atim, before[0].st_atim));
  take(p.reader(), 1);
  quay_fstat(p.reader(), &after[0]);
  EXPECT_TRUE(later(after[0].st_atim, before[0].st_atim));
  EXPECT_FALSE(later(after[0].st_ctim, before[0].st_ctim));
}

TEST(Pipe_Basics, APipeCannotBeSoughtInOrTruncated) {
  pipe_pair p;
  EXPECT_EQ(outcome_of(lseek(p.reader(), 0, SEEK_SET)), -ESPIPE);
  EXPECT_EQ(outcome_of(ftruncate(p.writer(), 0)), -EINVAL);
}

TEST(Pipe_Basics, BadBuffersAreRefused) {
  pipe_pair p;
  char* const nowhere = reinterpret_cast<char*>(16);
  EXPECT_EQ(outcome_of(quay_write(p.writer(), nowhere, 10)), -EFAULT);
  EXPECT_EQ(outcome_of(quay_write(p.writer(), nowhere, 100000)), -EFAULT);
  EXPECT_EQ(held(p.reader()), 0);
  EXPECT_EQ(put(p.writer(), "abc"), 3);
  EXPECT_EQ(outcome_of(quay_read(p.reader(), nowhere, 10)), -EFAULT);
  EXPECT_EQ(take_text(p.reader(), 10), "abc");
  EXPECT_EQ(outcome_of(quay_readv(p.reader(), reinterpret_cast<iovec*>(16), 1)), -EFAULT);
  iovec one{nowhere, 0};
  EXPECT_EQ(outcome_of(quay_readv(p.reader(), &one, -1)), -EINVAL);
  EXPECT_EQ(outcome_of(quay_readv(p.reader(), &one, 1)), 0);
}

TEST(Pipe_Basics, IoctlsAreThoseOfTheSeed) {
  pipe_pair p;
  int n = 1;
  EXPECT_EQ(quay_ioctl(p.reader(), FIONBIO, &n), 0);
  EXPECT_EQ(take(p.reader(), 1), -EAGAIN);
  n = 0;
  EXPECT_EQ(quay_ioctl(p.reader(), FIONBIO, &n), 0);
  EXPECT_EQ(quay_fcntl(p.reader(), F_GETFL) & O_NONBLOCK, 0);
  n = getpid();
  EXPECT_EQ(quay_ioctl(p.reader(), 0x8901 /* FIOSETOWN */, &n), 0);
  EXPECT_EQ(quay_fcntl(p.reader(), F_GETOWN), getpid());
  n = 0;
  EXPECT_EQ(quay_ioctl(p.reader(), TIOCGPGRP, &n), 0);
  EXPECT_EQ(n, -getpid());
  EXPECT_EQ(outcome_of(quay_ioctl(p.reader(), TIOCOUTQ, &n)), -ENOTTY);
}

std::atomic<int> g_heard{0};

TEST(Pipe_Basics, SigioGoesToTheOwnerOfTheChangedQueue) {
  g_heard = 0;
  const ignored_signal io(SIGIO, [](int) { ++g_heard; });
  pipe_pair p;
  quay_fcntl(p.reader(), F_SETOWN, getpid());
  int on = 1;
  EXPECT_EQ(quay_ioctl(p.reader(), FIOASYNC, &on), 0);
  put(p.writer(), 1);
  EXPECT_EQ(g_heard, 1);
  put(p.reader(), 1);  // the other queue
  EXPECT_EQ(g_heard, 1);
  take(p.reader(), 1);  // space is news as well
  EXPECT_EQ(g_heard, 2);
}

TEST(Pipe_Basics, DuplicatesAreTheSameEnd) {
  pipe_pair p;
  const int copy = quay_fcntl(p.writer(), F_DUPFD, 0);
  ASSERT_GE(copy, 0);
  EXPECT_EQ(put(copy, "copy"), 4);
  p.close(1);
  EXPECT_EQ(put(copy, "still"), 5);
  EXPECT_EQ(take_text(p.reader(), 20), "copystill");
  EXPECT_EQ(quay_close(copy), 0);
  EXPECT_EQ(take(p.reader(), 1), 0);
}

}  // namespace
}  // namespace quay::test::pipes
