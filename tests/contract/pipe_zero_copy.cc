// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay::pipe of <quay/pipe.hpp>, and working in a pipe's own memory.
// Contract: include/quay/pipe.hpp; include/quay/quay.h, quay_pipe_reserve.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <quay/pipe.hpp>

#include <cstring>
#include <random>

#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
void fill_in(const quay::pipe_room& room, const std::string& text) {
  std::memcpy(room.bytes().data(), text.data(), text.size());
}

TEST(Pipe_ZeroCopy, WhatIsCommittedIsReadAtOnce) {
  quay::pipe p;
  quay::pipe_room room = p.writer.reserve(100);
  ASSERT_EQ(room.bytes().size(), 100u);
  fill_in(room, "hello, world");
  EXPECT_EQ(p.reader.available(), 0u);
  room.commit(12);
  EXPECT_EQ(p.reader.available(), 12u);
  std::array<std::byte, 50> into{};
  EXPECT_EQ(p.reader.read(into), 12u);
  EXPECT_EQ(text_of(std::span(into).first(12)), "hello, world");
}

TEST(Pipe_ZeroCopy, WhatIsNotConsumedStays) {
  quay::pipe p;
  p.writer.write(bytes_of("abcdef"));
  {
    quay::pipe_bytes seen = p.reader.peek();
    EXPECT_EQ(text_of(seen.bytes()), "abcdef");
    seen.consume(2);
  }
  { EXPECT_EQ(text_of(p.reader.peek().bytes()), "cdef"); }
  EXPECT_EQ(p.reader.available(), 4u);
  p.writer.close();
  p.reader.peek().consume(4);
  EXPECT_FALSE(p.reader.peek());
}

TEST(Pipe_ZeroCopy, BothDirectionsHaveIt) {
  quay::pipe p;
  quay::pipe_room room = p.reader.reserve(4);
  fill_in(room, "back");
  room.commit(4);
  EXPECT_EQ(text_of(p.writer.peek().bytes()), "back");
}

TEST(Pipe_ZeroCopy, AReservationThatIsDroppedWasNeverThere) {
  quay::pipe p(O_NONBLOCK);
  { const quay::pipe_room room = p.writer.reserve(10); }
  EXPECT_EQ(p.reader.available(), 0u);
  EXPECT_EQ(p.writer.write(bytes_of("x")), 1u);
  EXPECT_EQ(text_of(p.reader.peek().bytes()), "x");
}

TEST(Pipe_ZeroCopy, APieceEndsWhereTheRingDoes) {
  quay::pipe p(O_NONBLOCK);
  size_t moved = 0;
  unsigned char next = 0;
  unsigned char expected = 0;
  std::minstd_rand random(1);
  while (moved < 500'000) {
    quay::pipe_room room = p.writer.reserve(1 + random() % 9000);
    for (std::byte& b : room.bytes()) b = std::byte{next++};
    room.commit(room.bytes().size());
    while (p.reader.available() > 0) {
      quay::pipe_bytes seen = p.reader.peek();
      const size_t n = std::min<size_t>(seen.bytes().size(), 1 + random() % 9000);
      for (size_t i = 0; i < n; ++i) ASSERT_EQ(seen.bytes()[i], std::byte{expected++});
      seen.consume(n);
      moved += n;
    }
  }
}

TEST(Pipe_ZeroCopy, OtherWritersWaitForTheCommit) {
  quay::pipe p;
  quay::pipe_room room = p.writer.reserve(6);
  call other([&] { return put(p.writer.native_handle(), "second"); });
  other.until_asleep();
  EXPECT_FALSE(other.done());
  fill_in(room, "first ");
  room.commit(6);
  EXPECT_EQ(other.result(), 6);
  EXPECT_EQ(take_text(p.reader.native_handle(), 20), "first second");
}

TEST(Pipe_ZeroCopy, OtherReadersWaitForTheConsume) {
  quay::pipe p;
  p.writer.write(bytes_of("abcd"));
  quay::pipe_bytes seen = p.reader.peek();
  call other([&] { return take(p.reader.native_handle(), 10); });
  other.until_asleep();
  EXPECT_FALSE(other.done());
  seen.consume(3);
  EXPECT_EQ(other.result(), 1);
}

