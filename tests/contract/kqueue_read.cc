// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_READ on sockets: bytes, end of file, pending errors, low-water marks, backlogs.
// Contract: kqueue semantics, 5.1 (READ) and the general rule of EV_EOF in 5.0; row 5 of what real
// programs need.
#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::SizeIs;

class Kqueue_Read : public dialect_test {};

TEST_P(Kqueue_Read, DataIsTheNumberOfUnreadBytes) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  for (const size_t bytes : {1u, 10u, 100u, 5000u}) {
    put_bytes(s.there, bytes);
    EXPECT_THAT(poll(kq),
                ElementsAre(Event(s.here, EVFILT_READ).data(static_cast<intptr_t>(bytes))));
    EXPECT_EQ(drain(s.here), bytes);
    EXPECT_THAT(poll(kq), IsEmpty());
  }
}

TEST_P(Kqueue_Read, EofArrivesWithBufferedBytes) {
  socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  put(s.there, "abc");
  s.there.close();
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(3).flags(EV_EOF)));
  take(s.here, 2);
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(1).flags(EV_EOF)));
  take(s.here, 1);
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(0).flags(EV_EOF)))
      << "EOF is a level";
}

TEST_P(Kqueue_Read, EofIsSeenAtRegistration) {
  socket_pair s = make_socketpair();
  s.there.close();
  EXPECT_THAT(submit(kq, {add(s.here, EVFILT_READ)}),
              Returns(ElementsAre(Event(s.here, EVFILT_READ).data(0).flags(EV_EOF))));
}

TEST_P(Kqueue_Read, ThePeersHalfCloseIsEof) {
  for (const socket_pair& s : {make_socketpair(), make_tcp_pair()}) {
    ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
    put(s.there, "ab");
    ::shutdown(s.there, SHUT_WR);
    ASSERT_TRUE(becomes_readable(kq));
    EXPECT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_READ).data(2).any_flags()));
    ASSERT_TRUE(wait_readable(s.here));
    take(s.here, 2);
    EXPECT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_READ).data(0).flags(EV_EOF)));
    ASSERT_THAT(alter(kq, {remove(s.here, EVFILT_READ)}), Succeeds());
  }
}

TEST_P(Kqueue_Read, OnesOwnShutdownOfReadingIsEof) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  ::shutdown(s.here, SHUT_RD);
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(0).flags(EV_EOF)));
}

TEST_P(Kqueue_Read, EofWakesAWaiter) {
  socket_pair s = make_tcp_pair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  s.there.close();
  EXPECT_THAT(thread.result(),
              Returns(ElementsAre(Event(s.here, EVFILT_READ).data(0).flags(EV_EOF))));
}

// The error belongs to the program: it finds it with SO_ERROR or in its next call.
TEST_P(Kqueue_Read, AResetIsEofAndLeavesTheErrorToTheProgram) {
  socket_pair s = make_tcp_pair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  close_with_reset(s.there);
  const auto reset = Event(s.here, EVFILT_READ).data(0).flags(EV_EOF).any_fflags();
  EXPECT_THAT(await(kq), ElementsAre(reset));
  EXPECT_THAT(poll(kq), ElementsAre(reset)) << "looking twice must not consume it either";
  EXPECT_EQ(pending_socket_error(s.here), ECONNRESET);
}

TEST_P(Kqueue_Read, FflagsCarryNoErrorThatWouldHaveToBeConsumed) {
  socket_pair s = make_tcp_pair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  close_with_reset(s.there);
  const events got = await(kq);
  ASSERT_THAT(got, SizeIs(1));
  EXPECT_THAT(got[0].fflags, AnyOf(0u, static_cast<unsigned>(ECONNRESET)));
  EXPECT_EQ(pending_socket_error(s.here), ECONNRESET);
}

