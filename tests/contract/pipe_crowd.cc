// SPDX-License-Identifier: BSD-2-Clause
//
// What: many writers and readers of one pipe, in threads and in processes.
// Contract: semantics/pipes-signalfd.md A4, A5, A13 P21, P28, P29, P41, P46.
#include <algorithm>
#include <memory>

#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

constexpr size_t kRecord = 4096;

// Until it is in, whether the pipe waits or not.
void put_record(int fd, char fill) {
  const std::string record(kRecord, fill);
  for (;;) {
    const long n = put(fd, record);
    if (n == static_cast<long>(kRecord)) return;
    if (n != -EAGAIN) _exit(1);
    sched_yield();
  }
}

TEST(Pipe_Crowd, RecordsOfManyProcessesAreNotTornWhetherTheyWaitOrNot) {
  const pipe_pair p;
  constexpr int kWriters = 3;
  constexpr int kRecords = 300;
  std::vector<std::unique_ptr<child>> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.push_back(std::make_unique<child>([&, w] {
      for (int i = 0; i < kRecords; ++i) {
        if (w == 0) set_nonblocking(p.writer(), i % 2 == 0);
        put_record(p.writer(), static_cast<char>('a' + w));
      }
      return 0;
    }));
  }
  std::array<int, kWriters> seen{};
  std::string pending;
  for (int left = kWriters * kRecords; left > 0;) {
    pending += take_text(p.reader(), 30000);
    for (; pending.size() >= kRecord; pending.erase(0, kRecord), --left) {
      ASSERT_EQ(pending.substr(0, kRecord), std::string(kRecord, pending[0]));
      ++seen.at(static_cast<size_t>(pending[0] - 'a'));
    }
  }
  for (const auto& w : writers) EXPECT_EQ(w->wait(), 0);
  EXPECT_EQ(seen, (std::array<int, kWriters>{kRecords, kRecords, kRecords}));
}

TEST(Pipe_Crowd, OneByteIsForOneProcessAndTheEndForAll) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  pipe_pair p;
  std::vector<std::unique_ptr<child>> readers;
  for (int i = 0; i < 4; ++i) {
    readers.push_back(std::make_unique<child>([&] {
      p.close(1);
      return static_cast<int>(take(p.reader(), 10));
    }));
    readers.back()->until_asleep();
  }
  put(p.writer(), 1);
  while (held(p.reader()) != 0) std::this_thread::yield();
  p.close(1);
  int bytes = 0;
  for (const auto& r : readers) bytes += r->wait();
  EXPECT_EQ(bytes, 1);
}

TEST(Pipe_Crowd, WritersInManyProcessesLeaveWhenTheReaderCloses) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  const ignored_signal no_sigpipe(SIGPIPE);
  pipe_pair p;
  set_nonblocking(p.writer(), true);
  fill(p.writer());
  set_nonblocking(p.writer(), false);
  std::vector<std::unique_ptr<child>> writers;
  for (const size_t size : {1ul, 100ul, 10000ul, 70000ul}) {
    writers.push_back(std::make_unique<child>([&, size] {
      p.close(0);
      return put(p.writer(), size) == -EPIPE ? 0 : 1;
    }));
    writers.back()->until_asleep();
  }
  p.close(0);
  for (const auto& w : writers) EXPECT_EQ(w->wait(), 0);
}

// The signal may come before the last byte is read, with it, and after it.
TEST(Pipe_Crowd, InterruptingAWindowThatWasReadDropsNobodysBytes) {
  const ignored_signal usr(SIGUSR1, [](int) {});
  for (int round = 0; round < 60; ++round) {
    const pipe_pair p;
    call writer([&] { return put(p.writer(), 8192, 'w'); });
    while (held(p.reader()) != 8192) std::this_thread::yield();
    call third([&] { return put(p.writer(), 10, 'x'); });
    if (round % 2 == 0) writer.signal(SIGUSR1);
    EXPECT_EQ(take(p.reader(), 8192), 8192);
    if (round % 2 == 1 && !writer.done()) writer.signal(SIGUSR1);
    EXPECT_EQ(writer.result(), 8192);
    EXPECT_EQ(take_text(p.reader(), 100), std::string(10, 'x'));
    EXPECT_EQ(third.result(), 10);
  }
}

TEST(Pipe_Crowd, AWindowWhoseProcessBecomesAnotherProgramHoldsTheOldOnesBytes) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  pipe_pair p(O_CLOEXEC);
  child other([&]() -> int {
    p.close(0);
    std::thread([&] { put(p.writer(), 16384, 'w'); }).detach();
    char byte = 0;
    while (quay_read(p.writer(), &byte, 1) != 1) {
    }
    execl("/bin/sh", "sh", "-c", "exit 7", nullptr);
    return 1;
  });
  p.close(1);
  while (held(p.reader()) != 16384) std::this_thread::yield();
  EXPECT_EQ(take(p.reader(), 384), 384);
  EXPECT_EQ(put(p.reader(), 1), 1);  // the other direction: go on
  EXPECT_EQ(other.wait(), 7);
  std::string all;
  for (std::string some; !(some = take_text(p.reader(), 70000)).empty();) all += some;
  EXPECT_EQ(all, std::string(16000, 'w'));
}

}  // namespace
}  // namespace quay::test::pipes
