// SPDX-License-Identifier: BSD-2-Clause
//
// What: one port in several processes: after fork, and handed over a socket.
// Contract: event port semantics section 5.
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "support/port.hpp"
#include "support/processes.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Port_Fork, AChildFetchesWhatTheParentSent) {
  const test_port port;
  ::port_send(port, 5, cookie(6));
  EXPECT_TRUE(in_child([&] {
    const auto events = taken(port);
    return events.size() == 1 && events[0].portev_events == 5 && events[0].portev_user == cookie(6);
  }));
  EXPECT_THAT(taken(port), IsEmpty());
}

TEST(Port_Fork, WhatAChildSentOutlivesIt) {
  const test_port port;
  EXPECT_TRUE(in_child([&] { return ::port_send(port, 9, nullptr) == 0; }));
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_USER, 9, 0u)));
}

TEST(Port_Fork, AChildsSendWakesTheParent) {
  const test_port port;
  const pid_t child = ::fork();
  if (child == 0) {
    ::port_send(port, 3, nullptr);
    ::_exit(0);
  }
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_USER, 3, 0u)));
  ::waitpid(child, nullptr, 0);
}

TEST(Port_Fork, OthersCannotFetchWhatIsNotShared) {
  const test_port port;
  port_notify_t notify{port, nullptr};
  sigevent event{};
  event.sigev_notify = SIGEV_PORT;
  event.sigev_value.sival_ptr = &notify;
  timer_t timer{};
  ASSERT_EQ(::timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  const itimerspec soon{{0, 0}, {0, 1}};
  ASSERT_EQ(::timer_settime(timer, 0, &soon, nullptr), 0);
  while (queued(port) == 0) {
  }
  EXPECT_TRUE(in_child([&] { return taken(port).empty(); }));
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_TIMER, 1, 0u)));
  ::timer_delete(timer);
}

TEST(Port_Fork, TheParentsDescriptorFiresInTheChild) {
  const test_port port;
  const pipe_ends pipe = make_pipe();
  associate(port, pipe.reader, POLLIN, 4);
  EXPECT_TRUE(in_child([&] {
    if (::write(pipe.writer, "x", 1) != 1) return false;
    const auto events = arrivals(port);
    return events.size() == 1 && events[0].portev_user == cookie(4);
  }));
  EXPECT_THAT(taken(port), IsEmpty());
  EXPECT_THAT(dissociate(port, pipe.reader), Fails(ENOENT));
}

TEST(Port_Fork, OnlyTheOwnerDissociates) {
  const test_port port;
  const pipe_ends pipe = make_pipe();
  associate(port, pipe.reader, POLLIN, 4);
  EXPECT_TRUE(in_child([&] { return dissociate(port, pipe.reader) == -1 && errno == EACCES; }));
  EXPECT_THAT(dissociate(port, pipe.reader), Works());
}

TEST(Port_Fork, AChildsCloseHurtsNobody) {
  const test_port port;
  const pipe_ends pipe = make_pipe();
  associate(port, pipe.reader, POLLIN, 4);
  ::port_alert(port, PORT_ALERT_SET, 1, nullptr);
  EXPECT_TRUE(in_child([&] {
    ::quay_close(pipe.reader);
    return ::quay_close(port) == 0;
  }));
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_ALERT, 1, 0u)));
  ::port_alert(port, 0, 0, nullptr);
  ASSERT_EQ(::write(pipe.writer, "x", 1), 1);
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 4u)));
}

TEST(Port_Fork, AClosedPortKeepsNoDescriptorAcrossForks) {
  const auto come_and_go = [] {
    { const test_port port; }
    return in_child([] { return true; });
  };
  EXPECT_TRUE(come_and_go());
  const size_t before = count_descriptors();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(come_and_go());
  EXPECT_EQ(count_descriptors(), before);
}

TEST(Port_Fork, TheOwnersAlertEndsWithItsClose) {
  const test_port port;
  EXPECT_TRUE(in_child([&] {
    return ::port_alert(port, PORT_ALERT_SET, 1, nullptr) == 0 && ::quay_close(port) == 0;
  }));
  EXPECT_THAT(taken(port), IsEmpty());
}

TEST(Port_Fork, AnybodyClearsTheAlert) {
  const test_port port;
  ::port_alert(port, PORT_ALERT_SET, 1, nullptr);
  ::port_send(port, 2, nullptr);
  EXPECT_TRUE(in_child([&] { return ::port_alert(port, 0, 0, nullptr) == 0; }));
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_USER, 2, 0u)));
}

TEST(Port_Fork, AKilledProcessLeavesNothingBehind) {
  const long before = quay_tunable_get("port_max_events");
  quay_tunable_set("port_max_events", 4);
  const test_port port;
  quay_tunable_set("port_max_events", before);
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const pipe_ends own = make_pipe();
    ::port_alert(port, PORT_ALERT_SET, 1, nullptr);
    associate(port, own.reader, POLLIN, 1);
    ::port_send(port, 8, nullptr);
    static_cast<void>(!::write(ready[1], "x", 1));
    for (;;) ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  // Whoever uses the port notices within the tick.
  std::vector<port_event_t> events;
  do {
    events = taken(port);
  } while (events.empty() || events[0].portev_source == PORT_SOURCE_ALERT);
  EXPECT_THAT(events, ElementsAre(Is(PORT_SOURCE_USER, 8, 0u)));
  for (int i = 0; i < 4; ++i) EXPECT_THAT(::port_send(port, i, nullptr), Works());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(Port_Passing, AReceivedPortIsTheSame) {
  const test_port port;
  const socket_pair sockets = make_socketpair(SOCK_STREAM);
  ::port_send(port, 1, nullptr);
  ASSERT_THAT(::quay_port_send(sockets.here, port), Works());
  const pid_t child = ::fork();
  if (child == 0) {
    // As a process that did not inherit it.
    ::quay_close(port);
    const int mine = ::quay_port_receive(sockets.there);
    const bool got = mine >= 0 && taken(mine).size() == 1;
    ::_exit(got && ::port_send(mine, 2, nullptr) == 0 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_USER, 2, 0u)));
}

TEST(Port_Passing, OnlyPortsArePassed) {
  const socket_pair sockets = make_socketpair(SOCK_STREAM);
  const pipe_ends pipe = make_pipe();
  EXPECT_THAT(::quay_port_send(sockets.here, pipe.reader), Fails(EBADFD));
  EXPECT_THAT(::quay_port_send(sockets.here, kNeverOpenPort), Fails(EBADF));
  ASSERT_EQ(::write(sockets.here, "12345678", 8), 8);
  EXPECT_THAT(::quay_port_receive(sockets.there), Fails(EBADMSG));
}

}  // namespace
}  // namespace quay::test