// What Linux counts ends at the mark: between the two reads there is nothing to count.
TEST_P(Kqueue_Read, BytesBehindUrgentDataAreReadToo) {
  const socket_pair s = make_tcp_pair();
  ASSERT_EQ(::send(s.there, "abc!", 4, MSG_OOB), 4);
  put(s.there, "hello");
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_READ).data(Ge(3))));
  EXPECT_EQ(take(s.here, 100), "abc");
  EXPECT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_READ).data(5)));
  char urgent = 0;
  ASSERT_EQ(::recv(s.here, &urgent, 1, MSG_OOB), 1);
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(5)));
  EXPECT_EQ(take(s.here, 100), "hello");
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Read, EofBehindUrgentDataCountsWhatIsBeforeIt) {
  socket_pair s = make_tcp_pair();
  ASSERT_EQ(::send(s.there, "!", 1, MSG_OOB), 1);
  put(s.there, "hello");
  s.there.close();
  pollfd ended{s.here, POLLRDHUP, 0};
  ASSERT_EQ(::poll(&ended, 1, 10'000), 1);
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(5).flags(EV_EOF)));
}

TEST_P(Kqueue_Read, ARefusedDatagramIsReadyWithoutEof) {
  endpoint gone = bind_anywhere(AF_INET, SOCK_DGRAM);
  const unique_fd sender = connect_to(gone, SOCK_DGRAM);
  gone.fd.close();
  ASSERT_THAT(alter(kq, {add(sender, EVFILT_READ)}), Succeeds());
  put(sender, "x");
  EXPECT_THAT(await(kq), ElementsAre(Event(sender, EVFILT_READ).data(0).any_fflags()));
  EXPECT_EQ(pending_socket_error(sender), ECONNREFUSED);
}

TEST_P(Kqueue_Read, AListenersDataIsItsBacklog) {
  const endpoint server = make_listener(AF_INET);
  ASSERT_THAT(submit(kq, {add(server.fd, EVFILT_READ)}), Succeeds());
  std::vector<unique_fd> clients;
  for (intptr_t n = 1; n <= 4; ++n) {
    clients.push_back(connect_to(server));
    EXPECT_THAT(await(kq), ElementsAre(Event(server.fd, EVFILT_READ).data(n)));
  }
  for (intptr_t n = 3; n >= 1; --n) {
    const unique_fd accepted = accept_from(server);
    EXPECT_THAT(poll(kq), ElementsAre(Event(server.fd, EVFILT_READ).data(n)));
  }
  const unique_fd last = accept_from(server);
  EXPECT_THAT(poll(kq), IsEmpty());
}

