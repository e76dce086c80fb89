// SPDX-License-Identifier: BSD-2-Clause
//
// What: several threads on one queue: who is woken, who gets the event, what a change by another
// thread does.
// Contract: kqueue semantics, 4.4 (guarantees and races), 1.5 (activate); rows 40, 41 and 49 of
// section 7.
#include <algorithm>
#include <atomic>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// `count` threads that all sleep in kevent() on one queue, with room for one event each.
class sleepers {
 public:
  sleepers(int kq, size_t count) {
    for (size_t i = 0; i < count; ++i) threads_.push_back(std::make_unique<waiter>(kq, 1));
  }
  bool all_asleep() const {
    return std::all_of(threads_.begin(), threads_.end(),
                       [](const auto& t) { return t->falls_asleep(); });
  }
  size_t returned() const {
    return static_cast<size_t>(std::count_if(threads_.begin(), threads_.end(),
                                             [](const auto& t) { return t->returned(); }));
  }
  // Waits, without judging by time, until `count` have returned and the rest sleep again.
  bool settle(size_t count) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (returned() < count && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    for (const auto& t : threads_) {
      if (!t->returned() && !t->falls_asleep()) return false;
    }
    return returned() == count;
  }
  const std::vector<std::unique_ptr<waiter>>& threads() const { return threads_; }

 private:
  std::vector<std::unique_ptr<waiter>> threads_;
};

class Kqueue_Threads : public dialect_test {
 protected:
  void release_with_one_event_each(const sleepers& some) {
    // Counted before the first event is sent: any of the waiters may take it.
    size_t waiting = 0;
    for (const auto& thread : some.threads()) waiting += thread->returned() ? 0 : 1;
    for (; waiting > 0; --waiting) {
      const uintptr_t ident = next_ident_++;
      ASSERT_THAT(alter(kq, {add(ident, EVFILT_USER, EV_ONESHOT), trigger(ident)}), Succeeds());
    }
    for (const auto& thread : some.threads()) thread->result();
  }

  uintptr_t next_ident_ = 1000;
};

TEST_P(Kqueue_Threads, AnAddByAnotherThreadTakesEffectOnAWaiter) {
  const pipe_ends p = make_pipe();
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  put(p.writer, "x");
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(p.reader, EVFILT_READ).data(1))));
}

TEST_P(Kqueue_Threads, AnAddOfAReadyObjectWakesAWaiter) {
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(p.reader, EVFILT_READ).data(1))));
}

TEST_P(Kqueue_Threads, AnAddOfAReadyFileWakesAWaiter) {
  const temporary_directory directory;
  const unique_fd file = directory.make_file("abc");
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {add(file, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(file, EVFILT_READ).data(3))));
}

TEST_P(Kqueue_Threads, AnEnableByAnotherThreadWakesAWaiter) {
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, EV_DISABLE)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {enable(p.reader, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(p.reader, EVFILT_READ).data(1))));
}

TEST_P(Kqueue_Threads, ADispatchedNoteEnabledByAnotherThreadWakesAWaiter) {
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, EV_DISPATCH)}), Succeeds());
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(poll(kq), SizeIs(1));
    waiter thread(kq);
    ASSERT_TRUE(thread.falls_asleep());
    ASSERT_THAT(alter(kq, {enable(p.reader, EVFILT_READ)}), Succeeds());
    EXPECT_THAT(thread.result(),
                Returns(ElementsAre(Event(p.reader, EVFILT_READ).flags(EV_DISPATCH).data(1))));
    ASSERT_THAT(alter(kq, {enable(p.reader, EVFILT_READ)}), Succeeds());
  }
}

TEST_P(Kqueue_Threads, ADisableByAnotherThreadIsObeyed) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {disable(p.reader, EVFILT_READ)}), Succeeds());
  put(p.writer, "x");
  EXPECT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR))));
}

TEST_P(Kqueue_Threads, ADeleteByAnotherThreadIsObeyed) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {remove(p.reader, EVFILT_READ)}), Succeeds());
  put(p.writer, "x");
  EXPECT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR))));
}