TEST(Pipe_ZeroCopy, WhoDoesNotWaitIsRefusedMeanwhile) {
  quay::pipe p(O_NONBLOCK);
  p.writer.write(bytes_of("abcd"));
  const quay::pipe_bytes seen = p.reader.peek();
  const quay::pipe_room room = p.writer.reserve(6);
  std::thread([&] {
    EXPECT_EQ(put(p.writer.native_handle(), 1), -EAGAIN);
    EXPECT_EQ(take(p.reader.native_handle(), 1), -EAGAIN);
    std::error_code error;
    EXPECT_FALSE(p.writer.reserve(1, error));
    EXPECT_EQ(error, std::errc::resource_unavailable_try_again);
  }).join();
}

TEST(Pipe_ZeroCopy, AReserverThatIsKilledHoldsNobodyUp) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  quay::pipe p;
  child holder([&] {
    quay::pipe_room room = p.writer.reserve(100);
    fill_in(room, "never seen");
    kill(getpid(), SIGKILL);
    return 0;
  });
  EXPECT_EQ(holder.wait(), -SIGKILL);
  EXPECT_EQ(put(p.writer.native_handle(), "seen"), 4);
  EXPECT_EQ(take_text(p.reader.native_handle(), 100), "seen");
}

TEST(Pipe_ZeroCopy, AWriterThatWaitsForAReserverWhoIsKilledGoesOn) {
  QUAY_NEEDS_THREADS_IN_CHILDREN();
  quay::pipe p;
  quay::pipe told;
  child holder([&] {
    const quay::pipe_room room = p.writer.reserve(100);
    put(told.writer.native_handle(), 1);
    pause();
    return 0;
  });
  EXPECT_EQ(take(told.reader.native_handle(), 1), 1);
  call other([&] { return put(p.writer.native_handle(), "seen"); });
  other.until_asleep();
  holder.kill(SIGKILL);
  holder.wait();
  EXPECT_EQ(other.result(), 4);
}

TEST(Pipe_ZeroCopy, ReserveWaitsForRoomAndPeekForBytes) {
  quay::pipe p;
  call peeker([&] {
    quay::pipe_bytes seen = p.reader.peek();
    const long n = static_cast<long>(seen.bytes().size());
    seen.consume(static_cast<size_t>(n));
    return n;
  });
  peeker.until_asleep();
  EXPECT_EQ(put(p.writer.native_handle(), 7), 7);
  EXPECT_EQ(peeker.result(), 7);
  set_nonblocking(p.writer.native_handle(), true);
  fill(p.writer.native_handle());
  set_nonblocking(p.writer.native_handle(), false);
  call reserver([&] {
    quay::pipe_room room = p.writer.reserve(10);
    return static_cast<long>(room.bytes().size());
  });
  reserver.until_asleep();
  EXPECT_FALSE(reserver.done());
  take(p.reader.native_handle(), 65536);
  EXPECT_EQ(reserver.result(), 10);
}

TEST(Pipe_ZeroCopy, AWidowedPipeGivesNoRoomAndEnds) {
  const ignored_signal no_sigpipe(SIGPIPE);
  quay::pipe p;
  p.reader.close();
  std::error_code error;
  EXPECT_FALSE(p.writer.reserve(1, error));
  EXPECT_EQ(error, std::errc::broken_pipe);
  EXPECT_FALSE(p.writer.peek(error));
  EXPECT_FALSE(error);
}

TEST(Pipe_ZeroCopy, TheReaderMayGoWhileRoomIsReserved) {
  const ignored_signal no_sigpipe(SIGPIPE);
  quay::pipe p;
  quay::pipe_room room = p.writer.reserve(10);
  p.reader.close();
  std::error_code error;
  room.commit(10, error);
  EXPECT_EQ(error, std::errc::broken_pipe);
}