// Whether a socket listens is not decided at registration.
TEST_P(Kqueue_Read, ASocketThatIsNotConnectedIsSilentAndMayBeginToListen) {
  const endpoint server = bind_anywhere(AF_INET, SOCK_STREAM);
  ASSERT_THAT(submit(kq, {add(server.fd, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  ASSERT_EQ(::listen(server.fd, 4), 0);
  EXPECT_THAT(poll(kq), IsEmpty());
  const unique_fd client = connect_to(server);
  EXPECT_THAT(await(kq), ElementsAre(Event(server.fd, EVFILT_READ).data(1)));
}

// A thread that waits for connections is told in this way to stop.
TEST_P(Kqueue_Read, AListenerThatIsShutDownIsAtItsEnd) {
  for (const int family : {AF_INET, AF_UNIX}) {
    const endpoint server = make_listener(family);
    ASSERT_THAT(submit(kq, {add(server.fd, EVFILT_READ)}), Succeeds());
    EXPECT_THAT(poll(kq), IsEmpty());
    ASSERT_EQ(::shutdown(server.fd, SHUT_RDWR), 0);
    EXPECT_THAT(await(kq), ElementsAre(Event(server.fd, EVFILT_READ).data(0).flags(EV_EOF)));
    EXPECT_THAT(poll(kq), SizeIs(1)) << "EOF is a level";
    EXPECT_THAT(submit(kq, {remove(server.fd, EVFILT_READ)}), Succeeds());
    EXPECT_THAT(submit(kq, {add(server.fd, EVFILT_READ)}), Returns(SizeIs(1)));
    EXPECT_THAT(submit(kq, {remove(server.fd, EVFILT_READ)}), Succeeds());
  }
}

TEST_P(Kqueue_Read, ASocketThatWasRefusedIsAtItsEndEvenWhenItsErrorWasFetched) {
  const endpoint server = bind_anywhere(AF_INET, SOCK_STREAM);
  const unique_fd client(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(client, server.where(), server.length), -1);
  ASSERT_EQ(errno, ECONNREFUSED);
  EXPECT_THAT(submit(kq, {add(client, EVFILT_READ)}),
              Returns(ElementsAre(Event(client, EVFILT_READ).data(0).flags(EV_EOF))));
}

TEST_P(Kqueue_Read, AnEmptyDatagramIsReadyWithDataZero) {
  const socket_pair s = make_socketpair(SOCK_DGRAM);
  ASSERT_THAT(submit(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  ASSERT_EQ(::send(s.there, "", 0, 0), 0);
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(0)));
}

TEST_P(Kqueue_Read, AUnixListenerFiresWhileSomebodyWaitsToBeAccepted) {
  for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
    const endpoint server = make_listener(AF_UNIX, type);
    ASSERT_THAT(submit(kq, {add(server.fd, EVFILT_READ)}), Succeeds());
    const unique_fd first = connect_to(server, type);
    const unique_fd second = connect_to(server, type);
    EXPECT_THAT(poll(kq), ElementsAre(Event(server.fd, EVFILT_READ).data(Ge(1))));
    const unique_fd a = accept_from(server);
    EXPECT_THAT(poll(kq), ElementsAre(Event(server.fd, EVFILT_READ).data(1)));
    const unique_fd b = accept_from(server);
    EXPECT_THAT(submit(kq, {remove(server.fd, EVFILT_READ)}), Succeeds());
  }
}

TEST_P(Kqueue_Read, AnEdgeListenerFiresForEveryNewConnection) {
  const endpoint server = make_listener(AF_INET);
  ASSERT_THAT(submit(kq, {add(server.fd, EVFILT_READ, EV_CLEAR)}), Succeeds());
  const unique_fd first = connect_to(server);
  EXPECT_THAT(await(kq), ElementsAre(Event(server.fd, EVFILT_READ).data(1).flags(EV_CLEAR)));
  EXPECT_THAT(poll(kq), IsEmpty());
  const unique_fd second = connect_to(server);
  EXPECT_THAT(await(kq), ElementsAre(Event(server.fd, EVFILT_READ).data(2).flags(EV_CLEAR)));
}

TEST_P(Kqueue_Read, ADatagramsDataIsItsSize) {
  for (const socket_pair& s : {make_udp_pair(), make_socketpair(SOCK_DGRAM)}) {
    ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
    put_bytes(s.there, 300);
    EXPECT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_READ).data(300)));
    take(s.here, 1000);
    EXPECT_THAT(submit(kq, {}), Succeeds());
    ASSERT_THAT(alter(kq, {remove(s.here, EVFILT_READ)}), Succeeds());
  }
}

TEST_P(Kqueue_Read, EveryDatagramIsAnEdge) {
  const socket_pair s = make_udp_pair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ, EV_CLEAR)}), Succeeds());
  for (int i = 0; i < 3; ++i) {
    put_bytes(s.there, 10);
    EXPECT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_READ).data(Ge(10)).flags(EV_CLEAR)));
    EXPECT_THAT(poll(kq), IsEmpty());
  }
}

TEST_P(Kqueue_Read, SeqpacketCountsBytesAndEndsWithEof) {
  socket_pair s = make_socketpair(SOCK_SEQPACKET);
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  put_bytes(s.there, 20);
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(20)));
  take(s.here, 100);
  EXPECT_THAT(poll(kq), IsEmpty());
  s.there.close();
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(0).flags(EV_EOF)));
}

