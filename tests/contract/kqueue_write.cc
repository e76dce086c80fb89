// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_WRITE: free space, end of file, connections in the making, low-water marks, pipes
// and fifos.
// Contract: kqueue semantics, 5.2 (WRITE); rows 31 and 32 of section 7; row 8 of what real programs
// need.
#include <limits.h>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::Ge;
using testing::Gt;
using testing::IsEmpty;
using testing::SizeIs;

class Kqueue_Write : public dialect_test {
 protected:
  static auto writable(int fd) { return Event(static_cast<uintptr_t>(fd), EVFILT_WRITE); }
};

TEST_P(Kqueue_Write, ASocketWithRoomIsReadyAtOnceAndStaysSo) {
  for (const socket_pair& s : {make_socketpair(), make_tcp_pair()}) {
    EXPECT_THAT(submit(kq, {add(s.here, EVFILT_WRITE)}),
                Returns(ElementsAre(writable(s.here).data(Gt(0)))));
    EXPECT_THAT(poll(kq), ElementsAre(writable(s.here).data(Gt(0))));
    ASSERT_THAT(submit(kq, {remove(s.here, EVFILT_WRITE)}), Succeeds());
  }
}

TEST_P(Kqueue_Write, DataIsTheFreeSpace) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_WRITE)}), Succeeds());
  const events empty = poll(kq);
  ASSERT_THAT(empty, SizeIs(1));
  put_bytes(s.here, 8000);
  const events used = poll(kq);
  ASSERT_THAT(used, SizeIs(1));
  EXPECT_LE(used[0].data, empty[0].data - 8000);
  drain(s.there);
  EXPECT_THAT(poll(kq), ElementsAre(writable(s.here).data(empty[0].data)));
}

TEST_P(Kqueue_Write, AFullSocketIsSilentUntilThePeerReads) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_WRITE)}), Succeeds());
  fill(s.here);
  EXPECT_THAT(poll(kq), IsEmpty());
  drain(s.there);
  EXPECT_THAT(await(kq), ElementsAre(writable(s.here).data(Gt(0))));
}

TEST_P(Kqueue_Write, AnEdgeComesAgainAfterTheBufferWasFull) {
  const socket_pair s = make_socketpair();
  EXPECT_THAT(submit(kq, {add(s.here, EVFILT_WRITE, EV_CLEAR)}),
              Returns(ElementsAre(writable(s.here).flags(EV_CLEAR))));
  EXPECT_THAT(poll(kq), IsEmpty());
  fill(s.here);
  EXPECT_THAT(poll(kq), IsEmpty());
  drain(s.there);
  EXPECT_THAT(await(kq), ElementsAre(writable(s.here).flags(EV_CLEAR)));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Write, OneShotDispatchDisableAndDeleteWorkAsForReading) {
  const socket_pair s = make_socketpair();
  EXPECT_THAT(submit(kq, {add(s.here, EVFILT_WRITE, EV_ONESHOT)}),
              Returns(ElementsAre(writable(s.here).flags(EV_ONESHOT))));
  EXPECT_THAT(alter(kq, {remove(s.here, EVFILT_WRITE)}), FailsWith(ENOENT));
  EXPECT_THAT(submit(kq, {add(s.here, EVFILT_WRITE, EV_DISPATCH)}),
              Returns(ElementsAre(writable(s.here).flags(EV_DISPATCH))));
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {enable(s.here, EVFILT_WRITE)}),
              Returns(ElementsAre(writable(s.here).flags(EV_DISPATCH))));
  ASSERT_THAT(submit(kq, {remove(s.here, EVFILT_WRITE)}), Succeeds());
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_WRITE).udata(1), add(s.here, EVFILT_WRITE).udata(2)}),
              Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(writable(s.here).udata(2)));
  EXPECT_THAT(submit(kq, {disable(s.here, EVFILT_WRITE)}), Succeeds());
  EXPECT_THAT(submit(kq, {enable(s.here, EVFILT_WRITE)}), Returns(ElementsAre(writable(s.here))));
  EXPECT_THAT(submit(kq, {remove(s.here, EVFILT_WRITE)}), Succeeds());
}

