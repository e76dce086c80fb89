// SPDX-License-Identifier: BSD-2-Clause
//
// What: closing, polling and watching the ends.
// Contract: semantics/pipes-signalfd.md A6, A8, A9, A13 P47 to P53.
#include <sys/event.h>

#include "kqueue.hpp"
#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

constexpr short kBoth = POLLIN | POLLOUT;

std::atomic<int> g_pipes{0};

TEST(Pipe_Close, WritersGetEpipeAndSigpipe) {
  g_pipes = 0;
  const ignored_signal pipe(SIGPIPE, [](int) { ++g_pipes; });
  for (const int end : {0, 1}) {
    pipe_pair p;
    p.close(end);
    EXPECT_EQ(put(p[1 - end], 1), -EPIPE);
    EXPECT_EQ(put(p[1 - end], std::string()), -EPIPE);
  }
  EXPECT_EQ(g_pipes, 4);
}

TEST(Pipe_Close, ReadersGetWhatIsThereAndThenTheEnd) {
  for (const int end : {0, 1}) {
    pipe_pair p;
    put(p[end], "last words");
    p.close(end);
    EXPECT_EQ(take_text(p[1 - end], 4), "last");
    EXPECT_EQ(take_text(p[1 - end], 100), " words");
    EXPECT_EQ(take(p[1 - end], 100), 0);
    EXPECT_EQ(take(p[1 - end], 100), 0);
  }
}

TEST(Pipe_Close, ASleepingReaderOfEitherEndSeesTheEnd) {
  for (const int end : {0, 1}) {
    pipe_pair p;
    call reader([&] { return take(p[end], 10); });
    reader.until_asleep();
    p.close(1 - end);
    EXPECT_EQ(reader.result(), 0);
  }
}