TEST_P(Kqueue_Threads, OneEdgeReachesExactlyOneOfManyWaiters) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, EV_CLEAR)}), Succeeds());
  const sleepers some(kq, 4);
  ASSERT_TRUE(some.all_asleep());
  put(p.writer, "x");
  EXPECT_TRUE(some.settle(1)) << some.returned() << " returned";
  release_with_one_event_each(some);
}

TEST_P(Kqueue_Threads, OneWritableEdgeReachesExactlyOneOfManyWaiters) {
  const pipe_ends p = make_pipe();
  fill(p.writer);
  ASSERT_THAT(alter(kq, {add(p.writer, EVFILT_WRITE, EV_CLEAR)}), Succeeds());
  const sleepers some(kq, 4);
  ASSERT_TRUE(some.all_asleep());
  std::vector<char> scratch(1 << 20);
  ASSERT_GT(::read(p.reader, scratch.data(), scratch.size()), 0);
  EXPECT_TRUE(some.settle(1)) << some.returned() << " returned";
  release_with_one_event_each(some);
}

TEST_P(Kqueue_Threads, OneTriggerReachesExactlyOneOfManyWaiters) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  const sleepers some(kq, 4);
  ASSERT_TRUE(some.all_asleep());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_TRUE(some.settle(1)) << some.returned() << " returned";
  release_with_one_event_each(some);
}

TEST_P(Kqueue_Threads, OneOneShotReachesExactlyOneOfManyWaiters) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, EV_ONESHOT)}), Succeeds());
  const sleepers some(kq, 4);
  ASSERT_TRUE(some.all_asleep());
  put(p.writer, "x");
  EXPECT_TRUE(some.settle(1)) << some.returned() << " returned";
  release_with_one_event_each(some);
}

TEST_P(Kqueue_Threads, OneDispatchReachesExactlyOneOfManyWaiters) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, EV_DISPATCH)}), Succeeds());
  const sleepers some(kq, 4);
  ASSERT_TRUE(some.all_asleep());
  put(p.writer, "x");
  EXPECT_TRUE(some.settle(1)) << some.returned() << " returned";
  release_with_one_event_each(some);
}

TEST_P(Kqueue_Threads, OneExpirationReachesExactlyOneOfManyWaiters) {
  const sleepers some(kq, 4);
  ASSERT_TRUE(some.all_asleep());
  ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).data(1)}), Succeeds());
  EXPECT_TRUE(some.settle(1)) << some.returned() << " returned";
  release_with_one_event_each(some);
}

TEST_P(Kqueue_Threads, AsManyEventsAsWaitersWakeThemAll) {
  const sleepers some(kq, 4);
  ASSERT_TRUE(some.all_asleep());
  release_with_one_event_each(some);
  std::vector<uintptr_t> idents;
  for (const auto& thread : some.threads()) {
    ASSERT_THAT(thread->result(), Returns(SizeIs(1)));
    idents.push_back(thread->result().events[0].ident);
  }
  std::sort(idents.begin(), idents.end());
  EXPECT_EQ(std::unique(idents.begin(), idents.end()), idents.end()) << "no event went to two";
}

TEST_P(Kqueue_Threads, AChangelistThatMakesManyThingsReadyWakesAsManyWaiters) {
  const sleepers some(kq, 3);
  ASSERT_TRUE(some.all_asleep());
  changes list;
  for (uintptr_t i = 0; i < 3; ++i) {
    list.push_back(add(i, EVFILT_USER, EV_ONESHOT));
    list.push_back(trigger(i));
  }
  ASSERT_THAT(alter(kq, list), Succeeds());
  EXPECT_TRUE(some.settle(3)) << some.returned() << " returned";
  release_with_one_event_each(some);
}

// Row 49: closing wakes them all, in every dialect: a thread that sleeps for ever helps nobody.
TEST_P(Kqueue_Threads, ClosingTheQueueWakesAllItsWaiters) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(1, EVFILT_TIMER).data(1000000)}),
              Succeeds());
  const sleepers some(kq, 3);
  ASSERT_TRUE(some.all_asleep());
  kq.close();
  for (const auto& thread : some.threads()) EXPECT_THAT(thread->result(), FailsWith(EBADF));
}

