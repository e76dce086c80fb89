// SPDX-License-Identifier: BSD-2-Clause
//
// What: direct writes: blocking writes that return when their bytes have been read.
// Contract: semantics/pipes-signalfd.md A5, A13 P31 to P42.
#include <sys/event.h>
#include <sys/mman.h>

#include "kqueue.hpp"
#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

TEST(Pipe_Direct, AWriteOf8192WaitsForItsReaderAndOneOf8191DoesNot) {
  pipe_pair p;
  EXPECT_EQ(put(p.writer(), 8191), 8191);
  EXPECT_EQ(take(p.reader(), 8191), 8191);
  call writer([&] { return put(p.writer(), 8192); });
  writer.until_asleep();
  EXPECT_FALSE(writer.done());
  EXPECT_EQ(take(p.reader(), 8191), 8191);
  writer.until_asleep();
  EXPECT_FALSE(writer.done());
  EXPECT_EQ(take(p.reader(), 10), 1);
  EXPECT_EQ(writer.result(), 8192);
}

TEST(Pipe_Direct, ManySmallBuffersAreNotADirectWrite) {
  pipe_pair p;
  std::string part(4096, 'v');
  std::vector<iovec> parts(4, {part.data(), part.size()});
  EXPECT_EQ(quay_writev(p.writer(), parts.data(), 4), 16384);
  EXPECT_EQ(held(p.reader()), 16384);
}

TEST(Pipe_Direct, TheWindowIsSeenAsBytesAndNotAsRoom) {
  pipe_pair p;
  const queue q = make_queue();
  call writer([&] { return put(p.writer(), 16384); });
  writer.until_asleep();
  struct stat st {};
  for (const long left : {16384L, 15384L}) {
    EXPECT_EQ(held(p.reader()), left);
    quay_fstat(p.reader(), &st);
    EXPECT_EQ(st.st_size, left);
    EXPECT_EQ(ready(p.reader()), POLLIN | POLLOUT);
    EXPECT_EQ(ready(p.writer()), 0);
    struct kevent change;
    EV_SET(&change, static_cast<uintptr_t>(p.reader()), EVFILT_READ, EV_ADD, 0, 0, nullptr);
    struct kevent got {};
    const timespec now{0, 0};
    ASSERT_EQ(kevent(q, &change, 1, &got, 1, &now), 1);
    EXPECT_EQ(got.data, left);
    if (left == 16384) take(p.reader(), 1000);
  }
  take(p.reader(), 20000);
  EXPECT_EQ(writer.result(), 16384);
}

TEST(Pipe_Direct, ANonblockingReaderDrainsAWindowInPieces) {
  pipe_pair p;
  set_nonblocking(p.reader(), true);
  call writer([&] { return put(p.writer(), 10000); });
  writer.until_asleep();
  for (int i = 0; i < 99; ++i) ASSERT_EQ(take(p.reader(), 100), 100);
  EXPECT_FALSE(writer.done());
  EXPECT_EQ(take(p.reader(), 100), 100);
  EXPECT_EQ(writer.result(), 10000);
  EXPECT_EQ(take(p.reader(), 100), -EAGAIN);
}

TEST(Pipe_Direct, AnInterruptedWindowStaysReadable) {
  for (const size_t size : {10000ul, 65536ul}) {
    for (const int flags : {0, SA_RESTART}) {
      const ignored_signal usr(
          SIGUSR1, [](int) {}, flags);
      pipe_pair p;
      call writer([&] { return put(p.writer(), size, 'w'); });
      writer.until_asleep();
      EXPECT_EQ(take(p.reader(), 1000), 1000);
      writer.until_asleep();
      writer.signal(SIGUSR1);
      EXPECT_EQ(writer.result(), static_cast<long>(size));
      set_nonblocking(p.writer(), true);
      EXPECT_EQ(put(p.writer(), 500, 'x'), 500);
      EXPECT_EQ(take_text(p.reader(), 70000),
                std::string(size - 1000, 'w') + std::string(500, 'x'));
    }
  }
}

TEST(Pipe_Direct, WhatWasOfferedCountsAsWrittenWhenTheReaderCloses) {
  const ignored_signal pipe(SIGPIPE);
  pipe_pair p;
  call writer([&] { return put(p.writer(), 16384); });
  writer.until_asleep();
  take(p.reader(), 1000);
  p.close(0);
  EXPECT_EQ(writer.result(), 16384);
  EXPECT_EQ(put(p.writer(), 1), -EPIPE);
}

TEST(Pipe_Direct, AVeryLargeWriteIsAChainOfWindowsAndATail) {
  pipe_pair p;
  call writer([&] { return put(p.writer(), 70000); });
  writer.until_asleep();
  EXPECT_EQ(take(p.reader(), 100000), 65536);
  EXPECT_EQ(writer.result(), 70000);
  EXPECT_EQ(take(p.reader(), 100000), 70000 - 65536);
}

// A writer that finds another's window read waits for that other to come back. Often, for the two
// meet there now and then only.
TEST(Pipe_Direct, TwoWritersAndAPollingReaderAllFinish) {
  for (int round = 0; round < 100; ++round) {
    pipe_pair p;
    set_nonblocking(p.reader(), true);
    call first([&] { return put(p.writer(), 100000, 'a'); });
    call second([&] { return put(p.writer(), 100000, 'b'); });
    size_t seen = 0;
    while (seen < 200000) {
      pollfd asked{p.reader(), POLLIN, 0};
      ASSERT_EQ(quay_poll(&asked, 1, 30000), 1);
      const long n = take(p.reader(), 3000);
      if (n > 0) seen += static_cast<size_t>(n);
    }
    EXPECT_EQ(first.result(), 100000);
    EXPECT_EQ(second.result(), 100000);
  }
}

TEST(Pipe_Direct, ANonblockingWriterThatMeetsAWindowDoesNotSleep) {
  pipe_pair p;
  call writer([&] { return put(p.writer(), 10000); });
  writer.until_asleep();
  set_nonblocking(p.writer(), true);
  EXPECT_EQ(put(p.writer(), 10), -EAGAIN);
  take(p.reader(), 10000);
  EXPECT_EQ(writer.result(), 10000);
}

TEST(Pipe_Direct, TheWritersMemoryMayGoWhileTheReaderIsAway) {
  pipe_pair p;
  constexpr size_t kSize = 16384;
  void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(memory, 'm', kSize);
  call writer([&] { return quay_write(p.writer(), memory, kSize); });
  writer.until_asleep();
  munmap(memory, kSize);
  EXPECT_EQ(take_text(p.reader(), kSize), std::string(kSize, 'm'));
  EXPECT_EQ(writer.result(), static_cast<long>(kSize));
}

}  // namespace
}  // namespace quay::test::pipes
