// SPDX-License-Identifier: BSD-2-Clause
//
// What: one pipe in several processes: bytes, sleeping, readiness, and what the death of one means to
// the others.
// Contract: semantics/pipes-signalfd.md A12, A13 (the cases in two processes).
#include <sys/event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kqueue.hpp"
#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

class Pipe_Processes : public testing::Test {
 protected:
  void SetUp() override { QUAY_NEEDS_THREADS_IN_CHILDREN(); }
};

// For children: they die with the test rather than hang.
void die_in_time() { alarm(60); }

TEST_F(Pipe_Processes, BytesFlowBothWaysBetweenParentAndChild) {
  pipe_pair p;
  child echo([&] {
    die_in_time();
    p.close(1);
    std::string seen;
    while (seen.size() < 300000) {
      const std::string got = take_text(p.reader(), 50000);
      if (got.empty()) return 1;
      if (put(p.reader(), got) != static_cast<long>(got.size())) return 2;
      seen += got;
    }
    return 0;
  });
  p.close(0);
  std::string sent(300000, '\0');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 2654435761u >> 24);
  std::thread writer([&] { EXPECT_EQ(put(p.writer(), sent), static_cast<long>(sent.size())); });
  std::string back;
  while (back.size() < sent.size()) {
    const std::string got = take_text(p.writer(), 70000);
    ASSERT_FALSE(got.empty());
    back += got;
  }
  writer.join();
  EXPECT_EQ(back, sent);
  EXPECT_EQ(echo.wait(), 0);
}

// The number was a queue's, and nobody heard that it was closed.
TEST_F(Pipe_Processes, AChildKeepsAPipeOnAQueuesFormerNumber) {
  const int queue_was = ::kqueue();
  ASSERT_GE(queue_was, 0);
  ::syscall(SYS_close, queue_was);
  pipe_pair p;
  ASSERT_TRUE(p.reader() == queue_was || p.writer() == queue_was);
  child reader([&] {
    die_in_time();
    return take_text(p.reader(), 10) == "mine" ? 0 : 1;
  });
  put(p.writer(), "mine");
  EXPECT_EQ(reader.wait(), 0);
}

TEST_F(Pipe_Processes, TheLastWritersExitIsTheEndOfFile) {
  pipe_pair p;
  child writer([&] {
    put(p.writer(), "bye");
    return 0;  // exits without closing
  });
  p.close(1);
  EXPECT_EQ(take_text(p.reader(), 10), "bye");
  EXPECT_EQ(take(p.reader(), 10), 0);
  EXPECT_EQ(writer.wait(), 0);
}

TEST_F(Pipe_Processes, ASleepingReaderSeesTheKillingOfTheWriter) {
  pipe_pair p;
  child writer([&] {
    die_in_time();
    for (;;) pause();
    return 0;
  });
  p.close(1);
  call reader([&] { return take(p.reader(), 10); });
  reader.until_asleep();
  EXPECT_FALSE(reader.done());
  writer.kill(SIGKILL);
  EXPECT_EQ(reader.result(), 0);
}

TEST_F(Pipe_Processes, ASleepingWriterSeesTheKillingOfTheReader) {
  const ignored_signal pipe(SIGPIPE);
  pipe_pair p;
  child reader([&] {
    die_in_time();
    for (;;) pause();
    return 0;
  });
  p.close(0);
  set_nonblocking(p.writer(), true);
  fill(p.writer());
  set_nonblocking(p.writer(), false);
  call writer([&] { return put(p.writer(), 10); });
  writer.until_asleep();
  reader.kill(SIGKILL);
  EXPECT_EQ(writer.result(), -EPIPE);
}

TEST_F(Pipe_Processes, ACloseInAnotherProcessIsSeenAtOnce) {
  const ignored_signal pipe(SIGPIPE);
  pipe_pair data;
  pipe_pair told;
  child reader([&] {
    die_in_time();
    data.close(1);
    data.close(0);
    put(told.writer(), 1);
    for (;;) pause();
    return 0;
  });
  data.close(0);
  EXPECT_EQ(take(told.reader(), 1), 1);
  EXPECT_EQ(put(data.writer(), 1), -EPIPE);
}

TEST_F(Pipe_Processes, ADeadReaderIsNoticedByPollAndByNonblockingCalls) {
  pipe_pair p(O_NONBLOCK);
  {
    child other([&] { return 0; });
    p.close(1);
    EXPECT_EQ(other.wait(), 0);
  }
  EXPECT_EQ(ready(p.reader()), POLLIN | POLLOUT | POLLHUP);
  EXPECT_EQ(take(p.reader(), 1), 0);
}

TEST_F(Pipe_Processes, ADirectWriteWaitsForAReaderInAnotherProcess) {
  pipe_pair p;
  pipe_pair go;
  child reader([&] {
    die_in_time();
    take(go.reader(), 1);
    size_t seen = 0;
    while (seen < 100000) {
      const long n = take(p.reader(), 30000);
      if (n <= 0) return 1;
      seen += static_cast<size_t>(n);
    }
    return 0;
  });
  call writer([&] { return put(p.writer(), 100000); });
  writer.until_asleep();
  EXPECT_FALSE(writer.done());
  put(go.writer(), 1);
  EXPECT_EQ(writer.result(), 100000);
  EXPECT_EQ(reader.wait(), 0);
}

