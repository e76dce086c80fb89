// SPDX-License-Identifier: BSD-2-Clause
//
// What: timers and message queues that tell a port (SIGEV_PORT).
// Contract: event port semantics 4.5 and 4.7.
#include <fcntl.h>
#include <mqueue.h>
#include <time.h>

#include "support/port.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

sigevent to_port(port_notify_t& notify) {
  sigevent out{};
  out.sigev_notify = SIGEV_PORT;
  out.sigev_value.sival_ptr = &notify;
  return out;
}

class test_timer {
 public:
  test_timer(int port, uintptr_t user, clockid_t clock = CLOCK_MONOTONIC) {
    port_notify_t notify{port, cookie(user)};
    sigevent event = to_port(notify);
    checked(::timer_create(clock, &event, &id_), "timer_create");
  }
  ~test_timer() { remove(); }
  int remove() { return std::exchange(gone_, true) ? 0 : ::timer_delete(id_); }
  int set(long first_ns, long every_ns = 0) const {
    const itimerspec value{{0, every_ns}, {0, first_ns}};
    return ::timer_settime(id_, 0, &value, nullptr);
  }
  uintptr_t object() const { return reinterpret_cast<uintptr_t>(id_); }
  timer_t id() const { return id_; }

 private:
  timer_t id_{};
  bool gone_ = false;
};

// Until that many nanoseconds after `start`.
void pass(const timespec& start, long ns) {
  timespec end{start.tv_sec, start.tv_nsec + ns};
  end.tv_sec += end.tv_nsec / 1000000000;
  end.tv_nsec %= 1000000000;
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, nullptr);
}

TEST(Port_Timer, TellsItsPort) {
  const test_port port;
  const test_timer timer(port, 5);
  ASSERT_THAT(timer.set(1), Works());
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_TIMER, 1, timer.object(), 5u)));
}

TEST(Port_Timer, CountsWhatExpiredSinceItWasLastTold) {
  const test_port port;
  const test_timer timer(port, 5);
  ASSERT_THAT(timer.set(1000000, 1000000), Works());
  timespec start{};
  ::clock_gettime(CLOCK_MONOTONIC, &start);
  pass(start, 3500000);
  const auto events = arrivals(port);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_GE(events[0].portev_events, 3);
  EXPECT_EQ(::timer_getoverrun(timer.id()), events[0].portev_events - 1);
}

TEST(Port_Timer, DeletingCancels) {
  const test_port port;
  test_timer timer(port, 5);
  timer.set(1);
  while (queued(port) == 0) {
  }
  EXPECT_THAT(timer.remove(), Works());
  EXPECT_THAT(taken(port), IsEmpty());
  EXPECT_THAT(::timer_delete(timer.id()), Fails(EINVAL));
}

TEST(Port_Timer, SettingAgainKeepsWhatIsQueued) {
  const test_port port;
  const test_timer timer(port, 5);
  timer.set(1);
  while (queued(port) == 0) {
  }
  EXPECT_THAT(timer.set(0), Works());
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_TIMER, 1, 5u)));
}

TEST(Port_Timer, TellsTheTimeLeft) {
  const test_port port;
  const test_timer timer(port, 0);
  const itimerspec hour{{0, 0}, {3600, 0}};
  ASSERT_THAT(::timer_settime(timer.id(), 0, &hour, nullptr), Works());
  itimerspec left{};
  ASSERT_THAT(::timer_gettime(timer.id(), &left), Works());
  EXPECT_GT(left.it_value.tv_sec, 3000);
  itimerspec old{};
  ASSERT_THAT(::timer_settime(timer.id(), 0, &hour, &old), Works());
  EXPECT_GT(old.it_value.tv_sec, 3000);
}

TEST(Port_Timer, HoldsASlot) {
  const long before = quay_tunable_get("port_max_events");
  quay_tunable_set("port_max_events", 1);
  const test_port port;
  quay_tunable_set("port_max_events", before);
  const test_timer timer(port, 0);
  EXPECT_THAT(::port_send(port, 0, nullptr), Fails(EAGAIN));
}

TEST(Port_Timer, NeedsAPort) {
  timer_t id{};
  const pipe_ends pipe = make_pipe();
  port_notify_t notify{kNeverOpenPort, nullptr};
  sigevent event = to_port(notify);
  EXPECT_THAT(::timer_create(CLOCK_MONOTONIC, &event, &id), Fails(EBADF));
  notify.portnfy_port = pipe.reader;
  EXPECT_THAT(::timer_create(CLOCK_MONOTONIC, &event, &id), Fails(EBADFD));
  event.sigev_value.sival_ptr = nullptr;
  EXPECT_THAT(::timer_create(CLOCK_MONOTONIC, &event, &id), Fails(EFAULT));
}

TEST(Port_Timer, OtherTimersAreLibcs) {
  sigevent event{};
  event.sigev_notify = SIGEV_NONE;
  timer_t id{};
  ASSERT_THAT(::timer_create(CLOCK_MONOTONIC, &event, &id), Works());
  const itimerspec value{{0, 0}, {100, 0}};
  EXPECT_THAT(::timer_settime(id, 0, &value, nullptr), Works());
  itimerspec left{};
  EXPECT_THAT(::timer_gettime(id, &left), Works());
  EXPECT_GT(left.it_value.tv_sec, 90);
  EXPECT_EQ(::timer_getoverrun(id), 0);
  EXPECT_THAT(::timer_delete(id), Works());
}

class Port_Mq : public testing::Test {
 protected:
  void SetUp() override {
    name_ = "/quay-port-" + std::to_string(::getpid());
    mq_attr shape{};
    shape.mq_maxmsg = 4;
    shape.mq_msgsize = 8;
    queue_ = ::mq_open(name_.c_str(), O_CREAT | O_RDWR | O_NONBLOCK, 0600, &shape);
    if (queue_ < 0) GTEST_SKIP() << "no message queues here: " << std::strerror(errno);
  }
  void TearDown() override {
    if (queue_ < 0) return;
    ::mq_close(queue_);
    ::mq_unlink(name_.c_str());
  }
  int notify(uintptr_t user) {
    port_notify_t where{port_, cookie(user)};
    const sigevent event = to_port(where);
    return ::mq_notify(queue_, &event);
  }
  void send() { ASSERT_EQ(::mq_send(queue_, "x", 1, 0), 0); }
  void receive() {
    char text[8];
    ASSERT_EQ(::mq_receive(queue_, text, sizeof text, nullptr), 1);
  }

  test_port port_;
  std::string name_;
  mqd_t queue_ = -1;
};

TEST_F(Port_Mq, AnArrivalIsToldOnce) {
  ASSERT_THAT(notify(3), Works());
  EXPECT_THAT(notify(4), Fails(EBUSY));
  send();
  EXPECT_THAT(arrivals(port_), ElementsAre(Is(PORT_SOURCE_MQ, 0, queue_, 3u)));
  receive();
  send();
  EXPECT_THAT(taken(port_), IsEmpty());
  ASSERT_THAT(notify(5), Works());
  EXPECT_THAT(taken(port_), IsEmpty());
  receive();
  send();
  EXPECT_THAT(arrivals(port_), ElementsAre(Is(PORT_SOURCE_MQ, 0, queue_, 5u)));
}

TEST_F(Port_Mq, ARegistrationCanBeGivenUp) {
  ASSERT_THAT(notify(3), Works());
  ASSERT_THAT(::mq_notify(queue_, nullptr), Works());
  send();
  EXPECT_THAT(taken(port_), IsEmpty());
  EXPECT_THAT(notify(4), Works());
}

}  // namespace
}  // namespace quay::test
