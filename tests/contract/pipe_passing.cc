// SPDX-License-Identifier: BSD-2-Clause
//
// What: pipes that are handed to processes which did not inherit them.
// Contract: semantics/pipes-signalfd.md A12.2, A12.17; docs/man/quay_pipe2.3.
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <random>

#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

// A child that was there before any pipe, and a socket to it.
template <class F>
class partner {
 public:
  explicit partner(F f) {
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()) != 0) ADD_FAILURE();
    child_.emplace_back(std::make_unique<child>([&] {
      close(ends_[0]);
      return f(ends_[1]);
    }));
    close(ends_[1]);
  }
  ~partner() { close(ends_[0]); }
  partner(const partner&) = delete;
  partner& operator=(const partner&) = delete;

  int socket() const { return ends_[0]; }
  int wait() { return child_[0]->wait(); }
  void kill() { child_[0]->kill(SIGKILL); }
  void until_asleep() { child_[0]->until_asleep(); }

 private:
  std::array<int, 2> ends_{-1, -1};
  std::vector<std::unique_ptr<child>> child_;
};

std::string noise(size_t n, unsigned seed) {
  std::minstd_rand random(seed);
  std::string bytes(n, '\0');
  for (char& c : bytes) c = static_cast<char>(random() >> 7);
  return bytes;
}

TEST(Pipe_Passing, WhatWasWrittenBeforeArrives) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  partner other([](int socket) {
    const int fd = quay_pipe_receive(socket);
    return take_text(fd, 100) == "before" && take_text(fd, 100) == "after" && take(fd, 1) == 0 ? 0
                                                                                               : 1;
  });
  pipe_pair p;
  EXPECT_EQ(put(p.writer(), "before"), 6);
  ASSERT_EQ(quay_pipe_send(other.socket(), p.reader()), 0) << errno;
  p.close(0);
  other.until_asleep();
  EXPECT_EQ(put(p.writer(), "after"), 5);
  other.until_asleep();
  p.close(1);
  EXPECT_EQ(other.wait(), 0);
}

TEST(Pipe_Passing, BytesFlowBothWays) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  const std::string there = noise(300'000, 3);
  const std::string back = noise(200'000, 5);
  partner other([&](int socket) {
    const int fd = quay_pipe_receive(socket);
    std::string got;
    while (got.size() < there.size()) {
      const std::string piece = take_text(fd, 70'000);
      if (piece.empty()) return 1;
      got += piece;
    }
    if (got != there) return 2;
    return put(fd, back) == static_cast<long>(back.size()) ? 0 : 3;
  });
  pipe_pair p;
  ASSERT_EQ(quay_pipe_send(other.socket(), p.reader()), 0);
  p.close(0);
  EXPECT_EQ(put(p.writer(), there), static_cast<long>(there.size()));
  std::string got;
  while (got.size() < back.size()) {
    const std::string piece = take_text(p.writer(), 50'000);
    ASSERT_FALSE(piece.empty());
    got += piece;
  }
  EXPECT_EQ(got, back);
  EXPECT_EQ(other.wait(), 0);
}

TEST(Pipe_Passing, WhoSleepsWhileThePipeMovesIsWoken) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  for (int round = 0; round < 50; ++round) {
    partner other([](int socket) {
      const int fd = quay_pipe_receive(socket);
      return put(fd, "x") == 1 ? 0 : 1;
    });
    pipe_pair p;
    call sleeper([&] { return take(p.reader(), 1); });
    if (round % 2 == 0) sleeper.until_asleep();
    ASSERT_EQ(quay_pipe_send(other.socket(), p.writer()), 0);
    EXPECT_EQ(sleeper.result(), 1);
    EXPECT_EQ(other.wait(), 0);
  }
}

TEST(Pipe_Passing, NoByteIsLostWhileThePipeMoves) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  for (int round = 0; round < 20; ++round) {
    partner other([](int socket) {
      const int fd = quay_pipe_receive(socket);
      return fd >= 0 && put(fd, "end") == 3 ? 0 : 1;
    });
    pipe_pair p;
    constexpr size_t kTotal = 400'000;
    const std::string all = noise(kTotal, static_cast<unsigned>(round));
    std::thread writer([&] {
      for (size_t at = 0; at < kTotal;) {
        const size_t n = std::min<size_t>(kTotal - at, 1 + at % 9000);
        if (put(p.writer(), all.substr(at, n)) != static_cast<long>(n)) break;
        at += n;
      }
      // The last three bytes are the child's.
      if (quay_pipe_send(other.socket(), p.writer()) != 0) ADD_FAILURE();
    });
    std::thread sender([&] {
      // Once more while the bytes flow: to ourselves.
      int ends[2];
      if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) ADD_FAILURE();
      if (quay_pipe_send(ends[0], p.writer()) != 0) ADD_FAILURE();
      const int again = quay_pipe_receive(ends[1]);
      EXPECT_GE(again, 0);
      quay_close(again);
      close(ends[0]);
      close(ends[1]);
    });
    std::string got;
    while (got.size() < kTotal + 3) {
      const std::string piece = take_text(p.reader(), 20'000);
      ASSERT_FALSE(piece.empty()) << got.size();
      got += piece;
    }
    EXPECT_TRUE(got == all + "end") << "round " << round;
    writer.join();
    sender.join();
    EXPECT_EQ(other.wait(), 0);
  }
}

TEST(Pipe_Passing, TheDeathOfTheReceiverIsTheEnd) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  const ignored_signal no_sigpipe(SIGPIPE);
  partner other([](int socket) {
    const int fd = quay_pipe_receive(socket);
    take(fd, 1);
    pause();
    return 0;
  });
  pipe_pair p;
  ASSERT_EQ(quay_pipe_send(other.socket(), p.reader()), 0);
  p.close(0);
  EXPECT_EQ(put(p.writer(), 1), 1);
  call sleeper([&] { return take(p.writer(), 1); });
  sleeper.until_asleep();
  other.kill();
  EXPECT_EQ(sleeper.result(), 0);
  EXPECT_EQ(put(p.writer(), 1), -EPIPE);
}

