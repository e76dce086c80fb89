// SPDX-License-Identifier: BSD-2-Clause
//
// What: sizes, atomicity, full pipes and who is woken when.
// Contract: semantics/pipes-signalfd.md A2, A3, A4, A13 P10 to P30. Figures are those of the default
// constants: 4096 bytes atomic, 8192 small, 16384 fresh, 65536 at most.
#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

TEST(Pipe_Sizes, SingleBytesFillIt) {
  pipe_pair p(O_NONBLOCK);
  EXPECT_EQ(fill(p.writer()), 65536);
  EXPECT_EQ(put(p.writer(), 1), -EAGAIN);
}

TEST(Pipe_Sizes, ALargeNonblockingWriteIsPartial) {
  pipe_pair p(O_NONBLOCK);
  EXPECT_EQ(put(p.writer(), 70000), 65536);
  EXPECT_EQ(held(p.reader()), 65536);
}

TEST(Pipe_Sizes, SmallBlockingWritesDoNotWait) {
  pipe_pair p;
  for (int i = 0; i < 8; ++i) ASSERT_EQ(put(p.writer(), 4096), 4096);
  EXPECT_EQ(take(p.reader(), 65536), 32768);
}

TEST(Pipe_Sizes, ContentSurvivesTheWrap) {
  pipe_pair p(O_NONBLOCK);
  std::string sent;
  for (int i = 0; i < 90000; ++i) sent += static_cast<char>('a' + i % 23);
  std::string got;
  size_t at = 0;
  while (got.size() < sent.size()) {
    if (at < sent.size()) {
      const long n = put(p.writer(), sent.substr(at, 12192));
      if (n > 0) at += static_cast<size_t>(n);
    }
    got += take_text(p.reader(), 8192);
  }
  EXPECT_EQ(got, sent);
}

TEST(Pipe_Sizes, NothingGrowsWhenResizingIsNotAllowed) {
  const tuned fixed{{"piperesizeallowed", 0}};
  pipe_pair p(O_NONBLOCK);
  EXPECT_EQ(fill(p.writer()), 16384);
  EXPECT_EQ(fill(p.reader()), 8192);
}

TEST(Pipe_Sizes, UnderPressurePipesAreSmall) {
  const long used = quay_tunable_get("pipekva");
  const tuned tight{{"maxpipekva", used + 16384 + 3 * 8192}};
  pipe_pair first(O_NONBLOCK);  // takes more than half of what there is
  pipe_pair second(O_NONBLOCK);
  EXPECT_EQ(fill(second.writer()), 8192);
}

TEST(Pipe_Sizes, TheBudgetEndsInEnomem) {
  const long used = quay_tunable_get("pipekva");
  const tuned tight{{"maxpipekva", used + 8192}};
  int fds[2];
  EXPECT_EQ(outcome_of(quay_pipe2(fds, 0)), -ENOMEM);
  EXPECT_EQ(quay_tunable_get("pipekva"), used);
}

TEST(Pipe_Sizes, ClosingGivesTheBudgetBack) {
  const long used = quay_tunable_get("pipekva");
  {
    pipe_pair p(O_NONBLOCK);
    EXPECT_EQ(quay_tunable_get("pipekva"), used + 16384 + 8192);
    put(p.writer(), 60000);
    EXPECT_EQ(quay_tunable_get("pipekva"), used + 65536 + 8192);
    p.close(0);
    EXPECT_EQ(quay_tunable_get("pipekva"), used + 8192);
  }
  EXPECT_EQ(quay_tunable_get("pipekva"), used);
}

TEST(Pipe_Sizes, TunablesKeepDirectWritesAboveAtomicOnes) {
  EXPECT_EQ(outcome_of(quay_tunable_set("pipe_mindirect", 4096)), -EINVAL);
  EXPECT_EQ(outcome_of(quay_tunable_set("pipekva", 1)), -EPERM);
  EXPECT_EQ(outcome_of(quay_tunable_set("big_pipe_size", 1 << 20)), -EINVAL);
}

TEST(Pipe_Sizes, FreeBsdsConstantsCanBeSet) {
  const tuned freebsd{{"pipe_buf", 512}, {"small_pipe_size", 4096}};
  pipe_pair p(O_NONBLOCK);
  EXPECT_EQ(fill(p.writer()), 65536);
  EXPECT_EQ(ready(p.writer()), 0);
  take(p.reader(), 511);
  EXPECT_EQ(ready(p.writer()), 0);
  take(p.reader(), 1);
  EXPECT_EQ(ready(p.writer()), POLLOUT);
}