TEST_P(Kqueue_Read, LowWaterHoldsBackUntilEnoughIsThere) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(submit(kq, {add(s.here, EVFILT_READ).fflags(NOTE_LOWAT).data(10)}), Succeeds());
  put_bytes(s.there, 9);
  EXPECT_THAT(poll(kq), IsEmpty());
  put_bytes(s.there, 1);
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(10)));
  take(s.here, 1);
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Read, LowWaterHoldsForATcpSocketToo) {
  const socket_pair s = make_tcp_pair();
  ASSERT_THAT(submit(kq, {add(s.here, EVFILT_READ, EV_CLEAR).fflags(NOTE_LOWAT).data(100)}),
              Succeeds());
  put_bytes(s.there, 60);
  ASSERT_TRUE(wait_readable(s.here));
  EXPECT_THAT(poll(kq), IsEmpty());
  put_bytes(s.there, 60);
  EXPECT_THAT(await(kq), ElementsAre(Event(s.here, EVFILT_READ).data(120).flags(EV_CLEAR)));
}

TEST_P(Kqueue_Read, EofIsDeliveredBelowLowWater) {
  socket_pair s = make_socketpair();
  ASSERT_THAT(submit(kq, {add(s.here, EVFILT_READ).fflags(NOTE_LOWAT).data(10)}), Succeeds());
  put_bytes(s.there, 3);
  ASSERT_THAT(poll(kq), IsEmpty());
  s.there.close();
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(3).flags(EV_EOF)));
}

TEST_P(Kqueue_Read, LowWaterIsOfTheNoteAndNotOfTheSocket) {
  const socket_pair s = make_socketpair();
  const queue other = make_queue(dialect());
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ).fflags(NOTE_LOWAT).data(10)}), Succeeds());
  ASSERT_THAT(alter(other, {add(s.here, EVFILT_READ)}), Succeeds());
  put_bytes(s.there, 5);
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(poll(other), ElementsAre(Event(s.here, EVFILT_READ).data(5)));
  int option = 0;
  socklen_t length = sizeof option;
  ASSERT_EQ(::getsockopt(s.here, SOL_SOCKET, SO_RCVLOWAT, &option, &length), 0);
  EXPECT_EQ(option, 1);
  pollfd p{s.here, POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 0), 1) << "others still see every byte";
}

TEST_P(Kqueue_Read, AWaiterSleepsUntilLowWaterIsReached) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ).fflags(NOTE_LOWAT).data(10)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  put_bytes(s.there, 5);
  EXPECT_TRUE(thread.falls_asleep()) << "it must neither return nor spin";
  EXPECT_FALSE(thread.returned());
  put_bytes(s.there, 5);
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(s.here, EVFILT_READ).data(10))));
}

TEST_P(Kqueue_Read, DataNobodyWantsIsLeftZero) {
  const socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ).fflags(QUAY_NOTE_NODATA)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  put(s.there, "abc");
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).data(0)));
  drain(s.here);
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Read, ANoteOutlivesTheDeathOfThePeer) {
  socket_pair s = make_socketpair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  s.there.close();
  ASSERT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).flags(EV_EOF)));
  EXPECT_THAT(alter(kq, {add(s.here, EVFILT_READ).udata(3)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(Event(s.here, EVFILT_READ).flags(EV_EOF).udata(3)));
  EXPECT_THAT(alter(kq, {remove(s.here, EVFILT_READ)}), Succeeds());
}

QUAY_IN_ALL_DIALECTS(Kqueue_Read);

// The tunable is for programs that want the error in the event, and gone from the socket.
TEST(Kqueue_SocketErrors, OnRequestFflagsCarryTheErrorAndTheSocketNoLonger) {
  const long before = quay_tunable_get("so_error_in_fflags");
  ASSERT_GE(before, 0);
  ASSERT_EQ(quay_tunable_set("so_error_in_fflags", 1), 0);
  const queue kq = make_queue();
  socket_pair s = make_tcp_pair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  close_with_reset(s.there);
  EXPECT_THAT(await(kq),
              ElementsAre(Event(s.here, EVFILT_READ).data(0).flags(EV_EOF).fflags(ECONNRESET)));
  EXPECT_EQ(quay_tunable_set("so_error_in_fflags", before), 0);
}

}  // namespace
}  // namespace quay::test