TEST_P(Kqueue_Write, RoomWakesAWaiter) {
  const socket_pair s = make_tcp_pair();
  fill(s.here);
  ASSERT_THAT(submit(kq, {add(s.here, EVFILT_WRITE)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  std::thread reader([&] {
    while (!thread.returned()) drain(s.there);
  });
  EXPECT_THAT(thread.result(), Returns(ElementsAre(writable(s.here).data(Gt(0)))));
  reader.join();
}

TEST_P(Kqueue_Write, ThePeersCloseIsEof) {
  socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_WRITE)}), Succeeds());
  s.there.close();
  EXPECT_THAT(poll(kq), ElementsAre(writable(s.here).flags(EV_EOF)));
}

TEST_P(Kqueue_Write, EofIsDeliveredWithTheBufferFull) {
  socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_WRITE)}), Succeeds());
  fill(s.here);
  ASSERT_THAT(poll(kq), IsEmpty());
  s.there.close();
  EXPECT_THAT(poll(kq), ElementsAre(writable(s.here).flags(EV_EOF).any_fflags()));
}

TEST_P(Kqueue_Write, OnesOwnShutdownOfWritingIsEof) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_WRITE)}), Succeeds());
  ::shutdown(s.here, SHUT_WR);
  EXPECT_THAT(poll(kq), ElementsAre(writable(s.here).flags(EV_EOF)));
}

TEST_P(Kqueue_Write, ATcpPeersHalfCloseIsNoEofForTheWriter) {
  const socket_pair s = make_tcp_pair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_WRITE), add(s.here, EVFILT_READ)}), Succeeds());
  ::shutdown(s.there, SHUT_WR);
  ASSERT_TRUE(wait_readable(s.here));
  EXPECT_THAT(poll(kq),
              testing::UnorderedElementsAre(writable(s.here).data(Gt(0)),
                                            Event(s.here, EVFILT_READ).data(0).flags(EV_EOF)));
}

TEST_P(Kqueue_Write, AResetIsEofAndLeavesTheErrorToTheProgram) {
  socket_pair s = make_tcp_pair();
  close_with_reset(s.there);
  ASSERT_TRUE(wait_readable(s.here));
  EXPECT_THAT(submit(kq, {add(s.here, EVFILT_WRITE)}),
              Returns(ElementsAre(writable(s.here).flags(EV_EOF).any_fflags())));
  EXPECT_EQ(pending_socket_error(s.here), ECONNRESET);
}

TEST_P(Kqueue_Write, AListenerNeverFires) {
  const endpoint server = make_listener(AF_INET);
  EXPECT_THAT(submit(kq, {add(server.fd, EVFILT_WRITE)}), Succeeds());
  const unique_fd client = connect_to(server);
  ASSERT_TRUE(wait_readable(server.fd));
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(alter(kq, {remove(server.fd, EVFILT_WRITE)}), Succeeds());
}

TEST_P(Kqueue_Write, AnUnconnectedDatagramSocketIsReady) {
  const endpoint socket = bind_anywhere(AF_INET, SOCK_DGRAM);
  EXPECT_THAT(submit(kq, {add(socket.fd, EVFILT_WRITE)}),
              Returns(ElementsAre(writable(socket.fd).data(Gt(0)))));
}

