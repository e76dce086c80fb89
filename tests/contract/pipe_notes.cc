// SPDX-License-Identifier: BSD-2-Clause
//
// What: notes on the ends: registration and close in both orders, windows, edges, other filters.
// Contract: semantics/pipes-signalfd.md A9, A11 (kqueue), A13 P48, P49.
#include <sys/event.h>

#include "kqueue.hpp"
#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

using kq_events = std::vector<struct kevent>;

int alter(int q, int fd, int filter, unsigned flags, unsigned fflags = 0, int64_t data = 0) {
  struct kevent change {};
  EV_SET(&change, static_cast<uintptr_t>(fd), static_cast<short>(filter),
         static_cast<unsigned short>(flags), fflags, data, nullptr);
  return kevent(q, &change, 1, nullptr, 0, nullptr) == 0 ? 0 : errno;
}
kq_events events(int q) {
  kq_events out(8);
  const timespec now{0, 0};
  const int n = kevent(q, nullptr, 0, out.data(), 8, &now);
  out.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return out;
}

TEST(Pipe_Notes, AWriteNoteMadeBeforeTheCloseIsToldOnceAndAReadNoteStays) {
  for (const int end : {0, 1}) {
    pipe_pair p;
    const queue q = make_queue();
    put(p[1 - end], 4);
    ASSERT_EQ(alter(q, p[end], EVFILT_WRITE, EV_ADD), 0);
    const auto before = events(q);
    ASSERT_EQ(before.size(), 1u);
    ASSERT_EQ(alter(q, p[end], EVFILT_READ, EV_ADD), 0);
    p.close(1 - end);
    auto got = events(q);
    ASSERT_EQ(got.size(), 2u);
    if (got[0].filter != EVFILT_WRITE) std::swap(got[0], got[1]);
    EXPECT_EQ(got[0].filter, EVFILT_WRITE);
    EXPECT_EQ(got[0].flags, EV_EOF | EV_ONESHOT);
    EXPECT_EQ(got[0].data, before[0].data);
    EXPECT_EQ(got[1].flags, EV_EOF);
    EXPECT_EQ(got[1].data, 4);
    EXPECT_EQ(got[1].fflags, 0u);
    EXPECT_EQ(alter(q, p[end], EVFILT_WRITE, EV_DELETE), ENOENT);
    EXPECT_EQ(alter(q, p[end], EVFILT_WRITE, EV_ADD), EPIPE);
    take(p[end], 4);
    got = events(q);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].flags, EV_EOF);
    EXPECT_EQ(got[0].data, 0);
  }
}

TEST(Pipe_Notes, ARefusedNoteIsToldInItsReceipt) {
  pipe_pair p;
  p.close(0);
  const queue q = make_queue();
  struct kevent changes[2];
  EV_SET(&changes[0], static_cast<uintptr_t>(p.writer()), EVFILT_READ, EV_ADD | EV_RECEIPT, 0, 0,
         nullptr);
  EV_SET(&changes[1], static_cast<uintptr_t>(p.writer()), EVFILT_WRITE, EV_ADD | EV_RECEIPT, 0, 0,
         nullptr);
  struct kevent got[2];
  ASSERT_EQ(kevent(q, changes, 2, got, 2, nullptr), 2);
  EXPECT_EQ(got[0].data, 0);
  EXPECT_TRUE(got[0].flags & EV_ERROR);
  EXPECT_EQ(got[1].data, EPIPE);
  EXPECT_TRUE(got[1].flags & EV_ERROR);
}

TEST(Pipe_Notes, AWindowTakesTheRoomAndItsReadingGivesItBack) {
  pipe_pair p;
  const queue q = make_queue();
  ASSERT_EQ(alter(q, p.writer(), EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
  EXPECT_EQ(events(q).size(), 1u);
  call writer([&] { return put(p.writer(), 10000); });
  writer.until_asleep();
  EXPECT_TRUE(events(q).empty());
  take(p.reader(), 9999);
  EXPECT_TRUE(events(q).empty());
  take(p.reader(), 1);
  EXPECT_EQ(writer.result(), 10000);
  const auto got = events(q);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].data, 16384);
}

