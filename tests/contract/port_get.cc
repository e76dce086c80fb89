// SPDX-License-Identifier: BSD-2-Clause
//
// What: port_get and port_getn: arguments, counts, timeouts, interruption, order of waiters.
// Contract: event port semantics 2.7, 2.8, 2.9, 3.7, 5.4.
#include <signal.h>

#include "support/guarded_memory.hpp"
#include "support/port.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

int64_t now_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * int64_t{1000000000} + t.tv_nsec;
}

int get(int port, port_event_t* event, time_t sec, long nsec) {
  timespec t{sec, nsec};
  return ::port_get(port, event, &t);
}

void send(int port, int n) {
  for (int i = 0; i < n; ++i) ASSERT_THAT(::port_send(port, i + 1, nullptr), Works());
}

TEST(Port_Get, WithoutTimeoutWaitsForAnEvent) {
  const test_port port;
  thread_in_call<int> waiter([&] {
    port_event_t event{};
    return ::port_get(port, &event, nullptr) == 0 ? event.portev_events : -1;
  });
  ASSERT_TRUE(waiter.falls_asleep());
  ::port_send(port, 42, nullptr);
  EXPECT_EQ(waiter.result(), 42);
}

TEST(Port_Get, ZeroTimeoutLooksOnly) {
  const test_port port;
  port_event_t event{1, 2, 3, 4, cookie(5)};
  EXPECT_THAT(get(port, &event, 0, 0), Fails(ETIME));
  EXPECT_THAT(event, Is(2, 1, 4, 5u));
  send(port, 1);
  EXPECT_THAT(get(port, &event, 0, 0), Works());
  EXPECT_THAT(event, Is(PORT_SOURCE_USER, 1, 0u));
}

TEST(Port_Get, ExpiresNeverEarly) {
  const test_port port;
  port_event_t event{};
  for (const long ns : {1L, 300000L, 1000000L, 7654321L}) {
    const int64_t start = now_ns();
    EXPECT_THAT(get(port, &event, 0, ns), Fails(ETIME));
    EXPECT_GE(now_ns() - start, ns);
  }
}

TEST(Port_Get, BadTimeoutsMatterOnlyWhenItWouldWait) {
  const test_port port;
  port_event_t event{};
  EXPECT_THAT(get(port, &event, -1, 0), Fails(EINVAL));
  EXPECT_THAT(get(port, &event, 0, -1), Fails(EINVAL));
  EXPECT_THAT(get(port, &event, 0, 1000000000), Fails(EINVAL));
  send(port, 1);
  EXPECT_THAT(get(port, &event, -1, 0), Works());
}

TEST(Port_Get, WithoutMemoryNothingIsLost) {
  const test_port port;
  send(port, 1);
  EXPECT_THAT(::port_get(port, nullptr, nullptr), Fails(EFAULT));
  EXPECT_THAT(::port_get(port, reinterpret_cast<port_event_t*>(16), nullptr), Fails(EFAULT));
  EXPECT_EQ(queued(port), 1u);
}

std::atomic<int> g_handled{0};

TEST(Port_Get, ASignalInterruptsEvenWithRestart) {
  const test_port port;
  struct sigaction act {};
  struct sigaction before {};
  act.sa_handler = [](int) { ++g_handled; };
  act.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR1, &act, &before);
  thread_in_call<fetched> leader([&] { return getn(port, 4, 1, nullptr); });
  ASSERT_TRUE(leader.falls_asleep());
  thread_in_call<fetched> follower([&] { return getn(port, 4, 2, nullptr); });
  ASSERT_TRUE(follower.falls_asleep());
  ::pthread_kill(follower.handle(), SIGUSR1);
  EXPECT_EQ(follower.result().error, EINTR);
  ::pthread_kill(leader.handle(), SIGUSR1);
  EXPECT_EQ(leader.result().error, EINTR);
  EXPECT_EQ(leader.result().count, 0u);
  EXPECT_EQ(g_handled, 2);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(Port_Getn, ChecksItsArgumentsInOrder) {
  const test_port port;
  send(port, 2);
  port_event_t list[2];
  uint_t n = 3;
  EXPECT_THAT(::port_getn(kNeverOpenPort, list, 2, nullptr, nullptr), Fails(EINVAL));
  EXPECT_THAT(::port_getn(port, list, 2, &n, nullptr), Fails(EINVAL));
  EXPECT_EQ(n, 0u);
  n = 1;
  EXPECT_THAT(::port_getn(port, nullptr, 2, &n, nullptr), Fails(EFAULT));
  EXPECT_EQ(queued(port), 2u);
}