// A listener whose queue is full lets the next connection wait in its handshake.
TEST_P(Kqueue_Write, AConnectingSocketIsReadyWhenItIsConnected) {
  const endpoint server = make_listener(AF_INET, SOCK_STREAM, 0);
  const unique_fd first = connect_to(server);
  const unique_fd second(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (::connect(second, server.where(), server.length) == 0)
    GTEST_SKIP() << "this kernel queues one more connection";
  ASSERT_EQ(errno, EINPROGRESS);
  EXPECT_THAT(submit(kq, {add(second, EVFILT_WRITE)}), Succeeds());
  const unique_fd accepted = accept_from(server);
  EXPECT_THAT(await(kq), ElementsAre(writable(second).data(Gt(0))));
  EXPECT_EQ(pending_socket_error(second), 0);
}

TEST_P(Kqueue_Write, ARefusedConnectionIsEofAndLeavesTheErrorToTheProgram) {
  endpoint nobody = bind_anywhere(AF_INET, SOCK_STREAM);
  const unique_fd client(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client, nobody.where(), nobody.length), -1);
  ASSERT_EQ(errno, EINPROGRESS);
  ASSERT_THAT(alter(kq, {add(client, EVFILT_WRITE)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(writable(client).flags(EV_EOF).any_fflags()));
  EXPECT_EQ(pending_socket_error(client), ECONNREFUSED);
}

TEST_P(Kqueue_Write, LowWaterAboveTheBufferIsNeverReached) {
  const socket_pair s = make_socketpair();
  EXPECT_THAT(submit(kq, {add(s.here, EVFILT_WRITE).fflags(NOTE_LOWAT).data(INT_MAX)}), Succeeds());
}

TEST_P(Kqueue_Write, LowWaterIsHeldAgainstTheFreeSpace) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_WRITE)}), Succeeds());
  const events all = poll(kq);
  ASSERT_THAT(all, SizeIs(1));
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_WRITE).fflags(NOTE_LOWAT).data(all[0].data)}),
              Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(writable(s.here)));
  put_bytes(s.here, 100);
  EXPECT_THAT(poll(kq), IsEmpty());
  drain(s.there);
  EXPECT_THAT(await(kq), ElementsAre(writable(s.here)));
}

TEST_P(Kqueue_Write, DataNobodyWantsIsLeftZero) {
  const socket_pair s = make_socketpair();
  EXPECT_THAT(submit(kq, {add(s.here, EVFILT_WRITE).fflags(QUAY_NOTE_NODATA)}),
              Returns(ElementsAre(writable(s.here).data(0))));
}

TEST_P(Kqueue_Write, APipeIsReadyWithRoomForAnAtomicWrite) {
  const pipe_ends p = make_pipe();
  EXPECT_THAT(submit(kq, {add(p.writer, EVFILT_WRITE)}),
              Returns(ElementsAre(writable(p.writer).data(Ge(PIPE_BUF)))));
  fill(p.writer, PIPE_BUF);
  EXPECT_THAT(poll(kq), IsEmpty());
  take(p.reader, 1);
  EXPECT_THAT(poll(kq), IsEmpty()) << "one byte is no room for PIPE_BUF";
  take(p.reader, PIPE_BUF - 1);
  EXPECT_THAT(await(kq), ElementsAre(writable(p.writer).data(Ge(PIPE_BUF))));
}

TEST_P(Kqueue_Write, APipesDataIsARealFigure) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.writer, EVFILT_WRITE)}), Succeeds());
  const events empty = poll(kq);
  ASSERT_THAT(empty, SizeIs(1));
  put_bytes(p.writer, 2 * PIPE_BUF);
  EXPECT_THAT(poll(kq), ElementsAre(writable(p.writer).data(empty[0].data - 2 * PIPE_BUF)));
}

TEST_P(Kqueue_Write, APipeWithoutReaderIsAtItsEnd) {
  pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.writer, EVFILT_WRITE)}), Succeeds());
  p.reader.close();
  EXPECT_THAT(poll(kq), ElementsAre(writable(p.writer).flags(EV_EOF)));
}

TEST_P(Kqueue_Write, TheEndsMayBeClosedInEitherOrder) {
  for (const bool reader_first : {true, false}) {
    pipe_ends p = make_pipe();
    ASSERT_THAT(
        alter(kq, {add(p.writer, EVFILT_WRITE, EV_CLEAR), add(p.reader, EVFILT_READ, EV_CLEAR)}),
        Succeeds());
    (reader_first ? p.reader : p.writer).close();
    poll(kq);
    (reader_first ? p.writer : p.reader).close();
    EXPECT_THAT(poll(kq), IsEmpty());
  }
}