TEST(Pipe_Atomicity, AWriteOfPipeBufGoesInWholeOrNotAtAll) {
  pipe_pair p(O_NONBLOCK);
  put(p.writer(), 65536 - 4095);
  EXPECT_EQ(put(p.writer(), 4096), -EAGAIN);
  EXPECT_EQ(held(p.reader()), 65536 - 4095);
  EXPECT_EQ(put(p.writer(), 4097), 4095);
}

TEST(Pipe_Atomicity, RecordsOfManyWritersAreNotTorn) {
  pipe_pair p;
  constexpr int kWriters = 4;
  constexpr int kRecords = 500;
  constexpr size_t kRecord = 4096;
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < kRecords; ++i) {
        EXPECT_EQ(put(p.writer(), kRecord, static_cast<char>('a' + w)), 4096);
      }
    });
  }
  std::string pending;
  for (size_t seen = 0; seen < kWriters * kRecords;) {
    pending += take_text(p.reader(), 30000);
    while (pending.size() >= kRecord) {
      ASSERT_EQ(pending.find_first_not_of(pending[0]), pending.find_first_not_of(pending[0], 0));
      ASSERT_EQ(pending.substr(0, kRecord), std::string(kRecord, pending[0]));
      pending.erase(0, kRecord);
      ++seen;
    }
  }
  for (std::thread& t : writers) t.join();
}

TEST(Pipe_Atomicity, ABlockingWriterWaitsForRoomForAll) {
  pipe_pair p;
  set_nonblocking(p.writer(), true);
  put(p.writer(), 65536 - 4095);
  set_nonblocking(p.writer(), false);
  call writer([&] { return put(p.writer(), 4096); });
  writer.until_asleep();
  EXPECT_FALSE(writer.done());
  EXPECT_EQ(held(p.reader()), 65536 - 4095);
  EXPECT_EQ(take(p.reader(), 65536), 65536 - 4095);
  EXPECT_EQ(writer.result(), 4096);
}

TEST(Pipe_Wakes, ASleepingWriterSleepsUntilThePipeIsNearlyEmpty) {
  pipe_pair p;
  set_nonblocking(p.writer(), true);
  fill(p.writer());
  set_nonblocking(p.writer(), false);
  call writer([&] { return put(p.writer(), 1); });
  writer.until_asleep();
  EXPECT_EQ(take(p.reader(), 10000), 10000);
  writer.until_asleep();
  EXPECT_FALSE(writer.done());
  EXPECT_EQ(take(p.reader(), 65536 - 10000 - 5460), 65536 - 10000 - 5460);
  EXPECT_EQ(writer.result(), 1);
}

TEST(Pipe_Wakes, OneByteIsForOneReaderAndEofForAll) {
  pipe_pair p;
  constexpr size_t kReaders = 4;
  std::vector<std::unique_ptr<call>> readers;
  for (size_t i = 0; i < kReaders; ++i) {
    readers.push_back(std::make_unique<call>([&] { return take(p.reader(), 10); }));
    readers.back()->until_asleep();
  }
  put(p.writer(), 1);
  long bytes = 0;
  while (held(p.reader()) != 0) std::this_thread::yield();
  p.close(1);
  for (auto& r : readers) bytes += r->result();
  EXPECT_EQ(bytes, 1);
}

TEST(Pipe_Wakes, SleepingWritersLeaveWhenTheReaderCloses) {
  const ignored_signal pipe(SIGPIPE);
  pipe_pair p;
  set_nonblocking(p.writer(), true);
  fill(p.writer());
  set_nonblocking(p.writer(), false);
  call small([&] { return put(p.writer(), 100); });
  small.until_asleep();
  call large([&] { return put(p.writer(), 10000); });
  large.until_asleep();
  p.close(0);
  EXPECT_EQ(small.result(), -EPIPE);
  EXPECT_EQ(large.result(), -EPIPE);
}

TEST(Pipe_Wakes, ASignalInterruptsUnlessItRestarts) {
  for (const int flags : {0, SA_RESTART}) {
    const ignored_signal usr(
        SIGUSR1, [](int) {}, flags);
    pipe_pair p;
    call reader([&] { return take(p.reader(), 5); });
    reader.until_asleep();
    reader.signal(SIGUSR1);
    if (flags == 0) {
      EXPECT_EQ(reader.result(), -EINTR);
    } else {
      reader.until_asleep();
      EXPECT_FALSE(reader.done());
      put(p.writer(), 2);
      EXPECT_EQ(reader.result(), 2);
    }
  }
}

}  // namespace
}  // namespace quay::test::pipes
