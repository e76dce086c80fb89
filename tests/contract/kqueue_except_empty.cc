// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_EXCEPT and the out-of-band side of EVFILT_READ; EVFILT_EMPTY.
// Contract: kqueue semantics, 5.1 (NOTE_OOB), 5.3 (EXCEPT), 5.4 (EMPTY); rows 2 and 43 of section
// 7.
#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

void send_urgent(int fd) { checked(static_cast<int>(::send(fd, "!", 1, MSG_OOB)), "send"); }

bool wait_urgent(int fd) {
  pollfd p{fd, POLLPRI, 0};
  return ::poll(&p, 1, 20'000) == 1;
}

class Kqueue_Except : public dialect_test {};

TEST_P(Kqueue_Except, FiresForOutOfBandDataOnly) {
  const socket_pair s = make_tcp_pair();
  ASSERT_THAT(submit(kq, {add(s.here, EVFILT_EXCEPT).fflags(NOTE_OOB)}), Succeeds());
  put(s.there, "abc");
  ASSERT_TRUE(wait_readable(s.here));
  EXPECT_THAT(poll(kq), IsEmpty());
  send_urgent(s.there);
  ASSERT_TRUE(wait_urgent(s.here));
  EXPECT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_EXCEPT).fflags(NOTE_OOB)));
}

TEST_P(Kqueue_Except, IsSilentAgainWhenTheByteIsRead) {
  const socket_pair s = make_tcp_pair();
  ASSERT_THAT(submit(kq, {add(s.here, EVFILT_EXCEPT).fflags(NOTE_OOB)}), Succeeds());
  send_urgent(s.there);
  ASSERT_TRUE(wait_urgent(s.here));
  ASSERT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_EXCEPT).fflags(NOTE_OOB)));
  char byte;
  ASSERT_EQ(::recv(s.here, &byte, 1, MSG_OOB), 1);
  put(s.there, "x");
  ASSERT_TRUE(wait_readable(s.here));
  drain(s.here);
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Except, AnEdgeComesOnce) {
  const socket_pair s = make_tcp_pair();
  ASSERT_THAT(submit(kq, {add(s.here, EVFILT_EXCEPT, EV_CLEAR).fflags(NOTE_OOB)}), Succeeds());
  send_urgent(s.there);
  EXPECT_THAT(await(kq),
              ElementsAre(Event(s.here, EVFILT_EXCEPT).flags(EV_CLEAR).fflags(NOTE_OOB)));
  EXPECT_THAT(poll(kq), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Dialect, Kqueue_Except,
                         testing::Values(QUAY_DIALECT_DRAGONFLY, QUAY_DIALECT_OPENBSD),
                         name_of_parameter);

TEST(Kqueue_ExceptOpenbsd, APipeReportsOnlyItsEnd) {
  const queue kq = make_queue(QUAY_DIALECT_OPENBSD);
  pipe_ends p = make_pipe();
  ASSERT_THAT(submit(kq, {add(p.reader, EVFILT_EXCEPT)}), Succeeds());
  put(p.writer, "x");
  EXPECT_THAT(poll(kq), IsEmpty());
  p.writer.close();
  EXPECT_THAT(poll(kq), ElementsAre(Event(p.reader, EVFILT_EXCEPT).flags(EV_EOF)));
}

TEST(Kqueue_ExceptDragonfly, ReadWithOobWaitsForOutOfBandDataOnly) {
  const queue kq = make_queue(QUAY_DIALECT_DRAGONFLY);
  const socket_pair s = make_tcp_pair();
  ASSERT_THAT(submit(kq, {add(s.here, EVFILT_READ).fflags(NOTE_OOB)}), Succeeds());
  put(s.there, "abc");
  ASSERT_TRUE(wait_readable(s.here));
  EXPECT_THAT(poll(kq), IsEmpty());
  send_urgent(s.there);
  EXPECT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_READ).fflags(NOTE_OOB)));
}

class Kqueue_Empty : public testing::Test {
 protected:
  queue kq = make_queue();
};

TEST_F(Kqueue_Empty, FiresWhenEverythingSentHasLeft) {
  for (const socket_pair& s : {make_tcp_pair(), make_socketpair()}) {
    EXPECT_THAT(submit(kq, {add(s.here, EVFILT_EMPTY)}),
                Returns(ElementsAre(Event(s.here, EVFILT_EMPTY))));
    fill(s.here);
    EXPECT_THAT(poll(kq), IsEmpty());
    std::atomic<bool> done = false;
    std::thread reader([&] {
      while (!done) drain(s.there);
    });
    EXPECT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_EMPTY)));
    done = true;
    reader.join();
    ASSERT_THAT(alter(kq, {remove(s.here, EVFILT_EMPTY)}), Succeeds());
  }
}

TEST_F(Kqueue_Empty, IsSilentWhileOneByteIsOnItsWay) {
  const socket_pair s = make_socketpair();
  put(s.here, "ab");
  EXPECT_THAT(submit(kq, {add(s.here, EVFILT_EMPTY)}), Succeeds());
  take(s.there, 1);
  EXPECT_THAT(poll(kq), IsEmpty());
  take(s.there, 1);
  EXPECT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_EMPTY)));
}

TEST_F(Kqueue_Empty, AListenerHasNothingToSend) {
  const endpoint server = make_listener(AF_INET);
  EXPECT_THAT(submit(kq, {add(server.fd, EVFILT_EMPTY)}),
              Returns(ElementsAre(Event(server.fd, EVFILT_EMPTY))));
}

TEST_F(Kqueue_Empty, OnlySocketsHaveIt) {
  const pipe_ends p = make_pipe();
  const temporary_directory directory;
  const unique_fd file = directory.make_file("x");
  EXPECT_THAT(alter(kq, {add(p.writer, EVFILT_EMPTY)}), FailsWith(EINVAL));
  EXPECT_THAT(alter(kq, {add(file, EVFILT_EMPTY)}), FailsWith(EINVAL));
}

}  // namespace
}  // namespace quay::test
