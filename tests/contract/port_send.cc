// SPDX-License-Identifier: BSD-2-Clause
//
// What: port_send, port_sendn, port_dispatch: what arrives, in which order, and when it is refused.
// Contract: event port semantics 2.4, 2.5, 2.11, 3.4, 6.
#include <quay/port_source.h>
#include <signal.h>
#include <sys/port_impl.h>

#include "support/port.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A port with room for `slots` events.
class narrow_port {
 public:
  explicit narrow_port(long slots) : before_(quay_tunable_get("port_max_events")) {
    quay_tunable_set("port_max_events", slots);
    port_ = ::port_create();
    quay_tunable_set("port_max_events", before_);
  }
  ~narrow_port() { ::quay_close(port_); }
  operator int() const { return port_; }  // NOLINT(google-explicit-constructor)

 private:
  long before_;
  int port_;
};

TEST(Port_Send, ArrivesOnceAndUnchanged) {
  const test_port port;
  ASSERT_THAT(::port_send(port, -5, cookie(0xfedcba98)), Works());
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_USER, -5, 0, 0xfedcba98)));
  EXPECT_THAT(taken(port), IsEmpty());
}

TEST(Port_Send, ArrivesInOrderHoweverItIsFetched) {
  const test_port port;
  constexpr int kEvents = 10000;
  for (int i = 0; i < kEvents; ++i) ASSERT_THAT(::port_send(port, i, nullptr), Works());
  int next = 0;
  for (uint_t max = 1; next < kEvents; max = max % 97 + 1) {
    for (const port_event_t& e : getn_for(port, max, 1, 0).events) {
      ASSERT_EQ(e.portev_events, next++);
    }
  }
  EXPECT_EQ(queued(port), 0u);
}

TEST(Port_Send, WhatIsLeftBehindStaysInFront) {
  const test_port port;
  for (int i = 0; i < 6; ++i) ::port_send(port, i, nullptr);
  std::vector<int> seen;
  for (int i = 6; queued(port) > 0; ++i) {
    for (const port_event_t& e : getn_for(port, 2, 1, 0).events) seen.push_back(e.portev_events);
    if (i < 9) ::port_send(port, i, nullptr);
  }
  EXPECT_THAT(seen, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8));
}

TEST(Port_Send, AFullPortRefusesUntilSomethingIsFetched) {
  const narrow_port port(3);
  for (int i = 0; i < 3; ++i) EXPECT_THAT(::port_send(port, i, nullptr), Works());
  EXPECT_THAT(::port_send(port, 3, nullptr), Fails(EAGAIN));
  port_event_t event{};
  ::port_get(port, &event, nullptr);
  EXPECT_THAT(::port_send(port, 4, nullptr), Works());
}

TEST(Port_Send, AssociationsCountAgainstTheLimit) {
  const narrow_port port(1);
  const pipe_ends one = make_pipe();
  const pipe_ends two = make_pipe();
  EXPECT_THAT(associate(port, one.reader, POLLIN), Works());
  EXPECT_THAT(associate(port, two.reader, POLLIN), Fails(EAGAIN));
  EXPECT_THAT(::port_send(port, 1, nullptr), Fails(EAGAIN));
  EXPECT_THAT(dissociate(port, one.reader), Works());
  EXPECT_THAT(::port_send(port, 1, nullptr), Works());
}

int g_target = -1;

TEST(Port_Send, WorksInASignalHandlerThatInterruptsTheSender) {
  const test_port port;
  g_target = port;
  struct sigaction act {};
  struct sigaction before {};
  act.sa_handler = [](int) {
    const int saved = errno;  // EAGAIN when too many wait for the interrupted call to end
    ::port_send(g_target, 1, nullptr);
    errno = saved;
  };
  ::sigaction(SIGUSR2, &act, &before);
  std::atomic<bool> stop{false};
  const pthread_t self = ::pthread_self();
  constexpr int kSignals = 2000;
  std::thread interrupter([&] {
    for (int i = 0; i < kSignals; ++i) ::pthread_kill(self, SIGUSR2);
    stop = true;
  });
  int sent = 0;
  int got_own = 0;
  while (!stop) {
    if (::port_send(port, 2, nullptr) == 0) ++sent;
    for (const port_event_t& e : taken(port)) got_own += e.portev_events == 2;
  }
  interrupter.join();
  for (const port_event_t& e : taken(port)) got_own += e.portev_events == 2;
  ::sigaction(SIGUSR2, &before, nullptr);
  EXPECT_EQ(got_own, sent);
}