TEST(Port_Getn, MaxZeroCountsWhatIsQueued) {
  const test_port port;
  send(port, 5);
  ::port_alert(port, PORT_ALERT_SET, 1, nullptr);
  EXPECT_EQ(queued(port), 5u);
  ::port_alert(port, 0, 0, nullptr);
  EXPECT_THAT(taken(port), SizeIs(5));
}

TEST(Port_Getn, WantingNothingReturnsAtOnce) {
  const test_port port;
  EXPECT_THAT(getn(port, 4, 0, nullptr).events, IsEmpty());
  ::port_alert(port, PORT_ALERT_SET, 1, nullptr);
  const fetched f = getn(port, 4, 0, nullptr);
  EXPECT_EQ(f.result, 0);
  EXPECT_EQ(f.count, 0u);
}

TEST(Port_Getn, TakesUpToMaxOnceEnoughAreThere) {
  const test_port port;
  send(port, 5);
  EXPECT_THAT(getn(port, 8, 1, nullptr).events, SizeIs(5));
}

TEST(Port_Getn, SleepsUntilEnoughAreThere) {
  const test_port port;
  thread_in_call<fetched> waiter([&] { return getn(port, 8, 3, nullptr); });
  ASSERT_TRUE(waiter.falls_asleep());
  send(port, 2);
  EXPECT_FALSE(waiter.returned());
  send(port, 1);
  EXPECT_EQ(waiter.result().count, 3u);
}

TEST(Port_Getn, ZeroTimeoutTakesWhatThereIs) {
  const test_port port;
  send(port, 2);
  EXPECT_THAT(getn_for(port, 8, 5, 0).events, SizeIs(2));
  const fetched f = getn_for(port, 8, 5, 0);
  EXPECT_EQ(f.result, 0);
  EXPECT_EQ(f.count, 0u);
}

TEST(Port_Getn, ExpiryBringsWhatThereIs) {
  const test_port port;
  send(port, 2);
  const fetched some = getn_for(port, 8, 5, 0, 5000000);
  EXPECT_EQ(some.error, ETIME);
  EXPECT_THAT(some.events, ElementsAre(Is(PORT_SOURCE_USER, 1, 0u), Is(PORT_SOURCE_USER, 2, 0u)));
  const fetched none = getn_for(port, 8, 5, 0, 1000000);
  EXPECT_EQ(none.error, ETIME);
  EXPECT_EQ(none.count, 0u);
}

TEST(Port_Getn, AMetRequestIsNeverLate) {
  const test_port port;
  for (int round = 0; round < 200; ++round) {
    std::thread sender([&] { ::port_send(port, round, nullptr); });
    const fetched f = getn_for(port, 4, 1, 0, 20000 + round * 500);
    EXPECT_FALSE(f.error == ETIME && f.result < 0 && f.count >= 1);
    sender.join();
    taken(port);
  }
}

TEST(Port_Getn, FillsMemoryUpToItsEndOnly) {
  const test_port port;
  send(port, 3);
  uint_t n = 1;
  port_event_t one{};
  EXPECT_THAT(::port_getn(port, &one, 1, &n, nullptr), Works());
  EXPECT_EQ(queued(port), 2u);
}