TEST(Pipe_Close, OfBothEndsAtOnceGivesAllMemoryBack) {
  const long before = quay_tunable_get("pipekva");
  constexpr int kRounds = 2000;
  int ends[2] = {-1, -1};
  std::atomic<int> made{0};
  std::atomic<int> closed{0};
  std::thread other([&] {
    for (int i = 0; i < kRounds; ++i) {
      while (made.load() <= i) std::this_thread::yield();
      ::quay_close(ends[1]);
      ++closed;
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    checked(::quay_pipe2(ends, O_CLOEXEC), "quay_pipe2");
    ++made;
    ::quay_close(ends[0]);
    while (closed.load() <= i) std::this_thread::yield();
  }
  other.join();
  EXPECT_EQ(quay_tunable_get("pipekva"), before);
}

TEST(Pipe_Close, DoesNotDisturbACallInAnotherThread) {
  pipe_pair p;
  call reader([&, fd = p.reader()] { return take(fd, 10); });
  reader.until_asleep();
  p.close(0);
  reader.until_asleep();
  EXPECT_FALSE(reader.done());
  EXPECT_EQ(put(p.writer(), 3), 3);
  EXPECT_EQ(reader.result(), 3);
}

TEST(Pipe_Close, TheEndIsReallyGoneWhenItsLastCallReturns) {
  const ignored_signal pipe(SIGPIPE);
  pipe_pair p;
  {
    call reader([&, fd = p.reader()] { return take(fd, 10); });
    reader.until_asleep();
    p.close(0);
    put(p.writer(), 1);
    reader.result();
  }
  EXPECT_EQ(put(p.writer(), 1), -EPIPE);
}

TEST(Pipe_Poll, StatesOfBothEnds) {
  pipe_pair p(O_NONBLOCK);
  EXPECT_EQ(ready(p[0]), POLLOUT);
  EXPECT_EQ(ready(p[1]), POLLOUT);
  put(p[1], 1);
  EXPECT_EQ(ready(p[0]), kBoth);
  EXPECT_EQ(ready(p[1]), POLLOUT);
  fill(p[1]);
  EXPECT_EQ(ready(p[0]), kBoth);
  EXPECT_EQ(ready(p[1]), 0);
  EXPECT_EQ(ready(p[0], POLLIN), POLLIN);
  EXPECT_EQ(ready(p[0], 0), 0);
  take(p[0], 4095);
  EXPECT_EQ(ready(p[1]), 0);
  take(p[0], 1);
  EXPECT_EQ(ready(p[1]), POLLOUT);
  p.close(1);
  EXPECT_EQ(ready(p[0]), kBoth | POLLHUP);
  EXPECT_EQ(ready(p[0], 0), POLLHUP);
  take(p[0], 65536);
  EXPECT_EQ(ready(p[0]), kBoth | POLLHUP);
}

TEST(Pipe_Poll, TheReaderGoneIsAHangUpToo) {
  pipe_pair p;
  p.close(0);
  EXPECT_EQ(ready(p[1]), kBoth | POLLHUP);
}

TEST(Pipe_Poll, AWaitEndsWithAByteWithRoomAndWithTheEnd) {
  pipe_pair p;
  const auto wait_for = [&](int end, short events) {
    return [fd = p[end], events]() -> long {
      pollfd asked{fd, events, 0};
      return quay_poll(&asked, 1, -1) == 1 ? asked.revents : -1;
    };
  };
  {
    call waiting(wait_for(0, POLLIN));
    waiting.until_asleep();
    put(p.writer(), 1);
    EXPECT_EQ(waiting.result(), POLLIN);
  }
  set_nonblocking(p.writer(), true);
  fill(p.writer());
  {
    call waiting(wait_for(1, POLLOUT));
    waiting.until_asleep();
    take(p.reader(), 4095);
    waiting.until_asleep();
    EXPECT_FALSE(waiting.done());
    take(p.reader(), 1);
    EXPECT_EQ(waiting.result(), POLLOUT);
  }
  {
    call waiting(wait_for(1, POLLIN));
    waiting.until_asleep();
    p.close(0);
    EXPECT_EQ(waiting.result(), POLLIN | POLLHUP);
  }
}

TEST(Pipe_Poll, StandsAmongOtherDescriptors) {
  pipe_pair ours;
  int other[2];
  ASSERT_EQ(pipe2(other, O_CLOEXEC), 0);
  pollfd asked[3] = {{ours.reader(), POLLIN, 0}, {other[0], POLLIN, 0}, {-1, POLLIN, 0}};
  EXPECT_EQ(quay_poll(asked, 3, 0), 0);
  EXPECT_EQ(quay_poll(asked, 3, 1), 0);
  ASSERT_EQ(write(other[1], "x", 1), 1);
  EXPECT_EQ(quay_poll(asked, 3, -1), 1);
  EXPECT_EQ(asked[1].revents, POLLIN);
  EXPECT_EQ(asked[0].revents, 0);
  put(ours.writer(), 1);
  EXPECT_EQ(quay_poll(asked, 3, -1), 2);
  close(other[0]);
  close(other[1]);
}

TEST(Pipe_Poll, AWritableFrameAlwaysMakesProgress) {
  pipe_pair p;
  set_nonblocking(p.writer(), true);
  constexpr size_t kFrame = 65536;
  std::thread reader([&] {
    for (size_t seen = 0; seen < 100 * kFrame;) {
      const long n = take(p.reader(), 256);
      ASSERT_GT(n, 0);
      seen += static_cast<size_t>(n);
    }
  });
  for (size_t sent = 0; sent < 100 * kFrame;) {
    pollfd asked{p.writer(), POLLOUT, 0};
    ASSERT_EQ(quay_poll(&asked, 1, 30000), 1);
    const long n = put(p.writer(), std::min(kFrame, 100 * kFrame - sent));
    ASSERT_GT(n, 0);
    sent += static_cast<size_t>(n);
  }
  reader.join();
}

// --- kqueue ---------------------------------------------------------------------------------------

int add(int q, int fd, int filter, unsigned flags = EV_ADD) {
  struct kevent change;
  EV_SET(&change, static_cast<uintptr_t>(fd), static_cast<short>(filter),
         static_cast<unsigned short>(flags), 0, 0, nullptr);
  return kevent(q, &change, 1, nullptr, 0, nullptr) == 0 ? 0 : errno;
}
std::vector<struct kevent> events(int q) {
  std::vector<struct kevent> out(8);
  const timespec now{0, 0};
  const int n = kevent(q, nullptr, 0, out.data(), 8, &now);
  out.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return out;
}

TEST(Pipe_Kqueue, BothRolesOfBothEnds) {
  pipe_pair p;
  const queue q = make_queue();
  for (const int end : {0, 1}) {
    EXPECT_EQ(add(q, p[end], EVFILT_WRITE), 0);
    auto got = events(q);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].data, end == 1 ? 16384 : 8192);
    EXPECT_EQ(add(q, p[end], EVFILT_WRITE, EV_DELETE), 0);
    EXPECT_EQ(add(q, p[end], EVFILT_READ), 0);
    EXPECT_TRUE(events(q).empty());
    put(p[1 - end], 7);
    got = events(q);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].data, 7);
    EXPECT_EQ(add(q, p[end], EVFILT_READ, EV_DELETE), 0);
    EXPECT_EQ(take(p[end], 7), 7);
  }
}