TEST(Pipe_Notes, APartialReadIsAnEdgeForTheReaderItself) {
  pipe_pair p;
  const queue q = make_queue();
  ASSERT_EQ(alter(q, p.reader(), EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  put(p.writer(), 10);
  EXPECT_EQ(events(q).size(), 1u);
  EXPECT_TRUE(events(q).empty());
  take(p.reader(), 4);
  auto got = events(q);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].data, 6);
  take(p.reader(), 6);
  EXPECT_TRUE(events(q).empty());
}

TEST(Pipe_Notes, AWriteThatFoundNoRoomIsAnEdgeForTheReader) {
  pipe_pair p(O_NONBLOCK);
  const queue q = make_queue();
  fill(p.writer());
  ASSERT_EQ(alter(q, p.reader(), EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  EXPECT_EQ(events(q).size(), 1u);
  EXPECT_TRUE(events(q).empty());
  EXPECT_EQ(put(p.writer(), 1), -EAGAIN);
  const auto got = events(q);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].data, 65536);
  EXPECT_EQ(take(p.writer(), 1), -EAGAIN);  // the other queue
  EXPECT_TRUE(events(q).empty());
}

TEST(Pipe_Notes, AReadThatFoundNothingIsNoEdge) {
  pipe_pair p(O_NONBLOCK);
  const queue q = make_queue();
  ASSERT_EQ(alter(q, p.writer(), EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
  EXPECT_EQ(events(q).size(), 1u);
  EXPECT_EQ(take(p.reader(), 1), -EAGAIN);
  EXPECT_TRUE(events(q).empty());
}

TEST(Pipe_Notes, AnEventThatIsNoLongerTrueIsNotTold) {
  pipe_pair p;
  const queue q = make_queue();
  ASSERT_EQ(alter(q, p.reader(), EVFILT_READ, EV_ADD | EV_CLEAR), 0);
  put(p.writer(), 10);
  take(p.reader(), 10);
  EXPECT_TRUE(events(q).empty());
}

TEST(Pipe_Notes, ThresholdsOfTheProgramAreNotAPipes) {
  pipe_pair p(O_NONBLOCK);
  const queue q = make_queue();
  ASSERT_EQ(alter(q, p.reader(), EVFILT_READ, EV_ADD, NOTE_LOWAT, 100), 0);
  put(p.writer(), 1);
  auto got = events(q);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].data, 1);
  fill(p.writer());
  take(p.reader(), 4095);
  const queue w = make_queue();
  ASSERT_EQ(alter(w, p.writer(), EVFILT_WRITE, EV_ADD, NOTE_LOWAT, 1), 0);
  EXPECT_TRUE(events(w).empty());
  take(p.reader(), 1);
  EXPECT_EQ(events(w).size(), 1u);
}

TEST(Pipe_Notes, OtherFiltersAreRefused) {
  pipe_pair p;
  const queue q = make_queue();
  for (const int end : {0, 1}) {
    EXPECT_EQ(alter(q, p[end], EVFILT_VNODE, EV_ADD, NOTE_DELETE), EINVAL);
    EXPECT_EQ(alter(q, p[end], EVFILT_EMPTY, EV_ADD), EINVAL);
    EXPECT_EQ(alter(q, p[end], EVFILT_PROCDESC, EV_ADD, NOTE_EXIT), EINVAL);
  }
}

TEST(Pipe_Notes, TheOldestEventComesFirst) {
  pipe_pair p;
  const queue q = make_queue();
  ASSERT_EQ(alter(q, p.writer(), EVFILT_WRITE, EV_ADD), 0);
  ASSERT_EQ(alter(q, p.writer(), EVFILT_READ, EV_ADD), 0);
  p.close(0);
  const auto got = events(q);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].filter, EVFILT_WRITE);  // active since it was added
  EXPECT_EQ(got[0].data, 16384);
  EXPECT_EQ(got[1].filter, EVFILT_READ);
}

}  // namespace
}  // namespace quay::test::pipes
