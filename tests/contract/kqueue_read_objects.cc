// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_READ on everything that can be read: one set of promises for each kind of object,
// and what only pipes, fifos, terminals and descriptors like eventfd do.
// Contract: kqueue semantics, 5.1 (READ, table of objects).
#include <sys/timerfd.h>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

enum class kind {
  pipe,
  fifo,
  unix_stream,
  unix_datagram,
  unix_seqpacket,
  tcp,
  udp,
  raw_tty,
  line_tty,
  pty_master
};

struct readable_kind {
  kind what;
  const char* name;
};

class Kqueue_Readable : public testing::TestWithParam<readable_kind> {
 protected:
  void SetUp() override {
    switch (GetParam().what) {
      case kind::pipe: {
        pipe_ends p = make_pipe();
        return use(std::move(p.reader), std::move(p.writer));
      }
      case kind::fifo: {
        const std::string path = directory_.make_fifo();
        unique_fd reader = open_file(path, O_RDONLY);
        return use(std::move(reader), open_file(path, O_WRONLY));
      }
      case kind::unix_stream:
        return use(make_socketpair(SOCK_STREAM));
      case kind::unix_datagram:
        return use(make_socketpair(SOCK_DGRAM));
      case kind::unix_seqpacket:
        return use(make_socketpair(SOCK_SEQPACKET));
      case kind::tcp:
        return use(make_tcp_pair());
      case kind::udp:
        return use(make_udp_pair());
      case kind::raw_tty:
      case kind::line_tty: {
        terminal t = make_pty(GetParam().what == kind::line_tty);
        return use(std::move(t.slave), std::move(t.master));
      }
      case kind::pty_master: {
        terminal t = make_pty();
        return use(std::move(t.master), std::move(t.slave));
      }
    }
  }
  void use(unique_fd from, unique_fd to) {
    reader = std::move(from);
    writer = std::move(to);
  }
  void use(socket_pair s) { use(std::move(s.here), std::move(s.there)); }

  // Every message is one line, for the terminal that counts lines.
  void send() const { put(writer, "12345\n"); }
  auto event() const { return Event(reader, EVFILT_READ).data(6); }

  temporary_directory directory_;
  unique_fd reader;
  unique_fd writer;
  queue kq = make_queue();
};

