// SPDX-License-Identifier: BSD-2-Clause
//
// What: PORT_SOURCE_FD: associating, firing once, re-associating, dissociating.
// Contract: event port semantics 2.2, 2.3, 3.5, 4.1.
#include <poll.h>
#include <sys/epoll.h>

#include <atomic>
#include <thread>
#include <vector>

#include "support/port.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

void write_byte(int fd) { ASSERT_EQ(::write(fd, "x", 1), 1); }
void read_byte(int fd) {
  char byte;
  ASSERT_EQ(::read(fd, &byte, 1), 1);
}

TEST(Port_Fd, OnlyDescriptorsAndFilesAreAssociated) {
  const test_port port;
  for (const int source : {PORT_SOURCE_USER, PORT_SOURCE_TIMER, PORT_SOURCE_AIO, PORT_SOURCE_ALERT,
                           PORT_SOURCE_MQ, 0, 99, -1}) {
    EXPECT_THAT(::port_associate(port, source, 0, POLLIN, nullptr), Fails(EINVAL));
    EXPECT_THAT(::port_dissociate(port, source, 0), Fails(EINVAL));
  }
}

TEST(Port_Fd, AClosedDescriptorIsABadObject) {
  const test_port port;
  EXPECT_THAT(dissociate(port, kNeverOpenPort), Fails(ENOENT));
  EXPECT_THAT(associate(port, kNeverOpenPort, POLLIN), Fails(EBADFD));
  EXPECT_THAT(::port_associate(port, PORT_SOURCE_FD, 0x80000000u, POLLIN, nullptr), Fails(EBADFD));
  EXPECT_THAT(::port_dissociate(port, PORT_SOURCE_FD, 0x80000000u), Fails(EBADFD));
  const pipe_ends pipe = make_pipe();
  EXPECT_THAT(associate(port, pipe.reader, POLLIN), Works());
  EXPECT_THAT(dissociate(port, kNeverOpenPort), Fails(EBADFD));
}

TEST(Port_Fd, WhatIsReadyAlreadyIsQueuedBeforeTheCallReturns) {
  const test_port port;
  const pipe_ends pipe = make_pipe();
  write_byte(pipe.writer);
  ASSERT_THAT(associate(port, pipe.reader, POLLIN, 7), Works());
  EXPECT_EQ(queued(port), 1u);
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, pipe.reader.get(), 7u)));
}

TEST(Port_Fd, RegularFilesAreAlwaysReady) {
  const test_port port;
  const unique_fd file(checked(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC), "open"));
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(associate(port, file, POLLIN, 1), Works());
    EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, file.get(), 1u)));
  }
  EXPECT_THAT(dissociate(port, file), Fails(ENOENT));
}

TEST(Port_Fd, FiresOnceUntilAssociatedAgain) {
  const test_port port;
  const pipe_ends pipe = make_pipe();
  associate(port, pipe.reader, POLLIN, 1);
  write_byte(pipe.writer);
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 1u)));
  write_byte(pipe.writer);
  EXPECT_THAT(taken(port), IsEmpty());
  ASSERT_THAT(associate(port, pipe.reader, POLLIN, 2), Works());
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 2u)));
  EXPECT_THAT(taken(port), IsEmpty());
}

TEST(Port_Fd, AssociatingAgainReplacesMaskAndCookie) {
  const test_port port;
  const socket_pair sockets = make_socketpair();
  associate(port, sockets.here, POLLOUT, 1);
  EXPECT_EQ(queued(port), 1u);
  ASSERT_THAT(associate(port, sockets.here, POLLIN, 2), Works());
  EXPECT_THAT(taken(port), IsEmpty());
  write_byte(sockets.there);
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 2u)));
  for (const int mask : {POLLIN | POLLOUT, POLLOUT, POLLIN, POLLIN | POLLOUT}) {
    ASSERT_THAT(associate(port, sockets.here, mask, 3), Works());
    EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FD, mask, 3u)));
  }
}

TEST(Port_Fd, MaskZeroHearsOfHangUps) {
  const test_port port;
  pipe_ends pipe = make_pipe();
  ASSERT_THAT(associate(port, pipe.reader, 0, 1), Works());
  write_byte(pipe.writer);
  EXPECT_THAT(taken(port), IsEmpty());
  pipe.writer.close();
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FD, POLLHUP, 1u)));
}

