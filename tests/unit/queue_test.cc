// SPDX-License-Identifier: BSD-2-Clause
//
// What: the queue on a simulated host: what costs a system call and what does not, and when timers
//       go off to the nanosecond.
// Contract: docs/design.md, "Two ideas", "Waiting".
#include <gtest/gtest.h>
#include <quay/quay.h>
#include <sys/event.h>

#include <array>

#include "fake_host.hpp"
#include "kqueue/kevent.hpp"
#include "kqueue/system.hpp"

namespace quay::test {
namespace {

using event = kqueue::wide_event;
using kqueue::work;

class Queue : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.files[5] = {};
    queue_ = system_.open(*kqueue::find_dialect(QUAY_DIALECT_FREEBSD), true, true);
    ASSERT_GE(queue_, 0);
  }
  void TearDown() override { system_.end_queue(queue_); }

  static event change(std::uintptr_t ident, int filter, unsigned flags, std::uint32_t fflags = 0,
                      std::int64_t data = 0) {
    return {ident,
            static_cast<std::int16_t>(filter),
            static_cast<std::uint16_t>(flags),
            fflags,
            data,
            nullptr,
            {0, 0, 0, 0}};
  }
  void apply(const event& e) {
    const kqueue::outcome r = kqueue::kevent<event, work::changes>(
        system_, system_.queue_at(queue_), queue_, {&e, 1, nullptr, 0}, nullptr);
    ASSERT_EQ(r.value, 0);
    ASSERT_EQ(r.error, 0);
  }
  // The events within `ns` nanoseconds; 0 only looks.
  std::vector<event> events(std::int64_t ns = 0) {
    std::array<event, 16> out{};
    const timespec t{static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
    const kqueue::outcome r = kqueue::kevent<event, work::events>(
        system_, system_.queue_at(queue_), queue_, {nullptr, 0, out.data(), 16}, &t);
    EXPECT_GE(r.value, 0);
    return {out.begin(), out.begin() + std::max(r.value, 0)};
  }

  fake_host host_;
  core::descriptor_table descriptors_;
  kqueue::system system_{host_, descriptors_, true};
  int queue_ = -1;
};

TEST_F(Queue, DispatchAndEnableCostNoSystemCallWhileTheKernelIsSilent) {
  apply(change(5, EVFILT_READ, EV_ADD | EV_DISPATCH));
  host_.set_events(5, EPOLLIN, 3);
  ASSERT_EQ(events().size(), 1u);
  host_.set_events(5, 0);  // the program reads
  const int before = host_.epoll_ctls;
  for (int i = 0; i < 10; ++i) {
    apply(change(5, EVFILT_READ, EV_ENABLE | EV_DISPATCH));
    host_.set_events(5, EPOLLIN, 1);
    ASSERT_EQ(events().size(), 1u);
    host_.set_events(5, 0);
  }
  EXPECT_EQ(host_.epoll_ctls, before);
}

TEST_F(Queue, AReportNobodyWantsNarrowsTheRegistrationOnce) {
  apply(change(5, EVFILT_READ, EV_ADD));
  apply(change(5, EVFILT_READ, EV_DISABLE));
  host_.set_events(5, EPOLLIN, 3);
  const int before = host_.epoll_ctls;
  EXPECT_TRUE(events().empty());
  EXPECT_EQ(host_.epoll_ctls, before + 1);
  EXPECT_TRUE(events().empty());
  EXPECT_EQ(host_.epoll_ctls, before + 1);
  apply(change(5, EVFILT_READ, EV_ENABLE));
  EXPECT_EQ(events().size(), 1u);
}

TEST_F(Queue, AUserEventOnAPrivateQueueNeverAsksTheKernel) {
  apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR));
  const int waits = host_.waits;
  for (int i = 0; i < 10; ++i) {
    apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER));
    ASSERT_EQ(events().size(), 1u);
  }
  EXPECT_TRUE(events().empty());
  EXPECT_EQ(host_.waits, waits);
}

TEST_F(Queue, TimersAreExactAndNeverEarly) {
  apply(change(1, EVFILT_TIMER, EV_ADD, NOTE_NSECONDS, 1000));
  host_.now += 999;
  EXPECT_TRUE(events().empty());
  host_.now += 1;
  const auto got = events();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].data, 1);
  host_.now += 5500;  // expiries at 2000 … 6000
  ASSERT_EQ(events().at(0).data, 5);
}

TEST_F(Queue, AWaiterSleepsUntilTheEarliestTimer) {
  apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS, 700));
  apply(change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS, 300));
  const std::int64_t start = host_.now;
  const auto got = events(1000000000);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].ident, 2u);
  EXPECT_EQ(host_.now, start + 300000);
}

TEST_F(Queue, AnAbsoluteTimerFollowsAStepOfTheWallClock) {
  const std::int64_t due = host_.wall() / 1000000000 + 3600;
  apply(change(1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS | NOTE_ABSTIME, due));
  EXPECT_TRUE(events().empty());
  host_.wall_offset += std::int64_t{3601} * 1000000000;
  EXPECT_EQ(events().size(), 1u);
}

TEST_F(Queue, AnEventThatArrivesWhileAsleepIsDelivered) {
  apply(change(5, EVFILT_READ, EV_ADD));
  host_.on_block = [this] { host_.set_events(5, EPOLLIN, 7); };
  const auto got = events(1000000000);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].data, 7);
}

TEST_F(Queue, AClosedNumberLosesItsNotesWithoutAnEvent) {
  apply(change(5, EVFILT_READ, EV_ADD));
  host_.set_events(5, EPOLLIN, 1);
  system_.closing(5);
  host_.files[5].open = false;
  system_.closed(5);
  EXPECT_TRUE(events().empty());
  const event gone = change(5, EVFILT_READ, EV_DELETE);
  const kqueue::outcome r = kqueue::kevent<event, work::changes>(
      system_, system_.queue_at(queue_), queue_, {&gone, 1, nullptr, 0}, nullptr);
  EXPECT_EQ(r.error, EBADF);
}

}  // namespace
}  // namespace quay::test
