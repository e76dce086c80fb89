// SPDX-License-Identifier: BSD-2-Clause
//
// What: sources that the program is: events that it reserves, sends and is asked about.
// Contract: <quay/port_source.h>; semantics of event ports, 4.9, 3.6 and 2.11.
#include <quay/port_source.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "support/port.hpp"
#include "support/processes.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr int kSource = PORT_SOURCE_PROGRAM + 7;

port_kevent_t* reserve(int port, int flags = PORT_ALLOC_DEFAULT) {
  port_kevent_t* event = nullptr;
  EXPECT_THAT(::port_alloc_event(port, flags, kSource, &event), Works());
  return event;
}

// What a callback was asked, and what it answers.
struct say {
  int answer = 0;
  int events = 0;  // written, unless 0
  int asked = 0;
  int reason = -1;
  pid_t pid = 0;
  int again = 0;  // times it sends the event again
  std::atomic<bool>* blocked = nullptr;

  static int callback(void* arg, int* events, pid_t pid, int reason, port_kevent_t* event) {
    auto& self = *static_cast<say*>(arg);
    ++self.asked;
    self.reason = reason;
    self.pid = pid;
    if (self.events != 0) *events = self.events;
    if (self.again-- > 0) ::port_send_event(event);
    while (self.blocked != nullptr && self.blocked->load()) std::this_thread::yield();
    return self.answer;
  }
};

class limited {
 public:
  explicit limited(long slots) {
    const long before = quay_tunable_get("port_max_events");
    quay_tunable_set("port_max_events", slots);
    port_ = ::port_create1(O_CLOEXEC);
    quay_tunable_set("port_max_events", before);
  }
  ~limited() { close(); }
  limited(const limited&) = delete;
  limited& operator=(const limited&) = delete;
  // NOLINTNEXTLINE(google-explicit-constructor): a descriptor is an int everywhere.
  operator int() const { return port_; }
  void close() {
    if (port_ >= 0) ::quay_close(std::exchange(port_, -1));
  }

 private:
  int port_;
};

TEST(Port_Source, AReservedEventArrivesWithItsWords) {
  const test_port port;
  port_kevent_t* event = reserve(port);
  ASSERT_THAT(::port_init_event(event, 77, cookie(5), nullptr, nullptr), Works());
  ASSERT_THAT(::port_set_event(event, 3), Works());
  EXPECT_THAT(taken(port), IsEmpty());
  ASSERT_THAT(::port_send_event(event), Works());
  EXPECT_EQ(queued(port), 1u);
  EXPECT_THAT(taken(port), ElementsAre(Is(kSource, 3, 77, 5)));
  EXPECT_THAT(taken(port), IsEmpty());
}

TEST(Port_Source, SendingAQueuedEventChangesNothing) {
  const test_port port;
  port_kevent_t* event = reserve(port, PORT_ALLOC_SCACHED);
  ASSERT_THAT(::port_send_event(event), Works());
  ASSERT_THAT(::port_send_event(event), Works());
  EXPECT_THAT(taken(port), SizeIs(1));
  ::port_free_event(event);
}

TEST(Port_Source, EventsThatStayAreSentAgainAndAgain) {
  const test_port port;
  for (const int flags : {PORT_ALLOC_PRIVATE, PORT_ALLOC_CACHED, PORT_ALLOC_SCACHED}) {
    port_kevent_t* event = reserve(port, flags);
    for (int n = 1; n <= 3; ++n) {
      ASSERT_THAT(::port_set_event(event, n), Works());
      ASSERT_THAT(::port_send_event(event), Works());
      EXPECT_THAT(taken(port), ElementsAre(Is(kSource, n, 0)));
    }
    ::port_free_event(event);
  }
}

TEST(Port_Source, EveryKindCountsAgainstTheLimitUntilItIsGivenBack) {
  const limited port(2);
  port_kevent_t* stays = reserve(port, PORT_ALLOC_CACHED);
  port_kevent_t* goes = reserve(port);
  port_kevent_t* more = nullptr;
  EXPECT_THAT(::port_alloc_event(port, 0, kSource, &more), Fails(EAGAIN));
  EXPECT_THAT(::port_dup_event(stays, &more, 0), Fails(EAGAIN));
  ASSERT_THAT(::port_send_event(goes), Works());
  EXPECT_THAT(taken(port), SizeIs(1));
  more = reserve(port);  // the slot of what was delivered
  ::port_free_event(more);
  ::port_free_event(stays);
  ASSERT_THAT(::port_send(port, 1, nullptr), Works());
  ASSERT_THAT(::port_send(port, 2, nullptr), Works());
  EXPECT_THAT(::port_send(port, 3, nullptr), Fails(EAGAIN));
}

