// SPDX-License-Identifier: BSD-2-Clause
//
// What: threads that are cancelled while they sleep in a pipe's calls: the end that they kept open, the
// bytes that they moved and the window that they offered.
// Contract: semantics/pipes-signalfd.md A12.21: a point of cancellation while asleep, and only then. Bytes
// that went in stay, as with the kernel's pipes; no byte is lost or seen twice.
#include "cancellation.hpp"
#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

using start = cancellable_call::start;

void make_full(const pipe_pair& p) {
  set_nonblocking(p.writer(), true);
  fill(p.writer());
  set_nonblocking(p.writer(), false);
}

// Everything that lies there, without waiting for more.
std::string rest(const pipe_pair& p) {
  set_nonblocking(p.reader(), true);
  std::string all;
  for (std::string some; !(some = take_text(p.reader(), 70000)).empty();) all += some;
  set_nonblocking(p.reader(), false);
  return all;
}

TEST(Pipe_Cancel, ASleepingReaderEndsAndThePipeGoesOn) {
  for (const int end : {0, 1}) {
    const pipe_pair p;
    cancellable_call reader([&] { take(p[end], 10); });
    ASSERT_TRUE(reader.falls_asleep());
    reader.cancel();
    EXPECT_TRUE(reader.join());
    EXPECT_EQ(put(p[1 - end], "next"), 4);
    EXPECT_EQ(take_text(p[end], 10), "next");
  }
}

TEST(Pipe_Cancel, AnotherReaderGetsTheBytes) {
  const pipe_pair p;
  for (int round = 0; round < 5; ++round) {
    cancellable_call first([&] { take(p.reader(), 10); });
    ASSERT_TRUE(first.falls_asleep());
    call second([&] { return take(p.reader(), 10); });
    second.until_asleep();
    first.cancel();
    EXPECT_TRUE(first.join());
    EXPECT_EQ(put(p.writer(), 7), 7);
    EXPECT_EQ(second.result(), 7);
  }
}

TEST(Pipe_Cancel, AnAtomicWriteThatSleptNeverWas) {
  const pipe_pair p;
  make_full(p);
  cancellable_call writer([&] { put(p.writer(), 100, 'y'); });
  ASSERT_TRUE(writer.falls_asleep());
  writer.cancel();
  EXPECT_TRUE(writer.join());
  EXPECT_EQ(rest(p), std::string(65536, 'x'));
  EXPECT_EQ(put(p.writer(), "next"), 4);
  EXPECT_EQ(rest(p), "next");
}

TEST(Pipe_Cancel, WhatALargeWriteHadPutInStays) {
  const pipe_pair p;
  make_full(p);
  EXPECT_EQ(take(p.reader(), 100), 100);
  cancellable_call writer([&] { put(p.writer(), 5000, 'y'); });
  ASSERT_TRUE(writer.falls_asleep());
  writer.cancel();
  EXPECT_TRUE(writer.join());
  EXPECT_EQ(rest(p), std::string(65536 - 100, 'x') + std::string(100, 'y'));
  EXPECT_EQ(put(p.writer(), "next"), 4);
  EXPECT_EQ(rest(p), "next");
}

TEST(Pipe_Cancel, TheRestOfAWindowStaysAsContent) {
  for (const size_t size : {10000ul, 65536ul}) {
    const pipe_pair p;
    cancellable_call writer([&] { put(p.writer(), size, 'w'); });
    ASSERT_TRUE(writer.falls_asleep());
    EXPECT_EQ(take(p.reader(), 5000), 5000);
    ASSERT_TRUE(writer.falls_asleep());
    EXPECT_EQ(ready(p.writer()), 0);
    writer.cancel();
    EXPECT_TRUE(writer.join());
    EXPECT_EQ(ready(p.writer()), POLLOUT);
    EXPECT_EQ(put(p.writer(), 500, 'x'), 500);
    EXPECT_EQ(rest(p), std::string(size - 5000, 'w') + std::string(500, 'x'));
  }
}

TEST(Pipe_Cancel, AWriterBehindAWindowGoesOn) {
  for (const size_t size : {300ul, 20000ul}) {
    const pipe_pair p;
    cancellable_call first([&] { put(p.writer(), 10000, 'w'); });
    ASSERT_TRUE(first.falls_asleep());
    call second([&] { return put(p.writer(), size, 'x'); });
    second.until_asleep();
    first.cancel();
    EXPECT_TRUE(first.join());
    // What fits has room now, and nobody has to read first.
    while (size == 300 && !second.done()) std::this_thread::yield();
    std::string all;
    while (all.size() < 10000 + size) all += take_text(p.reader(), 70000);
    EXPECT_EQ(second.result(), static_cast<long>(size));
    EXPECT_EQ(all, std::string(10000, 'w') + std::string(size, 'x'));
  }
}