TEST(Port_Sendn, ReachesEveryPortAndLeavesErrorsAlone) {
  const test_port a;
  const test_port b;
  int ports[] = {a, b, a};
  int errors[] = {-7, -7, -7};
  EXPECT_EQ(::port_sendn(ports, errors, 3, 4, cookie(9)), 3);
  EXPECT_THAT(errors, ElementsAre(-7, -7, -7));
  EXPECT_EQ(queued(a), 2u);
  EXPECT_EQ(queued(b), 1u);
  EXPECT_EQ(::port_sendn(ports, nullptr, 3, 4, nullptr), 3);
}

TEST(Port_Sendn, TellsWhichFailed) {
  const test_port good;
  const pipe_ends pipe = make_pipe();
  int ports[] = {good, kNeverOpenPort, pipe.reader};
  int errors[] = {-7, -7, -7};
  EXPECT_EQ(::port_sendn(ports, errors, 3, 1, nullptr), 1);
  EXPECT_THAT(errors, ElementsAre(0, EBADF, EBADFD));
}

TEST(Port_Sendn, AllFailingIsZeroSent) {
  int ports[] = {kNeverOpenPort, -1};
  int errors[] = {-7, -7};
  EXPECT_EQ(::port_sendn(ports, errors, 2, 1, nullptr), 0);
  EXPECT_THAT(errors, ElementsAre(EBADF, EBADF));
}

// Portable programs take PORT_MAX_LIST from <sys/port_impl.h> to bound their lists.
TEST(Port_Sendn, PortMaxListIsTheTunablesDefault) {
  EXPECT_EQ(quay_tunable_get("port_max_list"), PORT_MAX_LIST);
}

TEST(Port_Sendn, EdgesOfTheList) {
  const test_port port;
  int one[] = {port};
  EXPECT_THAT(::port_sendn(one, nullptr, 0, 1, nullptr), Fails(EINVAL));
  EXPECT_THAT(::port_sendn(nullptr, nullptr, 1, 1, nullptr), Fails(EFAULT));
  int bad[] = {port, -1, port};
  EXPECT_THAT(::port_sendn(bad, nullptr, 3, 1, nullptr), Fails(EFAULT));
  EXPECT_EQ(queued(port), 2u);
  std::vector<int> many(20000, port);
  EXPECT_EQ(::port_sendn(many.data(), nullptr, 20000, 1, nullptr), 20000);
  EXPECT_EQ(queued(port), 20002u);
}

TEST(Port_Dispatch, CarriesTheSourceAndTheObject) {
  const test_port port;
  EXPECT_THAT(::port_dispatch(port, 0, PORT_SOURCE_AIO, 11, 0x1234, cookie(5)), Works());
  EXPECT_THAT(::port_dispatch(port, PORT_SHARE_EVENT, PORT_SOURCE_MQ, 0, 3, cookie(6)), Works());
  EXPECT_THAT(taken(port),
              ElementsAre(Is(PORT_SOURCE_AIO, 11, 0x1234, 5u), Is(PORT_SOURCE_MQ, 0, 3, 6u)));
  EXPECT_THAT(::port_dispatch(port, 0, PORT_SOURCE_USER, 0, 0, nullptr), Fails(EINVAL));
}

TEST(Port_Dispatch, WaitsForRoom) {
  const narrow_port port(1);
  ::port_send(port, 1, nullptr);
  thread_in_call<int> blocked(
      [&] { return ::port_dispatch(port, 0, PORT_SOURCE_AIO, 2, 0, nullptr); });
  EXPECT_TRUE(blocked.falls_asleep());
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_USER, 1, 0u)));
  EXPECT_EQ(blocked.result(), 0);
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_AIO, 2, 0u)));
}

TEST(Port_Dispatch, ASignalEndsTheWaitForRoom) {
  const narrow_port port(1);
  ::port_send(port, 1, nullptr);
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  thread_in_call<int> blocked([&] {
    const int result = ::port_dispatch(port, 0, PORT_SOURCE_AIO, 2, 0, nullptr);
    return result == 0 ? 0 : errno;
  });
  // It looks up now and then: a signal between two sleeps is no interruption.
  while (!blocked.returned()) {
    ::pthread_kill(blocked.handle(), SIGUSR1);
    std::this_thread::yield();
  }
  EXPECT_EQ(blocked.result(), EINTR);  // which joins: the last signal may still be on its way
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_EQ(queued(port), 1u);
}

}  // namespace
}  // namespace quay::test