// Two waiters that know of no timer: one hears of it, and leaves with another event.
TEST_P(Kqueue_Threads, ATimerOfAPrivateQueueIsNotForgottenWithTheWaiterThatKnewOfIt) {
  const queue own(quay_kqueue(dialect(), QUAY_PRIVATE));
  ASSERT_THAT(alter(own, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  waiter one(own, 1);
  ASSERT_TRUE(one.falls_asleep());
  waiter other(own, 1);
  ASSERT_TRUE(other.falls_asleep());
  ASSERT_THAT(alter(own, {add(2, EVFILT_TIMER, EV_ONESHOT).data(500)}), Succeeds());
  ASSERT_THAT(alter(own, {trigger(1)}), Succeeds());
  ASSERT_EQ(one.result().events.size(), 1U);
  ASSERT_EQ(other.result().events.size(), 1U);
  const short filters[] = {one.result().events[0].filter, other.result().events[0].filter};
  EXPECT_THAT(filters, testing::UnorderedElementsAre(EVFILT_USER, EVFILT_TIMER));
}

// It waits in the one or in the other, and does not sleep in the other for the one.
TEST_P(Kqueue_Threads, ACloseLeavesNobodyInTheNextQueueOfTheNumber) {
  for (int round = 0; round < 1000; ++round) {
    queue first(quay_kqueue(dialect(), QUAY_PRIVATE));
    const waiter thread(first, 1);
    thread.is_under_way(round);
    first.close();
    const queue next(quay_kqueue(dialect(), QUAY_PRIVATE));
    ASSERT_THAT(alter(next, {add(1, EVFILT_USER, EV_ONESHOT), trigger(1)}), Succeeds());
    ASSERT_FALSE(thread.falls_asleep());  // but returns
  }
}

TEST_P(Kqueue_Threads, AWaiterThatAClosedQueueWakesLeavesTheNumbersNextQueueAlone) {
  for (int i = 0; i < 50; ++i) {
    waiter thread(kq);
    ASSERT_TRUE(thread.falls_asleep());
    const int number = kq;
    kq.close();
    kq = make_queue(dialect());
    ASSERT_EQ(kq, number);
    EXPECT_THAT(thread.result(), FailsWith(EBADF));
    ASSERT_THAT(alter(kq, {add(1, EVFILT_USER)}), Succeeds()) << "after " << i;
  }
}

// Row 41: a level note must not look absent while another thread re-validates it.
TEST_P(Kqueue_Threads, PollersNeverMissALevelNote) {
  if (is(QUAY_DIALECT_NETBSD) || is(QUAY_DIALECT_OPENBSD))
    GTEST_SKIP() << "their kernels have the race";
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  std::atomic<int> missed = 0;
  const auto look = [&] {
    for (int i = 0; i < 5000; ++i) {
      if (poll(kq, 1).empty()) ++missed;
    }
  };
  std::thread other(look);
  look();
  other.join();
  EXPECT_EQ(missed, 0);
}

TEST_P(Kqueue_Threads, NothingIsLostBetweenManyProducersAndConsumers) {
  constexpr uintptr_t kProducers = 3;
  constexpr int kRounds = 300;
  changes list;
  for (uintptr_t i = 0; i < kProducers; ++i) list.push_back(add(i, EVFILT_USER, EV_CLEAR));
  list.push_back(add(kProducers, EVFILT_USER));
  ASSERT_THAT(alter(kq, list), Succeeds());
  std::array<std::atomic<int>, kProducers> received{};
  const auto consume = [&] {
    for (;;) {
      for (const struct kevent& e : await(kq, 2)) {
        if (e.ident == kProducers) return;
        ++received[e.ident];
      }
    }
  };
  const auto produce = [&](uintptr_t ident) {
    for (int i = 0; i < kRounds; ++i) {
      EXPECT_THAT(alter(kq, {trigger(ident)}), Succeeds());
      while (received[ident] <= i)
        std::this_thread::yield();  // each trigger must arrive before the next
    }
  };
  std::vector<std::thread> consumers;
  for (int i = 0; i < 2; ++i) consumers.emplace_back(consume);
  std::vector<std::thread> producers;
  for (uintptr_t i = 0; i < kProducers; ++i) producers.emplace_back(produce, i);
  for (std::thread& t : producers) t.join();
  ASSERT_THAT(alter(kq, {trigger(kProducers)}), Succeeds());
  for (std::thread& t : consumers) t.join();
  for (const auto& count : received) EXPECT_EQ(count, kRounds);
}

TEST_P(Kqueue_Threads, AddDeleteAndTriggerMayRaceWithWaiters) {
  std::atomic<bool> stop = false;
  std::vector<std::thread> waiters;
  for (int i = 0; i < 2; ++i) {
    waiters.emplace_back([&] {
      while (!stop) {
        const outcome got = submit_for(kq, {}, std::chrono::milliseconds(1));
        ASSERT_GE(got.result, 0);
        for (const struct kevent& e : got.events) ASSERT_EQ(e.ident, 1u);
      }
    });
  }
  for (int i = 0; i < 3000; ++i) {
    ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, i % 2 == 0 ? EV_CLEAR : 0), trigger(1)}),
                Succeeds());
    ASSERT_THAT(alter(kq, {remove(1, EVFILT_USER)}), Succeeds());
  }
  stop = true;
  for (std::thread& t : waiters) t.join();
  EXPECT_THAT(poll(kq), IsEmpty()) << "after EV_DELETE returned nothing is delivered";
}