TEST(Pipe_Cancel, AnEndThatOnlyTheSleeperKeptOpenGoesWithIt) {
  const ignored_signal no_sigpipe(SIGPIPE);
  {
    pipe_pair p;
    cancellable_call reader([fd = p.reader()] { take(fd, 10); });
    ASSERT_TRUE(reader.falls_asleep());
    p.close(0);
    EXPECT_EQ(put(p.writer(), std::string()), 0);
    reader.cancel();
    EXPECT_TRUE(reader.join());
    EXPECT_EQ(put(p.writer(), 1), -EPIPE);
  }
  pipe_pair p;
  cancellable_call writer([fd = p.writer()] { put(fd, 16384, 'w'); });
  ASSERT_TRUE(writer.falls_asleep());
  p.close(1);
  writer.cancel();
  EXPECT_TRUE(writer.join());
  EXPECT_EQ(take_text(p.reader(), 70000), std::string(16384, 'w'));
  EXPECT_EQ(take(p.reader(), 1), 0);
}

TEST(Pipe_Cancel, ClosingPipesOfCancelledThreadsGivesTheBudgetBack) {
  const long used = quay_tunable_get("pipekva");
  for (int round = 0; round < 4; ++round) {
    pipe_pair p;
    cancellable_call reader([fd = p.reader()] { take(fd, 10); });
    cancellable_call writer([fd = p.reader()] { put(fd, 16384); });
    ASSERT_TRUE(reader.falls_asleep());
    ASSERT_TRUE(writer.falls_asleep());
    p.close(round % 2);
    reader.cancel();
    writer.cancel();
    reader.join();
    writer.join();
  }
  EXPECT_EQ(quay_tunable_get("pipekva"), used);
}

TEST(Pipe_Cancel, ACancellationThatIsPendingActsInTheSleep) {
  const pipe_pair p;
  cancellable_call reader([&] { take(p.reader(), 10); }, start::when_cancelled);
  reader.cancel();
  EXPECT_TRUE(reader.join());
  make_full(p);
  cancellable_call writer([&] { put(p.writer(), 10); }, start::when_cancelled);
  writer.cancel();
  EXPECT_TRUE(writer.join());
}

TEST(Pipe_Cancel, ACallThatNeedNotSleepIsDone) {
  const pipe_pair p;
  cancellable_call pending(
      [&] {
        put(p.writer(), "abc");
        take(p.reader(), 1);
      },
      start::when_cancelled);
  pending.cancel();
  EXPECT_FALSE(pending.join());
  EXPECT_EQ(rest(p), "bc");
}

TEST(Pipe_Cancel, AByteThatComesWithTheCancellationIsTakenOrStays) {
  const pipe_pair p;
  for (int round = 0; round < 40; ++round) {
    std::atomic<long> got = 0;
    cancellable_call reader([&] { got = take(p.reader(), 10); });
    if (round % 8 == 0) {
      ASSERT_TRUE(reader.falls_asleep());
    }
    ASSERT_EQ(put(p.writer(), 3), 3);
    reader.cancel();
    reader.join();
    ASSERT_EQ(static_cast<size_t>(got) + rest(p).size(), 3u) << "round " << round;
  }
}

TEST(Pipe_Cancel, ARecordThatFindsRoomWithTheCancellationGoesInWholeOrNot) {
  for (int round = 0; round < 40; ++round) {
    const pipe_pair p;
    make_full(p);
    std::atomic<bool> returned = false;
    cancellable_call writer([&] { returned = put(p.writer(), 4096, 'y') == 4096; });
    if (round % 8 == 0) {
      ASSERT_TRUE(writer.falls_asleep());
    }
    ASSERT_EQ(take(p.reader(), 65536), 65536);
    writer.cancel();
    writer.join();
    const std::string there = rest(p);
    ASSERT_EQ(there, std::string(there.size(), 'y'));
    ASSERT_EQ(there.size(), returned ? 4096u : 0u) << "round " << round;
  }
}

TEST(Pipe_Cancel, PeekingAndReservingArePointsToo) {
  const pipe_pair p;
  cancellable_call peeker([&] {
    iovec there{};
    quay_pipe_peek(p.reader(), &there);
  });
  ASSERT_TRUE(peeker.falls_asleep());
  peeker.cancel();
  EXPECT_TRUE(peeker.join());
  make_full(p);
  cancellable_call reserver([&] {
    iovec room{};
    quay_pipe_reserve(p.writer(), 100, &room);
  });
  ASSERT_TRUE(reserver.falls_asleep());
  reserver.cancel();
  EXPECT_TRUE(reserver.join());
  EXPECT_EQ(rest(p).size(), 65536u);
  EXPECT_EQ(put(p.writer(), "next"), 4);
  EXPECT_EQ(take_text(p.reader(), 10), "next");
}

TEST(Pipe_Cancel, TheThreadsOfAnotherProcessMayBeCancelled) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  const pipe_pair p;
  child other([&] {
    cancellable_call writer([&] { put(p.writer(), 16384, 'w'); });
    while (held(p.reader()) != 16384 - 100) sched_yield();
    writer.cancel();
    const bool cancelled = writer.join();
    return cancelled && put(p.writer(), "next") == 4 ? 0 : 1;
  });
  while (held(p.reader()) != 16384) sched_yield();
  EXPECT_EQ(take(p.reader(), 100), 100);
  EXPECT_EQ(other.wait(), 0);
  EXPECT_EQ(rest(p), std::string(16384 - 100, 'w') + "next");
}

}  // namespace
}  // namespace quay::test::pipes