TEST(Port_Waiters, TheSmallerRequestIsServedInEitherOrder) {
  for (const bool small_first : {true, false}) {
    const test_port port;
    const auto wait_for = [&](uint_t want) {
      return std::make_unique<thread_in_call<fetched>>(
          [&port, want] { return getn(port, 8, want, nullptr); });
    };
    auto first = wait_for(small_first ? 1 : 5);
    ASSERT_TRUE(first->falls_asleep());
    auto second = wait_for(small_first ? 5 : 1);
    ASSERT_TRUE(second->falls_asleep());
    auto& small = small_first ? first : second;
    auto& large = small_first ? second : first;
    send(port, 1);
    EXPECT_EQ(small->result().count, 1u);
    EXPECT_FALSE(large->returned());
    send(port, 5);
    EXPECT_EQ(large->result().count, 5u);
  }
}

TEST(Port_Waiters, AnEventPassesFromTheInterruptedToTheNext) {
  struct sigaction act {};
  struct sigaction before {};
  act.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &act, &before);
  for (int round = 0; round < 50; ++round) {
    const test_port port;
    thread_in_call<fetched> one([&] { return getn_for(port, 1, 1, kPatienceSeconds); });
    ASSERT_TRUE(one.falls_asleep());
    thread_in_call<fetched> two([&] { return getn_for(port, 1, 1, kPatienceSeconds); });
    ASSERT_TRUE(two.falls_asleep());
    std::thread interrupter([&] { ::pthread_kill(one.handle(), SIGUSR1); });
    ::port_send(port, 1, nullptr);
    interrupter.join();
    const bool first_took_it = one.result().count == 1;
    if (first_took_it) ::port_send(port, 2, nullptr);
    EXPECT_EQ(two.result().count, 1u);
  }
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(Port_Waiters, ClosingWakesThemAll) {
  test_port port;
  const int number = port;
  thread_in_call<fetched> one([number] { return getn(number, 1, 1, nullptr); });
  ASSERT_TRUE(one.falls_asleep());
  thread_in_call<fetched> two([number] { return getn(number, 4, 2, nullptr); });
  ASSERT_TRUE(two.falls_asleep());
  EXPECT_THAT(port.close(), Works());
  EXPECT_EQ(one.result().error, EBADF);
  EXPECT_EQ(two.result().error, EBADF);
}

constexpr int kRounds = 2000;

TEST(Port_Waiters, ClosingWakesWhoIsTheFirstToUseThePort) {
  for (int round = 0; round < kRounds; ++round) {
    test_port port;
    const int number = port;
    thread_in_call<fetched> waiter([number] { return getn_for(number, 1, 1, kPatienceSeconds); });
    waiter.is_under_way(round / 2);
    ASSERT_THAT(port.close(), Works());
    ASSERT_FALSE(waiter.falls_asleep());  // but returns
    ASSERT_EQ(waiter.result().result, -1);
  }
}

// It fetches from the one or from the other, and does not sleep in the other for the one.
TEST(Port_Waiters, ACloseLeavesNobodyInTheNextPortOfTheNumber) {
  for (int round = 0; round < kRounds; ++round) {
    test_port port(O_CLOEXEC | QUAY_PRIVATE);
    const int number = port;
    const thread_in_call<fetched> waiter(
        [number] { return getn_for(number, 1, 1, kPatienceSeconds); });
    waiter.is_under_way(round / 2);
    ASSERT_THAT(port.close(), Works());
    const test_port next(O_CLOEXEC | QUAY_PRIVATE);
    ASSERT_THAT(::port_send(next, 1, nullptr), Works());
    ASSERT_FALSE(waiter.falls_asleep());  // but returns
  }
}