TEST(Port_Fd, EveryStateHasItsAnswerToDissociating) {
  const test_port port;
  const pipe_ends pipe = make_pipe();
  const pipe_ends other = make_pipe();
  ASSERT_THAT(associate(port, pipe.reader, POLLIN), Works());
  EXPECT_THAT(dissociate(port, other.reader), Fails(ENOENT));
  EXPECT_THAT(dissociate(port, pipe.reader), Works());  // armed
  EXPECT_THAT(dissociate(port, pipe.reader), Fails(ENOENT));
  write_byte(pipe.writer);
  ASSERT_THAT(associate(port, pipe.reader, POLLIN), Works());
  EXPECT_THAT(dissociate(port, pipe.reader), Works());  // queued
  EXPECT_THAT(taken(port), IsEmpty());
  ASSERT_THAT(associate(port, pipe.reader, POLLIN), Works());
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 0u)));
  EXPECT_THAT(dissociate(port, pipe.reader), Fails(ENOENT));  // fetched
  ASSERT_THAT(associate(port, pipe.reader, POLLIN), Works());
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 0u)));
}

TEST(Port_Fd, ClosingCancelsTheEvent) {
  const test_port port;
  pipe_ends pipe = make_pipe();
  const unique_fd duplicate(::dup(pipe.reader));
  write_byte(pipe.writer);
  associate(port, pipe.reader, POLLIN, 1);
  pipe.reader.close();
  EXPECT_THAT(taken(port), IsEmpty());
  EXPECT_EQ(queued(port), 0u);
}

TEST(Port_Fd, ClosingGivesTheSlotBack) {
  QUAY_SKIP_UNLESS_HOOKED();
  const long before = quay_tunable_get("port_max_events");
  quay_tunable_set("port_max_events", 1);
  const test_port port;
  quay_tunable_set("port_max_events", before);
  pipe_ends pipe = make_pipe();
  associate(port, pipe.reader, POLLIN, 1);
  EXPECT_THAT(::port_send(port, 1, nullptr), Fails(EAGAIN));
  ASSERT_EQ(::dup2(pipe.writer, pipe.reader), pipe.reader.get());
  EXPECT_THAT(::port_send(port, 1, nullptr), Works());
}

TEST(Port_Fd, ANumberUsedAgainIsAnotherObject) {
  const test_port port;
  pipe_ends old = make_pipe();
  pipe_ends fresh = make_pipe();
  const int number = old.reader;
  write_byte(old.writer);
  associate(port, number, POLLIN, 1);
  old.reader.close();
  ASSERT_EQ(::fcntl(fresh.reader, F_DUPFD_CLOEXEC, number), number);
  const unique_fd again(number);
  EXPECT_THAT(taken(port), IsEmpty());
  ASSERT_THAT(associate(port, number, POLLIN, 2), Works());
  EXPECT_THAT(taken(port), IsEmpty());
  write_byte(fresh.writer);
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, number, 2u)));
}

TEST(Port_Fd, OneDescriptorOnTwoPortsFiresOnBoth) {
  const test_port a;
  const test_port b;
  const pipe_ends pipe = make_pipe();
  associate(a, pipe.reader, POLLIN, 1);
  associate(b, pipe.reader, POLLIN, 2);
  write_byte(pipe.writer);
  EXPECT_THAT(arrivals(a), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 1u)));
  EXPECT_THAT(arrivals(b), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 2u)));
}

TEST(Port_Fd, APortWatchesAPort) {
  const test_port inner;
  const test_port outer;
  ASSERT_THAT(associate(outer, inner, POLLIN, 1), Works());
  EXPECT_THAT(taken(outer), IsEmpty());
  ::port_send(inner, 5, nullptr);
  EXPECT_THAT(arrivals(outer),
              ElementsAre(Is(PORT_SOURCE_FD, POLLIN, static_cast<int>(inner), 1u)));
  EXPECT_THAT(taken(inner), ElementsAre(Is(PORT_SOURCE_USER, 5, 0u)));
  EXPECT_NE(associate(outer, outer, POLLIN), 0) << "a port cannot watch itself";
  EXPECT_NE(associate(inner, outer, POLLIN), 0) << "nor those that watch it";
}

TEST(Port_Fd, DescriptorsAndSendsKeepTheirOrder) {
  const test_port port;
  const pipe_ends pipe = make_pipe();
  associate(port, pipe.reader, POLLIN, 1);
  ::port_send(port, 1, nullptr);
  write_byte(pipe.writer);
  ::port_send(port, 2, nullptr);
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_USER, 1, 0u), Is(PORT_SOURCE_FD, POLLIN, 1u),
                                       Is(PORT_SOURCE_USER, 2, 0u)));
}

TEST(Port_Fd, AnEventThatWaitsShowsWhatIsTrueThen) {
  const test_port port;
  socket_pair sockets = make_socketpair();
  associate(port, sockets.here, POLLIN, 1);
  write_byte(sockets.there);
  EXPECT_EQ(queued(port), 1u);
  sockets.there.close();
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN | POLLHUP, 1u)));
}