TEST(Port_Source, FullPortsAreWaitedForWhereAsked) {
  const limited port(1);
  ASSERT_THAT(::port_send(port, 1, nullptr), Works());
  port_kevent_t* event = nullptr;
  std::thread source([&] {
    EXPECT_THAT(::port_alloc_event_block(port, 0, kSource, &event), Works());
    EXPECT_THAT(::port_send_event(event), Works());
  });
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_USER, 1, 0)));
  EXPECT_THAT(arrivals(port), ElementsAre(Is(kSource, 0, 0)));
  source.join();
}

TEST(Port_Source, ClosingAFullPortWakesWhoWaitsForRoom) {
  limited port(1);
  ASSERT_THAT(::port_send(port, 1, nullptr), Works());
  thread_in_call<int> dispatcher([fd = static_cast<int>(port)] {
    return ::port_dispatch(fd, PORT_SHARE_EVENT, PORT_SOURCE_AIO, 1, 2, nullptr) == -1 ? errno : 0;
  });
  thread_in_call<int> source([fd = static_cast<int>(port)] {
    port_kevent_t* event = nullptr;
    return ::port_alloc_event_block(fd, 0, kSource, &event) == -1 ? errno : 0;
  });
  ASSERT_TRUE(dispatcher.falls_asleep());
  ASSERT_TRUE(source.falls_asleep());
  port.close();
  EXPECT_EQ(dispatcher.result(), EBADF);
  EXPECT_EQ(source.result(), EBADF);
}

TEST(Port_Source, ACopyHasThePortAndTheSource) {
  const test_port port;
  port_kevent_t* event = reserve(port, PORT_ALLOC_CACHED);
  port_kevent_t* copy = nullptr;
  ASSERT_THAT(::port_dup_event(event, &copy, PORT_ALLOC_DEFAULT), Works());
  ASSERT_THAT(::port_init_event(copy, 1, cookie(2), nullptr, nullptr), Works());
  ASSERT_THAT(::port_send_event(copy), Works());
  EXPECT_THAT(taken(port), ElementsAre(Is(kSource, 0, 1, 2)));
  ::port_free_event(event);
}

TEST(Port_Source, TheCallbackIsAskedOnceAndMayRewriteTheEvents) {
  const test_port port;
  port_kevent_t* event = reserve(port);
  say mine{.events = 42};
  ASSERT_THAT(::port_init_event(event, 0, cookie(1), say::callback, &mine), Works());
  ASSERT_THAT(::port_set_event(event, 3), Works());
  ASSERT_THAT(::port_send_event(event), Works());
  EXPECT_EQ(mine.asked, 0);
  EXPECT_THAT(taken(port), ElementsAre(Is(kSource, 42, 1)));
  EXPECT_EQ(mine.asked, 1);
  EXPECT_EQ(mine.reason, PORT_CALLBACK_DEFAULT);
  EXPECT_EQ(mine.pid, ::getpid());
}

TEST(Port_Source, ARefusedEventStaysInItsPlaceAndTheOthersPass) {
  const test_port port;
  port_kevent_t* event = reserve(port);
  say mine{.answer = 1};
  ASSERT_THAT(::port_init_event(event, 0, cookie(2), say::callback, &mine), Works());
  ASSERT_THAT(::port_send(port, 0, cookie(1)), Works());
  ASSERT_THAT(::port_send_event(event), Works());
  ASSERT_THAT(::port_send(port, 0, cookie(3)), Works());
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_USER, 0, 1), Is(PORT_SOURCE_USER, 0, 3)));
  EXPECT_EQ(queued(port), 1u);
  ASSERT_THAT(::port_send(port, 0, cookie(4)), Works());
  mine.answer = 0;
  EXPECT_THAT(taken(port), ElementsAre(Is(kSource, 0, 2), Is(PORT_SOURCE_USER, 0, 4)));
}

TEST(Port_Source, ARefusedEventDoesNotEndAWaitAndDoesNotDelayTheNext) {
  const test_port port;
  port_kevent_t* event = reserve(port);
  say mine{.answer = 1};
  ASSERT_THAT(::port_init_event(event, 0, nullptr, say::callback, &mine), Works());
  ASSERT_THAT(::port_send_event(event), Works());
  const fetched late = getn_for(port, 4, 1, 0, 30000000);
  EXPECT_EQ(late.error, ETIME);
  EXPECT_THAT(late.events, IsEmpty());
  EXPECT_LE(mine.asked, 4);  // it sleeps between its looks
  std::vector<port_event_t> got;
  std::thread getter([&] { got = arrivals(port); });
  ASSERT_THAT(::port_send(port, 9, nullptr), Works());
  getter.join();
  EXPECT_THAT(got, ElementsAre(Is(PORT_SOURCE_USER, 9, 0)));
}