TEST(Pipe_Kqueue, AWaitingThreadIsReleasedByAByte) {
  pipe_pair p;
  const queue q = make_queue();
  ASSERT_EQ(add(q, p.reader(), EVFILT_READ), 0);
  struct kevent got {};
  call waiting([&] { return kevent(q, nullptr, 0, &got, 1, nullptr); });
  waiting.until_asleep();
  put(p.writer(), 3);
  EXPECT_EQ(waiting.result(), 1);
  EXPECT_EQ(got.data, 3);
}

TEST(Pipe_Kqueue, EveryWriteAndEveryReadIsAnEdge) {
  const tuned freebsd{{"pipe_buf", 512}, {"small_pipe_size", 4096}};
  pipe_pair p(O_NONBLOCK);
  const queue q = make_queue();
  ASSERT_EQ(add(q, p.writer(), EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
  auto got = events(q);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].data, 16384);
  EXPECT_TRUE(events(q).empty());
  put(p.writer(), 100);
  got = events(q);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].data, 16384 - 100);
  fill(p.writer());
  EXPECT_TRUE(events(q).empty());
  take(p.reader(), 511);
  EXPECT_TRUE(events(q).empty());
  take(p.reader(), 1);
  got = events(q);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].data, 512);
  take(p.reader(), 1);
  got = events(q);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].data, 513);
  p.close(0);
  got = events(q);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].flags, EV_CLEAR | EV_EOF | EV_ONESHOT);
  EXPECT_EQ(got[0].data, 513);
  EXPECT_EQ(add(q, p.writer(), EVFILT_WRITE, EV_DELETE), ENOENT);
}

TEST(Pipe_Kqueue, ReadingAtTheEndIsNoEdge) {
  pipe_pair p;
  const queue q = make_queue();
  ASSERT_EQ(add(q, p.reader(), EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  p.close(1);
  auto got = events(q);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].flags, EV_CLEAR | EV_EOF);
  EXPECT_EQ(take(p.reader(), 1), 0);
  EXPECT_TRUE(events(q).empty());
}

TEST(Pipe_Kqueue, RegisteringOnAWidowedEnd) {
  for (const int end : {0, 1}) {
    pipe_pair p;
    put(p[1 - end], 9);
    p.close(1 - end);
    const queue q = make_queue();
    EXPECT_EQ(add(q, p[end], EVFILT_WRITE), EPIPE);
    EXPECT_EQ(add(q, p[end], EVFILT_READ), 0);
    auto got = events(q);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].flags, EV_EOF);
    EXPECT_EQ(got[0].data, 9);
    got = events(q);
    EXPECT_EQ(got.size(), 1u);  // a level
  }
}

}  // namespace
}  // namespace quay::test::pipes