TEST(Port_Fd, ASleeperHearsOfWhatIsAssociatedMeanwhile) {
  const test_port port;
  const pipe_ends pipe = make_pipe();
  thread_in_call<fetched> waiter([&] { return getn(port, 1, 1, nullptr); });
  ASSERT_TRUE(waiter.falls_asleep());
  ASSERT_THAT(associate(port, pipe.reader, POLLIN, 4), Works());
  write_byte(pipe.writer);
  EXPECT_THAT(waiter.result().events, ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 4u)));
}

TEST(Port_Fd, ASleeperIsNotDisturbedByAnUnreadDescriptor) {
  const test_port port;
  const pipe_ends pipe = make_pipe();
  write_byte(pipe.writer);
  associate(port, pipe.reader, POLLIN, 1);
  EXPECT_THAT(arrivals(port), testing::SizeIs(1));
  thread_in_call<fetched> waiter([&] { return getn(port, 1, 1, nullptr); });
  ASSERT_TRUE(waiter.falls_asleep());
  ASSERT_THAT(associate(port, pipe.reader, POLLIN, 2), Works());
  EXPECT_THAT(waiter.result().events, ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 2u)));
}

TEST(Port_Fd, AssociatingAgainAsksTheKernelNothing) {
  QUAY_SKIP_UNLESS_HOOKED();
  const test_port port;
  const pipe_ends pipe = make_pipe();
  associate(port, pipe.reader, POLLIN);
  quay_stats before{};
  quay_stats_get(&before, sizeof before);
  for (int i = 0; i < 100; ++i) {
    write_byte(pipe.writer);
    ASSERT_THAT(arrivals(port), testing::SizeIs(1));
    read_byte(pipe.reader);
    ASSERT_THAT(associate(port, pipe.reader, POLLIN), Works());
  }
  quay_stats after{};
  quay_stats_get(&after, sizeof after);
  EXPECT_EQ(after.epoll_ctls, before.epoll_ctls);
}

TEST(Port_Fd, WhatHappensWhileAnEventIsQueuedIsNoSecondEvent) {
  const test_port port;
  socket_pair sockets = make_socketpair();
  ASSERT_THAT(associate(port, sockets.here, POLLIN, 1), Works());
  write_byte(sockets.there);
  EXPECT_EQ(queued(port), 1u);
  sockets.there.close();
  EXPECT_EQ(queued(port), 1u);
  const auto first = taken(port);
  ASSERT_THAT(first, testing::SizeIs(1));
  EXPECT_NE(first[0].portev_events & POLLIN, 0);
  ASSERT_THAT(associate(port, sockets.here, POLLIN, 2), Works());
  const auto second = taken(port);
  ASSERT_THAT(second, testing::SizeIs(1));
  EXPECT_NE(second[0].portev_events & POLLHUP, 0);
}

TEST(Port_Fd, NeverAssociatedAtAllIsAskedBeforeTheDescriptor) {
  const test_port port;
  EXPECT_THAT(dissociate(port, kNeverOpenPort), Fails(ENOENT));
  const pipe_ends pipe = make_pipe();
  ASSERT_THAT(associate(port, pipe.reader, POLLIN), Works());
  EXPECT_THAT(dissociate(port, kNeverOpenPort), Fails(EBADFD));
  EXPECT_THAT(dissociate(port, pipe.writer), Fails(ENOENT));
}

TEST(Port_Fd, WhatTheMaskDoesNotAskForIsNotTold) {
  const test_port port;
  const socket_pair sockets = make_socketpair();
  write_byte(sockets.there);
  ASSERT_THAT(associate(port, sockets.here, POLLOUT, 1), Works());
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_FD, POLLOUT, 1u)));
}

// The kernel tells every thread that looks of a level: each byte is one event all the same.
TEST(Port_FdThreads, WhatOneThreadWasToldOfIsNotToldAgain) {
  constexpr int kBytes = 5000;
  const test_port port;
  const pipe_ends ends = make_pipe();
  ASSERT_THAT(associate(port, ends.reader, POLLIN), Works());
  std::atomic<int> taken{0};
  std::atomic<int> in_vain{0};
  const auto take = [&] {
    while (taken < kBytes) {
      port_event_t event{};
      timespec soon{0, 20000};
      if (::port_get(port, &event, &soon) != 0) continue;
      char byte = 0;
      ++(::read(ends.reader, &byte, 1) == 1 ? taken : in_vain);
      EXPECT_THAT(associate(port, ends.reader, POLLIN), Works());
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back(take);
  for (int i = 0; i < kBytes; ++i) {
    ASSERT_EQ(::write(ends.writer, "x", 1), 1);
    while (taken < i) std::this_thread::yield();
  }
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(taken, kBytes);
  EXPECT_EQ(in_vain, 0);
}

}  // namespace
}  // namespace quay::test