TEST(Port_Source, WhatIsSentAgainFromTheCallbackIsForTheNextCall) {
  const test_port port;
  port_kevent_t* event = reserve(port, PORT_ALLOC_SCACHED);
  say mine{.again = 1};
  ASSERT_THAT(::port_init_event(event, 0, nullptr, say::callback, &mine), Works());
  ASSERT_THAT(::port_send_event(event), Works());
  EXPECT_THAT(taken(port), SizeIs(1));
  EXPECT_THAT(taken(port), SizeIs(1));
  EXPECT_THAT(taken(port), IsEmpty());
  ::port_free_event(event);
}

TEST(Port_Source, WhileACallbackRunsThePortIsFree) {
  const test_port port;
  port_kevent_t* event = reserve(port);
  std::atomic<bool> blocked{true};
  say mine{.blocked = &blocked};
  ASSERT_THAT(::port_init_event(event, 0, cookie(1), say::callback, &mine), Works());
  ASSERT_THAT(::port_send_event(event), Works());
  std::vector<port_event_t> got;
  std::thread getter([&] { got = arrivals(port); });
  while (queued(port) != 0) std::this_thread::yield();
  ASSERT_THAT(::port_send(port, 5, nullptr), Works());
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_USER, 5, 0)));
  blocked = false;
  getter.join();
  EXPECT_THAT(got, ElementsAre(Is(kSource, 0, 1)));
}

TEST(Port_Source, AnEventFreedWhileQueuedIsNeverDelivered) {
  const limited port(1);
  port_kevent_t* event = reserve(port, PORT_ALLOC_CACHED);
  ASSERT_THAT(::port_send_event(event), Works());
  ::port_free_event(event);
  EXPECT_EQ(queued(port), 0u);
  EXPECT_THAT(taken(port), IsEmpty());
  ASSERT_THAT(::port_send(port, 1, nullptr), Works());
}

TEST(Port_Source, ATakenBackEventIsNotDeliveredUntilItIsSentAgain) {
  const test_port port;
  port_kevent_t* event = reserve(port, PORT_ALLOC_PRIVATE);
  ASSERT_THAT(::port_send_event(event), Works());
  ASSERT_THAT(::port_remove_done_event(event), Works());
  EXPECT_THAT(taken(port), IsEmpty());
  ASSERT_THAT(::port_send_event(event), Works());
  EXPECT_THAT(taken(port), SizeIs(1));
  ::port_free_event(event);
}

TEST(Port_Source, ClosingThePortTellsSourcesFirstAndThenQueuedEvents) {
  struct seen {
    int port = -1;
    int last = -1;
    pid_t pid = 0;
    int told = 0;
    say* event = nullptr;
    int asked_before = -1;
  } record;
  say mine;
  record.event = &mine;
  test_port port;
  const int number = port;
  port_source_t* source = nullptr;
  const auto close_fn = [](void* arg, int fd, pid_t pid, int last) {
    auto& r = *static_cast<seen*>(arg);
    r.port = fd;
    r.pid = pid;
    r.last = last;
    ++r.told;
    r.asked_before = r.event->asked;
  };
  ASSERT_THAT(::port_associate_ksource(port, kSource, &source, close_fn, &record), Works());
  port_kevent_t* sent = reserve(port);
  ASSERT_THAT(::port_init_event(sent, 0, nullptr, say::callback, &mine), Works());
  ASSERT_THAT(::port_send_event(sent), Works());
  port_kevent_t* held = reserve(port, PORT_ALLOC_CACHED);
  port.close();
  EXPECT_EQ(record.told, 1);
  EXPECT_EQ(record.port, number);
  EXPECT_EQ(record.pid, ::getpid());
  EXPECT_EQ(record.last, 1);
  EXPECT_EQ(record.asked_before, 0);
  EXPECT_EQ(mine.asked, 1);
  EXPECT_EQ(mine.reason, PORT_CALLBACK_CLOSE);
  EXPECT_THAT(::port_send_event(held), Fails(EBADFD));
  ::port_free_event(held);
}

TEST(Port_Source, WhoHasLeftIsNotTold) {
  int told = 0;
  const auto close_fn = [](void* arg, int, pid_t, int) { ++*static_cast<int*>(arg); };
  test_port port;
  port_source_t* first = nullptr;
  port_source_t* second = nullptr;
  ASSERT_THAT(::port_associate_ksource(port, kSource, &first, close_fn, &told), Works());
  ASSERT_THAT(::port_associate_ksource(port, kSource, &second, close_fn, &told), Works());
  ASSERT_THAT(::port_dissociate_ksource(port, kSource, first), Works());
  ASSERT_THAT(::port_dissociate_ksource(port, kSource, second), Works());
  EXPECT_THAT(::port_dissociate_ksource(port, kSource, second), Fails(EINVAL));
  port.close();
  EXPECT_EQ(told, 0);
}