// With a descriptor that the kernel may report, every call looks there first, and finds what was rung for another.
TEST(Port_Waiters, WhoLooksMeanwhileTakesNobodysWakeUp) {
  const test_port port;
  const pipe_ends pipe = make_pipe();
  ASSERT_THAT(associate(port, pipe.reader, POLLIN), Works());
  constexpr int kLast = 2;
  thread_in_call<int> waiter([&port] {
    for (;;) {
      const fetched one = getn_for(port, 1, 1, kPatienceSeconds);
      if (one.count == 0) return one.error;
      if (one.events.front().portev_events == kLast) return 0;
    }
  });
  ASSERT_TRUE(waiter.falls_asleep());
  for (int i = 0; i < 20000; ++i) {
    send(port, 1);
    getn_for(port, 8, 1, 0);
  }
  ::port_send(port, kLast, nullptr);
  EXPECT_FALSE(waiter.falls_asleep());  // but returns
  EXPECT_EQ(waiter.result(), 0);
}

TEST(Port_Waiters, EveryEventIsSeenOnce) {
  const test_port port(O_CLOEXEC | QUAY_PRIVATE);
  constexpr int kEvents = 40000;
  constexpr int kThreads = 4;
  std::vector<std::atomic<int>> seen(kEvents);
  std::vector<std::thread> takers;
  for (int t = 0; t < kThreads; ++t) {
    takers.emplace_back([&] {
      for (bool done = false; !done;) {
        for (const port_event_t& e : getn_for(port, 7, 1, kPatienceSeconds).events) {
          if (e.portev_events < 0) {
            done = true;
          } else {
            ++seen[static_cast<size_t>(e.portev_events)];
          }
        }
      }
    });
  }
  for (int i = 0; i < kEvents; ++i) {
    while (::port_send(port, i, nullptr) != 0) std::this_thread::yield();
  }
  ::port_alert(port, PORT_ALERT_SET, -1, nullptr);  // stops them all
  for (std::thread& t : takers) t.join();
  ::port_alert(port, 0, 0, nullptr);
  for (const port_event_t& e : taken(port)) {
    if (e.portev_events >= 0) ++seen[static_cast<size_t>(e.portev_events)];
  }
  for (uint_t left; (left = queued(port)) > 0;) {
    for (const port_event_t& e : taken(port)) {
      if (e.portev_events >= 0) ++seen[static_cast<size_t>(e.portev_events)];
    }
  }
  for (const auto& n : seen) ASSERT_EQ(n, 1);
}

TEST(Port_Getn, AnErrorStoresNothingAndSaysSo) {
  port_event_t list[4];
  std::memset(static_cast<void*>(list), 0x5a, sizeof list);
  port_event_t untouched[4];
  std::memcpy(static_cast<void*>(untouched), list, sizeof list);
  test_port port;
  timespec bad{-1, 0};
  uint_t n = 2;
  EXPECT_THAT(::port_getn(port, list, 4, &n, &bad), Fails(EINVAL));
  EXPECT_EQ(n, 0u);
  n = 2;
  timespec beyond{0, 1000000000};
  EXPECT_THAT(::port_getn(port, list, 4, &n, &beyond), Fails(EINVAL));
  EXPECT_EQ(n, 0u);
  EXPECT_EQ(std::memcmp(list, untouched, sizeof list), 0);
}

TEST(Port_Getn, AnAlertIsOneEntryHoweverManyWereAskedFor) {
  const test_port port;
  send(port, 6);
  ASSERT_THAT(::port_alert(port, PORT_ALERT_SET, 8, cookie(9)), Works());
  const fetched f = getn(port, 6, 6, nullptr);
  EXPECT_EQ(f.count, 1u);
  EXPECT_THAT(f.events, ElementsAre(Is(PORT_SOURCE_ALERT, 8, 0, 9u)));
  EXPECT_EQ(queued(port), 6u);
}

TEST(Port_Getn, AMinimumOfSeveralTakesAllThatAreThere) {
  const test_port port;
  send(port, 4);
  EXPECT_THAT(getn(port, 8, 3, nullptr).events, SizeIs(4));
  send(port, 4);
  EXPECT_THAT(getn(port, 3, 3, nullptr).events, SizeIs(3));
  EXPECT_EQ(queued(port), 1u);
}

}  // namespace
}  // namespace quay::test