TEST_P(Kqueue_Threads, DescriptorsMayBeAddedAndDeletedWhileTheyFire) {
  const socket_pair s = make_socketpair();
  put(s.there, "x");
  std::atomic<bool> stop = false;
  std::vector<std::thread> waiters;
  for (int i = 0; i < 2; ++i) {
    waiters.emplace_back([&] {
      while (!stop) {
        const outcome got = submit_for(kq, {}, std::chrono::milliseconds(1), 1);
        ASSERT_GE(got.result, 0);
        for (const struct kevent& e : got.events)
          ASSERT_EQ(e.ident, static_cast<uintptr_t>(s.here.get()));
      }
    });
  }
  for (int i = 0; i < 2000; ++i) {
    const unsigned flags = i % 3 == 0 ? EV_CLEAR : i % 3 == 1 ? EV_DISPATCH : 0;
    ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ, flags), add(s.here, EVFILT_WRITE, flags)}),
                Succeeds());
    ASSERT_THAT(alter(kq, {remove(s.here, EVFILT_READ), remove(s.here, EVFILT_WRITE)}), Succeeds());
  }
  stop = true;
  for (std::thread& t : waiters) t.join();
  EXPECT_THAT(poll(kq), IsEmpty()) << "after EV_DELETE returned nothing is delivered";
}

TEST_P(Kqueue_Threads, ADeleteWakesNoneOfManyWaiters) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  const sleepers some(kq, 3);
  ASSERT_TRUE(some.all_asleep());
  ASSERT_THAT(alter(kq, {remove(p.reader, EVFILT_READ)}), Succeeds());
  put(p.writer, "x");
  EXPECT_TRUE(some.settle(0)) << some.returned() << " returned";
  release_with_one_event_each(some);
}

TEST_P(Kqueue_Threads, RegistrationMayRaceWithThePeersClose) {
  for (int i = 0; i < 300; ++i) {
    pipe_ends p = make_pipe();
    std::thread closer([&] { p.reader.close(); });
    submit(kq, {add(p.writer, EVFILT_WRITE)});
    closer.join();
    const outcome removed = alter(kq, {remove(p.writer, EVFILT_WRITE)});
    EXPECT_TRUE(removed.result == 0 || removed.error == ENOENT) << removed.error;
  }
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Threads, TimersMayBeAddedAndDeletedWhileTheyExpire) {
  std::atomic<bool> stop = false;
  std::thread consumer([&] {
    while (!stop) submit_for(kq, {}, std::chrono::milliseconds(1));
  });
  for (int i = 0; i < 2000; ++i) {
    ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER).data(1)}), Succeeds());
    ASSERT_THAT(alter(kq, {remove(1, EVFILT_TIMER)}), Succeeds());
  }
  stop = true;
  consumer.join();
  EXPECT_THAT(poll(kq), IsEmpty());
}

QUAY_IN_ALL_DIALECTS(Kqueue_Threads);

}  // namespace
}  // namespace quay::test