TEST(Port_Source, TheLastOfTwoProcessesIsToldSo) {
  struct seen {
    int told = 0;
    int last = -1;
  } record;
  const auto close_fn = [](void* arg, int, pid_t, int last) {
    auto& r = *static_cast<seen*>(arg);
    ++r.told;
    r.last = last;
  };
  test_port port;
  port_source_t* source = nullptr;
  ASSERT_THAT(::port_associate_ksource(port, kSource, &source, close_fn, &record), Works());
  int wire[2];
  ASSERT_EQ(::pipe2(wire, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(wire[1]);
    ::port_send(port, 1, nullptr);  // it uses the port
    char end = 0;
    ::_exit(::read(wire[0], &end, 1) == 0 ? 0 : 1);
  }
  ASSERT_THAT(arrivals(port), SizeIs(1));
  port.close();
  EXPECT_EQ(record.told, 1);
  EXPECT_EQ(record.last, 0);
  ::close(wire[1]);
  ::close(wire[0]);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Port_Source, OthersReceiveWhatIsSharedAndNothingElse) {
  const test_port port;
  port_kevent_t* shared = reserve(port);
  ASSERT_THAT(::port_init_event(shared, 1, nullptr, nullptr, nullptr), Works());
  port_kevent_t* own = reserve(port, PORT_KEV_NOSHARE);
  ASSERT_THAT(::port_init_event(own, 2, nullptr, nullptr, nullptr), Works());
  port_kevent_t* asking = reserve(port);
  say mine;
  ASSERT_THAT(::port_init_event(asking, 3, nullptr, say::callback, &mine), Works());
  for (port_kevent_t* e : {own, asking, shared}) ASSERT_THAT(::port_send_event(e), Works());
  EXPECT_TRUE(in_child([&] {
    const auto got = taken(port);
    return got.size() == 1 && got[0].portev_object == 1;
  }));
  EXPECT_THAT(taken(port), ElementsAre(Is(kSource, 0, 2, 0), Is(kSource, 0, 3, 0)));
  EXPECT_EQ(mine.asked, 1);
}

TEST(Port_Source, WhatAProcessReservedGoesWithItAndWhatItSharedStays) {
  const limited port(3);
  ASSERT_TRUE(in_child([&] {
    port_kevent_t* e[3] = {};
    for (auto& each : e) {
      if (::port_alloc_event(port, PORT_ALLOC_CACHED, kSource, &each) != 0) return false;
    }
    return ::port_send_event(e[0]) == 0;
  }));
  EXPECT_THAT(arrivals(port), ElementsAre(Is(kSource, 0, 0)));
  for (int n = 0; n < 3; ++n) {
    for (int tries = 0; ::port_send(port, n, nullptr) != 0; ++tries) {
      ASSERT_LT(tries, 100000) << "slot " << n << " is lost";
      std::this_thread::yield();
    }
  }
}

TEST(Port_Source, ArgumentsAreChecked) {
  const test_port port;
  port_kevent_t* event = nullptr;
  EXPECT_THAT(::port_alloc_event(kNeverOpenPort, 0, kSource, &event), Fails(EBADF));
  const pipe_ends no_port = make_pipe();
  EXPECT_THAT(::port_alloc_event(no_port.reader, 0, kSource, &event), Fails(EBADFD));
  EXPECT_THAT(::port_alloc_event(port, 3, kSource, &event), Fails(EINVAL));
  EXPECT_THAT(::port_alloc_event(port, 8, kSource, &event), Fails(EINVAL));
  EXPECT_THAT(::port_alloc_event(port, 0, PORT_SOURCE_USER, &event), Fails(EINVAL));
  EXPECT_THAT(::port_alloc_event(port, 0, 65536, &event), Fails(EINVAL));
  EXPECT_THAT(::port_alloc_event(port, 0, kSource, nullptr), Fails(EINVAL));
  EXPECT_THAT(::port_send_event(nullptr), Fails(EINVAL));
  EXPECT_THAT(::port_init_event(nullptr, 0, nullptr, nullptr, nullptr), Fails(EINVAL));
  port_source_t* source = nullptr;
  EXPECT_THAT(::port_associate_ksource(port, 7, &source, nullptr, nullptr), Fails(EINVAL));
  EXPECT_THAT(::port_dissociate_ksource(port, kSource, nullptr), Fails(EINVAL));
  EXPECT_EQ(queued(port), 0u);
}

}  // namespace
}  // namespace quay::test
