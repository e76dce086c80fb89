// SPDX-License-Identifier: BSD-2-Clause
//
// What: processes killed at random points while bytes flow.
// Contract: semantics/pipes-signalfd.md A12.3, A12.4, A13 P43, P44: whoever survives goes on; what a
// killed writer's finished calls wrote arrives, in order, followed by the end of the file.
#include <sys/mman.h>
#include <time.h>

#include <cstdio>
#include <random>

#include "length.hpp"
#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

// What byte number n of the stream is.
char byte_at(uint64_t n) { return static_cast<char>((n * 0x9e3779b97f4a7c15u) >> 56); }

struct progress {
  std::atomic<uint64_t> written;  // by calls that returned
};

// By an ordinary write, or in the pipe's own memory.
ssize_t write_some(int fd, uint64_t at, std::vector<char>& bytes, size_t n, bool without_copy) {
  iovec place{};
  if (without_copy) {
    if (quay_pipe_reserve(fd, n, &place) < 0) return -1;
  } else {
    bytes.resize(n);
    place = {bytes.data(), n};
  }
  for (size_t i = 0; i < place.iov_len; ++i) {
    static_cast<char*>(place.iov_base)[i] = byte_at(at + i);
  }
  return without_copy ? quay_pipe_commit(fd, place.iov_len) : quay_write(fd, bytes.data(), n);
}

void write_for_ever(int fd, progress& so_far, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<char> bytes;
  for (uint64_t at = 0;;) {
    const size_t n = 1 + random() % (random() % 4 == 0 ? 60000 : 3000);
    const ssize_t done = write_some(fd, at, bytes, n, random() % 3 == 0);
    if (done <= 0) _exit(3);
    at += static_cast<uint64_t>(done);
    so_far.written.store(at);
  }
}

void doze(unsigned microseconds) {
  const timespec t{0, static_cast<long>(microseconds) * 1000};
  nanosleep(&t, nullptr);
}

TEST(Pipe_Kill, AKilledWriterLeavesAWholeStreamAndItsEnd) {
  auto* so_far = static_cast<progress*>(
      mmap(nullptr, sizeof(progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::minstd_rand random(1);
  const time_limit limit(stress_time());
  int rounds = 0;
  for (; !limit.over(); ++rounds) {
    so_far->written = 0;
    pipe_pair p;
    child writer([&]() -> int {
      p.close(0);
      write_for_ever(p.writer(), *so_far, static_cast<unsigned>(rounds));
      return 0;
    });
    p.close(1);
    std::thread killer([&, after = random() % 1500] {
      doze(static_cast<unsigned>(after));
      writer.kill(SIGKILL);
    });
    std::vector<char> bytes(30000);
    uint64_t at = 0;
    bool right = true;
    for (ssize_t n; (n = quay_read(p.reader(), bytes.data(), 1 + random() % bytes.size())) > 0;) {
      for (ssize_t i = 0; i < n; ++i)
        right = right && bytes[static_cast<size_t>(i)] == byte_at(at++);
    }
    killer.join();
    writer.wait();
    ASSERT_TRUE(right) << "round " << rounds;
    ASSERT_GE(at, so_far->written.load()) << "round " << rounds;
  }
  munmap(so_far, sizeof(progress));
  std::printf("%d rounds\n", rounds);
  EXPECT_GT(rounds, 0);
}

TEST(Pipe_Kill, AKilledReaderTakesNothingWithItThatItDidNotRead) {
  std::minstd_rand random(2);
  const time_limit limit(stress_time());
  int rounds = 0;
  for (; !limit.over(); ++rounds) {
    pipe_pair p;
    set_nonblocking(p.writer(), true);
    child reader([&]() -> int {
      for (;;) take(p.reader(), 1 + static_cast<size_t>(rounds) % 5000);
      return 0;
    });
    std::thread killer([&, after = random() % 1500] {
      doze(static_cast<unsigned>(after));
      reader.kill(SIGKILL);
    });
    uint64_t sent = 0;
    std::vector<char> bytes;
    for (int i = 0; i < 200; ++i) {
      bytes.resize(1 + random() % 20000);
      for (size_t k = 0; k < bytes.size(); ++k) bytes[k] = byte_at(sent + k);
      const ssize_t n = quay_write(p.writer(), bytes.data(), bytes.size());
      if (n > 0) sent += static_cast<uint64_t>(n);
    }
    killer.join();
    reader.wait();
    // What is left is the end of the stream, and the pipe works.
    const auto left = static_cast<uint64_t>(held(p.reader()));
    ASSERT_LE(left, sent);
    bytes.resize(65536);
    for (uint64_t at = sent - left; at < sent;) {
      const ssize_t n = quay_read(p.reader(), bytes.data(), bytes.size());
      ASSERT_GT(n, 0);
      for (ssize_t i = 0; i < n; ++i) ASSERT_EQ(bytes[static_cast<size_t>(i)], byte_at(at++));
    }
  }
  std::printf("%d rounds\n", rounds);
  EXPECT_GT(rounds, 0);
}

TEST(Pipe_Kill, TheBudgetIsWholeAfterwards) {
  const long before = quay_tunable_get("pipekva");
  std::minstd_rand random(3);
  for (int i = 0; i < 100; ++i) {
    pipe_pair p;
    child other([&]() -> int {
      for (;;) {
        put(p.writer(), 100);
        take(p.reader(), 100);
      }
      return 0;
    });
    doze(static_cast<unsigned>(random() % 500));
    other.kill(SIGKILL);
    other.wait();
  }
  EXPECT_EQ(quay_tunable_get("pipekva"), before);
}

}  // namespace
}  // namespace quay::test::pipes