TEST_P(Kqueue_Readable, IsSilentWhileThereIsNothing) {
  EXPECT_THAT(submit(kq, {add(reader, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Readable, FiresWithTheNumberOfBytesUntilTheyAreRead) {
  ASSERT_THAT(submit(kq, {add(reader, EVFILT_READ)}), Succeeds());
  send();
  EXPECT_THAT(await(kq), ElementsAre(event()));
  EXPECT_THAT(await(kq), ElementsAre(event()));
  EXPECT_EQ(take(reader, 100).size(), 6u);
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Readable, IsReportedWhenRegisteredLate) {
  send();
  ASSERT_TRUE(wait_readable(reader));
  EXPECT_THAT(submit(kq, {add(reader, EVFILT_READ)}), Returns(ElementsAre(event())));
}

TEST_P(Kqueue_Readable, AnEdgeComesOnce) {
  ASSERT_THAT(submit(kq, {add(reader, EVFILT_READ, EV_CLEAR)}), Succeeds());
  send();
  EXPECT_THAT(await(kq), ElementsAre(event().flags(EV_CLEAR)));
  EXPECT_THAT(poll(kq), IsEmpty());
  take(reader, 100);
  send();
  EXPECT_THAT(await(kq), ElementsAre(event().flags(EV_CLEAR)));
}

TEST_P(Kqueue_Readable, WakesAWaiter) {
  ASSERT_THAT(submit(kq, {add(reader, EVFILT_READ)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  send();
  EXPECT_THAT(thread.result(), Returns(ElementsAre(event())));
}

TEST_P(Kqueue_Readable, DispatchAndEnableAlternate) {
  ASSERT_THAT(submit(kq, {add(reader, EVFILT_READ, EV_DISPATCH)}), Succeeds());
  send();
  EXPECT_THAT(await(kq), ElementsAre(event().flags(EV_DISPATCH)));
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {enable(reader, EVFILT_READ)}),
              Returns(ElementsAre(event().flags(EV_DISPATCH))));
  take(reader, 100);
  EXPECT_THAT(submit(kq, {enable(reader, EVFILT_READ)}), Succeeds());
  send();
  EXPECT_THAT(await(kq), ElementsAre(event().flags(EV_DISPATCH)));
}

TEST_P(Kqueue_Readable, IsSilentAfterDelete) {
  ASSERT_THAT(submit(kq, {add(reader, EVFILT_READ)}), Succeeds());
  ASSERT_THAT(submit(kq, {remove(reader, EVFILT_READ)}), Succeeds());
  send();
  ASSERT_TRUE(wait_readable(reader));
  EXPECT_THAT(poll(kq), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Object, Kqueue_Readable,
                         testing::Values(readable_kind{kind::pipe, "pipe"},
                                         readable_kind{kind::fifo, "fifo"},
                                         readable_kind{kind::unix_stream, "unix_stream"},
                                         readable_kind{kind::unix_datagram, "unix_datagram"},
                                         readable_kind{kind::unix_seqpacket, "unix_seqpacket"},
                                         readable_kind{kind::tcp, "tcp"},
                                         readable_kind{kind::udp, "udp"},
                                         readable_kind{kind::raw_tty, "raw_tty"},
                                         readable_kind{kind::line_tty, "line_tty"},
                                         readable_kind{kind::pty_master, "pty_master"}),
                         [](const auto& info) { return std::string(info.param.name); });

class Kqueue_ReadPipe : public dialect_test {};

TEST_P(Kqueue_ReadPipe, EofComesWithTheBytesLeft) {
  pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  put(p.writer, "ab");
  p.writer.close();
  EXPECT_THAT(poll(kq), ElementsAre(Event(p.reader, EVFILT_READ).data(2).flags(EV_EOF)));
  drain(p.reader);
  EXPECT_THAT(poll(kq), ElementsAre(Event(p.reader, EVFILT_READ).data(0).flags(EV_EOF)));
}

TEST_P(Kqueue_ReadPipe, EofComesOnlyWithTheLastWriter) {
  pipe_ends p = make_pipe();
  unique_fd second(::dup(p.writer));
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  p.writer.close();
  EXPECT_THAT(poll(kq), IsEmpty());
  second.close();
  EXPECT_THAT(poll(kq), ElementsAre(Event(p.reader, EVFILT_READ).data(0).flags(EV_EOF)));
}

TEST_P(Kqueue_ReadPipe, EofIsSeenThroughEveryReadEnd) {
  pipe_ends p = make_pipe();
  const unique_fd twin(::dup(p.reader));
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(twin, EVFILT_READ)}), Succeeds());
  p.writer.close();
  EXPECT_THAT(poll(kq), testing::UnorderedElementsAre(Event(p.reader, EVFILT_READ).flags(EV_EOF),
                                                      Event(twin, EVFILT_READ).flags(EV_EOF)));
}

// The kernels' pipes go both ways: to the writer its reader's end is the end of what it could read.
TEST_P(Kqueue_ReadPipe, TheWriteEndIsSilentUntilTheReaderHasGone) {
  pipe_ends p = make_pipe();
  EXPECT_THAT(submit(kq, {add(p.writer, EVFILT_READ)}), Succeeds());
  put(p.writer, "x");
  EXPECT_THAT(poll(kq), IsEmpty());
  p.reader.close();
  const event_matcher end = Event(p.writer, EVFILT_READ).flags(EV_EOF);
  EXPECT_THAT(await(kq), ElementsAre(end));
  EXPECT_THAT(poll(kq), ElementsAre(end)) << "it is a level";
  EXPECT_THAT(alter(kq, {remove(p.writer, EVFILT_READ)}), Succeeds());
}

TEST_P(Kqueue_ReadPipe, TheWriteEndTellsOfItsEndAmongOtherNotes) {
  pipe_ends p = make_pipe();
  ASSERT_THAT(
      alter(kq, {add(p.writer, EVFILT_WRITE, EV_DISABLE), add(p.writer, EVFILT_READ, EV_CLEAR)}),
      Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  p.reader.close();
  EXPECT_THAT(await(kq), ElementsAre(Event(p.writer, EVFILT_READ).flags(EV_CLEAR | EV_EOF)));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_ReadPipe, TheWriteEndOfAFifoIsSilentForEver) {
  const temporary_directory directory;
  const std::string path = directory.make_fifo();
  unique_fd reader = open_file(path, O_RDONLY);
  const unique_fd writer = open_file(path, O_WRONLY);
  EXPECT_THAT(submit(kq, {add(writer, EVFILT_READ)}), Succeeds());
  reader.close();
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_ReadPipe, AFifoThatNobodyEverWroteToIsNotAtItsEnd) {
  const temporary_directory directory;
  const unique_fd reader = open_file(directory.make_fifo(), O_RDONLY);
  EXPECT_THAT(submit(kq, {add(reader, EVFILT_READ)}), Succeeds());
}

TEST_P(Kqueue_ReadPipe, AFifosEofGoesAwayWhenAWriterComesBack) {
  const temporary_directory directory;
  const std::string path = directory.make_fifo();
  const unique_fd reader = open_file(path, O_RDONLY);
  ASSERT_THAT(submit(kq, {add(reader, EVFILT_READ)}), Succeeds());
  unique_fd writer = open_file(path, O_WRONLY);
  EXPECT_THAT(poll(kq), IsEmpty());
  put(writer, "x");
  EXPECT_THAT(poll(kq), ElementsAre(Event(reader, EVFILT_READ).data(1)));
  writer.close();
  EXPECT_THAT(poll(kq), ElementsAre(Event(reader, EVFILT_READ).data(1).flags(EV_EOF)));
  take(reader, 1);
  EXPECT_THAT(poll(kq), ElementsAre(Event(reader, EVFILT_READ).data(0).flags(EV_EOF)));
  writer = open_file(path, O_WRONLY);
  EXPECT_THAT(poll(kq), IsEmpty());
  put(writer, "yz");
  EXPECT_THAT(poll(kq), ElementsAre(Event(reader, EVFILT_READ).data(2)));
}

TEST_P(Kqueue_ReadPipe, AFifoOpenForBothIsNeverAtItsEnd) {
  const temporary_directory directory;
  const std::string path = directory.make_fifo();
  const unique_fd both = open_file(path, O_RDWR);
  ASSERT_THAT(submit(kq, {add(both, EVFILT_READ)}), Succeeds());
  {
    const unique_fd writer = open_file(path, O_WRONLY);
    put(writer, "abc");
  }
  EXPECT_THAT(poll(kq), ElementsAre(Event(both, EVFILT_READ).data(3)));
  drain(both);
  EXPECT_THAT(poll(kq), IsEmpty());
}

QUAY_IN_ALL_DIALECTS(Kqueue_ReadPipe);

TEST(Kqueue_ReadTerminal, AnUnfinishedLineIsNotReady) {
  const queue kq = make_queue();
  const terminal t = make_pty(true);
  ASSERT_THAT(submit(kq, {add(t.slave, EVFILT_READ)}), Succeeds());
  put(t.master, "abc");
  EXPECT_THAT(poll(kq), IsEmpty());
  put(t.master, "de\n");
  EXPECT_THAT(await(kq), ElementsAre(Event(t.slave, EVFILT_READ).data(6)));
}

class Kqueue_ReadMaster : public dialect_test {};

TEST_P(Kqueue_ReadMaster, IsReadyWhenTheSlaveIsGone) {
  if (is(QUAY_DIALECT_NETBSD)) GTEST_SKIP() << "its terminals never set EV_EOF";
  terminal t = make_pty();
  ASSERT_THAT(submit(kq, {add(t.master, EVFILT_READ)}), Succeeds());
  t.slave.close();
  EXPECT_THAT(await(kq), ElementsAre(Event(t.master, EVFILT_READ).flags(EV_EOF)));
}

QUAY_IN_ALL_DIALECTS(Kqueue_ReadMaster);

TEST(Kqueue_ReadOthers, AnEventfdIsReadyWhileItsCounterIsNotZero) {
  const queue kq = make_queue();
  const unique_fd counter = make_eventfd();
  ASSERT_THAT(submit(kq, {add(counter, EVFILT_READ)}), Succeeds());
  const uint64_t one = 1;
  ASSERT_EQ(::write(counter, &one, sizeof one), 8);
  EXPECT_THAT(poll(kq), ElementsAre(Event(counter, EVFILT_READ)));
  drain(counter);
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST(Kqueue_ReadOthers, EveryPostOfAnEventfdIsAnEdge) {
  const queue kq = make_queue();
  const unique_fd counter = make_eventfd();
  ASSERT_THAT(submit(kq, {add(counter, EVFILT_READ, EV_CLEAR)}), Succeeds());
  const uint64_t one = 1;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(::write(counter, &one, sizeof one), 8);
    EXPECT_THAT(poll(kq), ElementsAre(Event(counter, EVFILT_READ).flags(EV_CLEAR)));
    EXPECT_THAT(poll(kq), IsEmpty());
  }
}

TEST(Kqueue_ReadOthers, ATimerfdIsReadyWhenItHasExpired) {
  const queue kq = make_queue();
  const unique_fd timer(
      checked(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd"));
  ASSERT_THAT(submit(kq, {add(timer, EVFILT_READ)}), Succeeds());
  const itimerspec soon{{0, 0}, {0, 1'000'000}};
  ASSERT_EQ(::timerfd_settime(timer, 0, &soon, nullptr), 0);
  EXPECT_THAT(await(kq), ElementsAre(Event(timer, EVFILT_READ)));
  drain(timer);
  EXPECT_THAT(poll(kq), IsEmpty());
}

class Kqueue_Counters : public dialect_test {};

TEST_P(Kqueue_Counters, TheDataOfAnEventfdIsItsCounterInNetbsd) {
  const unique_fd counter = make_eventfd();
  const int64_t room = expected<int64_t>({8, 0, 8, 8});
  EXPECT_THAT(submit(kq, {add(counter, EVFILT_READ), add(counter, EVFILT_WRITE)}),
              Returns(ElementsAre(Event(counter, EVFILT_WRITE).any_flags().data(room))));
  const uint64_t most = UINT64_MAX - 1;
  ASSERT_EQ(::write(counter, &most, sizeof most), 8);
  const int64_t value = expected<int64_t>({8, static_cast<int64_t>(most), 8, 8});
  EXPECT_THAT(poll(kq), ElementsAre(Event(counter, EVFILT_READ).any_flags().data(value)));
}

TEST_P(Kqueue_Counters, TheDataOfATimerfdIsItsExpirationsInNetbsd) {
  const unique_fd timer(
      checked(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd"));
  ASSERT_THAT(submit(kq, {add(timer, EVFILT_READ)}), Succeeds());
  const itimerspec soon{{0, 0}, {0, 1'000'000}};
  ASSERT_EQ(::timerfd_settime(timer, 0, &soon, nullptr), 0);
  const int64_t expirations = expected<int64_t>({8, 1, 8, 8});
  EXPECT_THAT(await(kq), ElementsAre(Event(timer, EVFILT_READ).any_flags().data(expirations)));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Counters);

TEST(Kqueue_ReadOthers, TheRandomDeviceIsReady) {
  const queue kq = make_queue();
  const unique_fd device = open_file("/dev/urandom", O_RDONLY);
  EXPECT_THAT(submit(kq, {add(device, EVFILT_READ)}),
              Returns(ElementsAre(Event(device, EVFILT_READ))));
}

TEST(Kqueue_ReadOthers, DevicesWithoutStateAreAlwaysReady) {
  const queue kq = make_queue();
  for (const char* path : {"/dev/null", "/dev/zero"}) {
    const unique_fd device = open_file(path, O_RDWR);
    EXPECT_THAT(submit(kq, {add(device, EVFILT_READ)}),
                Returns(ElementsAre(Event(device, EVFILT_READ).data(0))));
    EXPECT_THAT(poll(kq), ElementsAre(Event(device, EVFILT_READ).data(0))) << path;
    EXPECT_THAT(submit(kq, {remove(device, EVFILT_READ)}), Succeeds());
  }
}

}  // namespace
}  // namespace quay::test