TEST_P(Kqueue_Write, AFullPipeThatLosesItsReaderIsAtItsEnd) {
  pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.writer, EVFILT_WRITE)}), Succeeds());
  fill(p.writer);
  ASSERT_THAT(poll(kq), IsEmpty());
  p.reader.close();
  EXPECT_THAT(poll(kq), ElementsAre(writable(p.writer).flags(EV_EOF)));
}

TEST_P(Kqueue_Write, TheWrongEndIsAcceptedAndSilentForEver) {
  pipe_ends p = make_pipe();
  EXPECT_THAT(submit(kq, {add(p.reader, EVFILT_WRITE)}), Succeeds());
  put(p.writer, "x");
  EXPECT_THAT(poll(kq), IsEmpty());
  p.writer.close();
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(alter(kq, {remove(p.reader, EVFILT_WRITE)}), Succeeds());
}

TEST_P(Kqueue_Write, AFifosEofGoesAwayWhenAReaderComesBack) {
  const temporary_directory directory;
  const std::string path = directory.make_fifo();
  unique_fd reader = open_file(path, O_RDONLY);
  const unique_fd writer = open_file(path, O_WRONLY);
  EXPECT_THAT(submit(kq, {add(writer, EVFILT_WRITE)}),
              Returns(ElementsAre(writable(writer).data(Ge(PIPE_BUF)))));
  reader.close();
  EXPECT_THAT(poll(kq), ElementsAre(writable(writer).flags(EV_EOF)));
  reader = open_file(path, O_RDONLY);
  EXPECT_THAT(poll(kq), ElementsAre(writable(writer).data(Ge(PIPE_BUF))));
}

TEST_P(Kqueue_Write, BothSidesOfATerminalAreReady) {
  const terminal t = make_pty();
  EXPECT_THAT(submit(kq, {add(t.master, EVFILT_WRITE), add(t.slave, EVFILT_WRITE)}),
              Returns(testing::UnorderedElementsAre(writable(t.master), writable(t.slave))));
}

TEST_P(Kqueue_Write, AFullTerminalIsSilentUntilItIsRead) {
  const terminal t = make_pty();
  ASSERT_THAT(alter(kq, {add(t.master, EVFILT_WRITE)}), Succeeds());
  fill(t.master, 512);
  pollfd p{t.master, POLLOUT, 0};
  // The line discipline may move bytes over, and make room, at any moment.
  const auto before = poll(kq);
  if (::poll(&p, 1, 0) == 1) GTEST_SKIP() << "this kernel's terminal takes more";
  EXPECT_THAT(before, IsEmpty());
  // It does so in a kernel thread: read until there is room again.
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) drain(t.slave);
  });
  EXPECT_THAT(await(kq), ElementsAre(writable(t.master)));
  done = true;
  reader.join();
}

TEST_P(Kqueue_Write, AnEventfdIsReadyUnlessItsCounterIsAtTheMaximum) {
  const unique_fd counter = make_eventfd();
  EXPECT_THAT(submit(kq, {add(counter, EVFILT_WRITE)}), Returns(ElementsAre(writable(counter))));
  const uint64_t maximum = UINT64_MAX - 1;
  ASSERT_EQ(::write(counter, &maximum, sizeof maximum), 8);
  EXPECT_THAT(poll(kq), IsEmpty());
  drain(counter);
  EXPECT_THAT(poll(kq), ElementsAre(writable(counter)));
}

TEST_P(Kqueue_Write, ReadAndWriteRaceThroughOneSocketWithoutLoss) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_WRITE, EV_CLEAR), add(s.there, EVFILT_READ, EV_CLEAR)}),
              Succeeds());
  constexpr size_t kTotal = 4 << 20;
  size_t sent = 0;
  size_t received = 0;
  while (received < kTotal) {
    const events got = await(kq);
    ASSERT_FALSE(got.empty()) << "after " << sent << " bytes sent and " << received << " received";
    for (const struct kevent& e : got) {
      if (e.filter == EVFILT_READ) received += drain(s.there);
      if (e.filter == EVFILT_WRITE) sent += fill(s.here);
    }
  }
}