TEST_F(Pipe_Processes, WhatAKilledDirectWriterOfferedIsNotLost) {
  pipe_pair p;
  child writer([&] {
    die_in_time();
    put(p.writer(), 50000, 'k');
    return 0;
  });
  p.close(1);
  while (held(p.reader()) < 50000) std::this_thread::yield();
  writer.until_asleep();
  writer.kill(SIGKILL);
  EXPECT_EQ(writer.wait(), -SIGKILL);
  std::string all;
  for (std::string got; !(got = take_text(p.reader(), 20000)).empty();) all += got;
  EXPECT_EQ(all, std::string(50000, 'k'));
}

TEST_F(Pipe_Processes, APollWaitsForBytesOfAnotherProcess) {
  pipe_pair p;
  pipe_pair go;
  child writer([&] {
    die_in_time();
    take(go.reader(), 1);
    put(p.writer(), 5);
    for (;;) pause();
    return 0;
  });
  for (int round = 0; round < 1; ++round) {
    call waiting([&]() -> long {
      pollfd asked{p.reader(), POLLIN, 0};
      return quay_poll(&asked, 1, 30000);
    });
    waiting.until_asleep();
    put(go.writer(), 1);
    EXPECT_EQ(waiting.result(), 1);
    EXPECT_EQ(take(p.reader(), 10), 5);
  }
}

TEST_F(Pipe_Processes, APollWaitsForRoomMadeByAnotherProcess) {
  pipe_pair p;
  pipe_pair go;
  child reader([&] {
    die_in_time();
    take(go.reader(), 1);
    take(p.reader(), 65536);
    for (;;) pause();
    return 0;
  });
  set_nonblocking(p.writer(), true);
  fill(p.writer());
  call waiting([&]() -> long {
    pollfd asked{p.writer(), POLLOUT, 0};
    return quay_poll(&asked, 1, 30000);
  });
  waiting.until_asleep();
  EXPECT_FALSE(waiting.done());
  put(go.writer(), 1);
  EXPECT_EQ(waiting.result(), 1);
}

TEST_F(Pipe_Processes, AKqueueHearsOfBytesOfAnotherProcess) {
  pipe_pair p;
  pipe_pair go;
  child writer([&] {
    die_in_time();
    for (int i = 0; i < 20; ++i) {
      if (take(go.reader(), 1) != 1 || put(p.writer(), 5) != 5) return 1;
    }
    return 0;
  });
  p.close(1);
  const queue q = make_queue();
  struct kevent change;
  EV_SET(&change, static_cast<uintptr_t>(p.reader()), EVFILT_READ, EV_ADD, 0, 0, nullptr);
  ASSERT_EQ(kevent(q, &change, 1, nullptr, 0, nullptr), 0);
  for (int i = 0; i < 20; ++i) {
    put(go.writer(), 1);
    struct kevent got {};
    const timespec patience{30, 0};
    ASSERT_EQ(kevent(q, nullptr, 0, &got, 1, &patience), 1);
    EXPECT_EQ(got.data, 5);
    EXPECT_EQ(take(p.reader(), 10), 5);
  }
  EXPECT_EQ(writer.wait(), 0);
  struct kevent got {};
  const timespec patience{30, 0};
  ASSERT_EQ(kevent(q, nullptr, 0, &got, 1, &patience), 1);
  EXPECT_EQ(got.flags, EV_EOF);
}

TEST_F(Pipe_Processes, TheBudgetComesBackWhenAProcessIsKilled) {
  const long before = quay_tunable_get("pipekva");
  for (int end : {0, 1}) {
    pipe_pair p;
    child other([&] {
      die_in_time();
      p.close(end);
      for (;;) pause();
      return 0;
    });
    p.close(1 - end);
    other.kill(SIGKILL);
    other.wait();
    EXPECT_EQ(ready(p[end]) & POLLHUP, POLLHUP);
  }
  EXPECT_EQ(quay_tunable_get("pipekva"), before);
}

TEST_F(Pipe_Processes, AChildsPipesAreItsOwn) {
  pipe_pair shared;
  {
    pipe_pair recycled;  // leaves memory for reuse
  }
  child other([&] {
    die_in_time();
    pipe_pair mine;
    put(mine.writer(), "child");
    put(shared.writer(), 1);
    char wait = 0;
    quay_read(shared.writer(), &wait, 1);
    return take_text(mine.reader(), 10) == "child" ? 0 : 1;
  });
  pipe_pair mine;
  put(mine.writer(), "parent");
  take(shared.reader(), 1);
  EXPECT_EQ(take_text(mine.reader(), 10), "parent");
  put(shared.reader(), 1);
  EXPECT_EQ(other.wait(), 0);
}

}  // namespace
}  // namespace quay::test::pipes