TEST(Pipe_Passing, AnEndOnItsWayIsOpen) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  pipe_pair p;
  ASSERT_EQ(quay_pipe_send(ends[0], p.reader()), 0);
  p.close(0);
  EXPECT_EQ(put(p.writer(), "on its way"), 10);
  EXPECT_EQ(ready(p.writer()), POLLOUT);
  const int fd = quay_pipe_receive(ends[1]);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(quay_fcntl(fd, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(take_text(fd, 20), "on its way");
  quay_close(fd);
  EXPECT_EQ(ready(p.writer()) & POLLHUP, POLLHUP);
  close(ends[0]);
  close(ends[1]);
}

TEST(Pipe_Passing, APipeMayBeHandedOn) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  pipe_pair p;
  int fd = p.reader();
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(quay_pipe_send(ends[0], fd), 0);
    if (fd == p.reader()) {
      p.close(0);
    } else {
      quay_close(fd);
    }
    fd = quay_pipe_receive(ends[1]);
    ASSERT_GE(fd, 0);
  }
  EXPECT_EQ(put(p.writer(), "five times"), 10);
  EXPECT_EQ(take_text(fd, 20), "five times");
  quay_close(fd);
  close(ends[0]);
  close(ends[1]);
}

TEST(Pipe_Passing, APipeThatChildrenHaveGoesOnAsTheKernels) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  partner other([](int socket) {
    const int fd = quay_pipe_receive(socket);
    return take_text(fd, 100) == "old" && take_text(fd, 100) == "new" ? 0 : 1;
  });
  pipe_pair p;
  EXPECT_EQ(put(p.writer(), "old"), 3);
  child heir([] { return 0; });
  EXPECT_EQ(heir.wait(), 0);
  ASSERT_EQ(quay_pipe_send(other.socket(), p.reader()), 0);
  p.close(0);
  other.until_asleep();
  EXPECT_EQ(put(p.writer(), "new"), 3);
  EXPECT_EQ(other.wait(), 0);
}

TEST(Pipe_Passing, OtherDescriptorsGoAsTheyAre) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  int plain[2];
  ASSERT_EQ(pipe(plain), 0);
  ASSERT_EQ(quay_pipe_send(ends[0], plain[0]), 0);
  const int fd = quay_pipe_receive(ends[1]);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(write(plain[1], "ab", 2), 2);
  EXPECT_EQ(take_text(fd, 9), "ab");
  for (const int each : {plain[0], plain[1], fd}) close(each);
  EXPECT_EQ(outcome_of(quay_pipe_send(ends[0], 1 << 20)), -EBADF);
  EXPECT_EQ(outcome_of(quay_pipe_send(1 << 20, ends[0])), -EBADF);
  EXPECT_EQ(write(ends[0], "no descriptor", 8), 8);
  EXPECT_EQ(outcome_of(quay_pipe_receive(ends[1])), -EBADMSG);
  close(ends[0]);
  close(ends[1]);
}

TEST(Pipe_Passing, NothingIsLeftBehind) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const long before = quay_tunable_get("pipekva");
  const int lowest = dup(0);
  close(lowest);
  for (int i = 0; i < 300; ++i) {
    pipe_pair p;
    ASSERT_EQ(quay_pipe_send(ends[0], p[i % 2]), 0);
    if (i % 3 == 0) p.close(i % 2);
    const int fd = quay_pipe_receive(ends[1]);
    ASSERT_GE(fd, 0);
    if (i % 5 == 0) p.close(1 - i % 2);
    quay_close(fd);
  }
  EXPECT_EQ(quay_tunable_get("pipekva"), before);
  const int now = dup(0);
  EXPECT_EQ(now, lowest);
  close(now);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace quay::test::pipes