TEST(Pipe_ZeroCopy, MoreThanThereWasIsRefused) {
  quay::pipe p;
  quay::pipe_room room = p.writer.reserve(10);
  std::error_code error;
  room.commit(11, error);
  EXPECT_EQ(error, std::errc::invalid_argument);
  EXPECT_EQ(p.reader.available(), 0u);
  EXPECT_EQ(outcome_of(quay_pipe_commit(p.writer.native_handle(), 1)), -EINVAL);
  EXPECT_EQ(outcome_of(quay_pipe_consume(p.reader.native_handle(), 1)), -EINVAL);
  iovec piece{};
  EXPECT_EQ(outcome_of(quay_pipe_reserve(p.writer.native_handle(), 0, &piece)), -EINVAL);
  EXPECT_EQ(outcome_of(quay_pipe_peek(0, &piece)), -EOPNOTSUPP);
}

TEST(Pipe_ZeroCopy, WritingTheOrdinaryWayGivesTheReservationUp) {
  quay::pipe p;
  quay::pipe_room room = p.writer.reserve(10);
  EXPECT_EQ(p.writer.write(bytes_of("plain")), 5u);
  std::error_code error;
  room.commit(10, error);
  EXPECT_EQ(error, std::errc::invalid_argument);
  EXPECT_EQ(text_of(p.reader.peek().bytes()), "plain");
}

TEST(Pipe_Face, ErrorsAreThrownOrStored) {
  quay::pipe p(O_NONBLOCK);
  std::array<std::byte, 1> into{};
  EXPECT_THROW(p.reader.read(into), std::system_error);
  std::error_code error;
  EXPECT_EQ(p.reader.read(into, error), 0u);
  EXPECT_EQ(error.value(), EAGAIN);
  EXPECT_THROW(quay::pipe(O_APPEND), std::system_error);
  EXPECT_FALSE(quay::pipe::open(O_APPEND, error).reader);
  EXPECT_EQ(error.value(), EINVAL);
}

TEST(Pipe_Face, EndsMoveAndCloseThemselves) {
  quay::pipe p;
  {
    const quay::pipe_end moved = std::move(p.writer);
    EXPECT_FALSE(p.writer);
    EXPECT_TRUE(moved);
  }
  std::array<std::byte, 1> into{};
  EXPECT_EQ(p.reader.read(into), 0u);
  const int fd = p.reader.release();
  quay::pipe_end again = quay::pipe_end::adopt(fd);
  EXPECT_EQ(again.native_handle(), fd);
}

TEST(Pipe_Face, EndsAreSentAndReceived) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  quay::pipe p;
  p.writer.send(ends[0]);
  p.writer = quay::pipe_end::receive(ends[1]);
  EXPECT_EQ(p.writer.write(bytes_of("sent")), 4u);
  EXPECT_EQ(text_of(p.reader.peek().bytes()), "sent");
  std::error_code error;
  p.writer.send(-1, error);
  EXPECT_EQ(error.value(), EBADF);
  close(ends[0]);
  close(ends[1]);
}

TEST(Pipe_Passing, AnEndOnAQueuesFormerNumberKeepsItsDuplicate) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const int first = quay_kqueue(QUAY_DIALECT_FREEBSD, 0);
  const int second = quay_kqueue(QUAY_DIALECT_FREEBSD, 0);
  syscall(SYS_close, first);  // nobody hears of it
  syscall(SYS_close, second);
  quay::pipe p;
  p.writer.send(ends[0]);
  p.writer = quay::pipe_end::receive(ends[1]);
  EXPECT_EQ(p.writer.write(bytes_of("sent")), 4u);
  EXPECT_EQ(text_of(p.reader.peek().bytes()), "sent");
  close(ends[0]);
  close(ends[1]);
}

TEST(Pipe_Passing, APipeDoesNotMoveWhileRoomIsReserved) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  quay::pipe p;
  quay::pipe_room room = p.writer.reserve(3);
  EXPECT_EQ(outcome_of(quay_pipe_send(ends[0], p.reader.native_handle())), -EBUSY);
  fill_in(room, "abc");
  room.commit(3);
  EXPECT_EQ(quay_pipe_send(ends[0], p.reader.native_handle()), 0);
  EXPECT_EQ(text_of(p.reader.peek().bytes()), "abc");
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace quay::test::pipes