QUAY_IN_ALL_DIALECTS(Kqueue_Write);

class Kqueue_WriteRefusals : public dialect_test {
 protected:
  // NetBSD's object code says EINVAL or, in older files, 1, which is EPERM.
  static auto refusal(int fd) {
    return testing::AnyOf(ErrorEntry(static_cast<uintptr_t>(fd), EVFILT_WRITE, EINVAL),
                          ErrorEntry(static_cast<uintptr_t>(fd), EVFILT_WRITE, EPERM));
  }
};

// Row 32. FreeBSD's and OpenBSD's pipes refuse, NetBSD's says that the descriptor is bad; in
// DragonFly's recorded traces the note is made and reports the end.
TEST_P(Kqueue_WriteRefusals, AddOnAPipeWhoseReaderIsGone) {
  pipe_ends p = make_pipe();
  p.reader.close();
  const outcome got = submit(kq, {add(p.writer, EVFILT_WRITE)});
  if (is(QUAY_DIALECT_DRAGONFLY)) {
    EXPECT_THAT(got, Returns(ElementsAre(Event(p.writer, EVFILT_WRITE).data(0).flags(EV_EOF))));
    return;
  }
  const int error = expected<int>({EPIPE, EBADF, 0, EPIPE});
  EXPECT_THAT(got, Returns(ElementsAre(ErrorEntry(p.writer, EVFILT_WRITE, error))));
  EXPECT_THAT(alter(kq, {remove(p.writer, EVFILT_WRITE)}), FailsWith(ENOENT));
}

// Row 31.
TEST_P(Kqueue_WriteRefusals, AFileIsAlwaysWritableOrRefused) {
  const temporary_directory directory;
  const unique_fd file = directory.make_file("abc");
  const outcome got = submit(kq, {add(file, EVFILT_WRITE)});
  if (is(QUAY_DIALECT_NETBSD)) {
    EXPECT_THAT(got, Returns(ElementsAre(refusal(file))));
    return;
  }
  EXPECT_THAT(got, Returns(ElementsAre(Event(file, EVFILT_WRITE).data(0))));
  EXPECT_THAT(poll(kq), ElementsAre(Event(file, EVFILT_WRITE).data(0)));
}

TEST_P(Kqueue_WriteRefusals, ADirectoryIsTreatedLikeAFile) {
  const temporary_directory directory;
  const unique_fd fd(
      checked(::open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open"));
  const outcome got = submit(kq, {add(fd, EVFILT_WRITE)});
  if (is(QUAY_DIALECT_NETBSD)) {
    EXPECT_THAT(got, Returns(ElementsAre(refusal(fd))));
  } else {
    EXPECT_THAT(got, Returns(ElementsAre(Event(fd, EVFILT_WRITE).data(0))));
  }
}

// Row 33.
TEST_P(Kqueue_WriteRefusals, AQueueCannotBeWritten) {
  const queue inner = make_queue(dialect());
  const int error = expected<int>({EINVAL, EPERM, EOPNOTSUPP, EINVAL});
  EXPECT_THAT(alter(kq, {add(inner, EVFILT_WRITE)}), FailsWith(error));
}

QUAY_IN_ALL_DIALECTS(Kqueue_WriteRefusals);

TEST(Kqueue_WriteDevices, DevNullTakesEverything) {
  const queue kq = make_queue();
  const unique_fd device = open_file("/dev/null", O_RDWR);
  EXPECT_THAT(submit(kq, {add(device, EVFILT_WRITE)}),
              Returns(ElementsAre(Event(device, EVFILT_WRITE).data(0))));
  EXPECT_THAT(poll(kq), ElementsAre(Event(device, EVFILT_WRITE).data(0)));
}

}  // namespace
}  // namespace quay::test
