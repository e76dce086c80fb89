// SPDX-License-Identifier: BSD-2-Clause
//
// What: the queue's own descriptor: how it is made, what poll, select and epoll see of it, dup, and
// what it costs.
// Contract: kqueue semantics, section 6; rows 7 and 13 of what real programs need.
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>

#include <filesystem>

#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

size_t entries_in(const char* directory) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}
size_t open_descriptors() { return entries_in("/proc/self/fd"); }
size_t running_threads() { return entries_in("/proc/self/task"); }

bool closes_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

TEST(Kqueue_Creation, EachCallMakesAnotherQueue) {
  const queue a = make_queue();
  const queue b = make_queue();
  EXPECT_NE(a.operator int(), b.operator int());
  ASSERT_THAT(alter(a, {add(1, EVFILT_USER)}), Succeeds());
  EXPECT_THAT(alter(b, {trigger(1)}), FailsWith(ENOENT));
}

TEST(Kqueue_Creation, CloseOnExecOnlyOnRequest) {
  EXPECT_FALSE(closes_on_exec(make_queue()));
  EXPECT_FALSE(closes_on_exec(queue(::kqueue1(0))));
  EXPECT_TRUE(closes_on_exec(queue(::kqueue1(O_CLOEXEC))));
  EXPECT_FALSE(closes_on_exec(queue(::kqueuex(0))));
  EXPECT_TRUE(closes_on_exec(queue(::kqueuex(KQUEUE_CLOEXEC))));
  EXPECT_FALSE(closes_on_exec(make_queue(QUAY_DIALECT_NETBSD, 0)));
  EXPECT_TRUE(closes_on_exec(make_queue(QUAY_DIALECT_NETBSD, O_CLOEXEC)));
}

TEST(Kqueue_Creation, TheFlagsOfEveryCallAreAccepted) {
  EXPECT_THAT(poll(queue(::kqueue1(O_NONBLOCK))), IsEmpty());
  EXPECT_THAT(poll(queue(::kqueue1(QUAY_PRIVATE | O_CLOEXEC))), IsEmpty());
  EXPECT_THAT(poll(make_queue(QUAY_DIALECT_FREEBSD, KQUEUE_CLOEXEC)), IsEmpty());
}

TEST(Kqueue_Creation, UnknownFlagsAndDialectsAreInvalid) {
  EXPECT_EQ(::kqueue1(0x1), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(::kqueuex(0x4000), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(quay_kqueue(QUAY_DIALECT_FREEBSD, O_APPEND), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(quay_kqueue(4, 0), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(quay_kqueue(-1, 0), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST(Kqueue_Creation, WithoutFreeDescriptorsItIsEmfile) {
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const unique_fd lowest_free(::dup(0));
  ASSERT_GE(lowest_free.get(), 0);
  const rlimit tight{static_cast<rlim_t>(lowest_free.get()) + 1, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const int made = ::kqueue();
  const int error = errno;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(made, -1);
  EXPECT_EQ(error, EMFILE);
}

TEST(Kqueue_Creation, AFailedCreationLeavesNoDescriptorBehind) {
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const queue first = make_queue();  // whatever is made once for the process exists now
  const size_t open_before = open_descriptors();
  const int lowest_free = unique_fd(::dup(0)).get();
  for (int extra = 0; extra < 3; ++extra) {
    const rlimit tight{static_cast<rlim_t>(lowest_free + extra), before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    const int made = ::kqueue();
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    if (made >= 0) quay_close(made);
  }
  EXPECT_EQ(open_descriptors(), open_before);
}

TEST(Kqueue_Creation, ManyQueuesComeAndGoWithoutLeaks) {
  const queue first = make_queue();  // whatever is made once for the process exists now
  const size_t open_before = open_descriptors();
  for (int i = 0; i < 500; ++i) {
    const queue kq = make_queue(i % 4);
    const pipe_ends p = make_pipe();
    ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(1, EVFILT_TIMER).data(100000)}),
                Succeeds());
  }
  EXPECT_EQ(open_descriptors(), open_before);
}

TEST(Kqueue_Creation, AQueueCostsFewDescriptorsAndNoThread) {
  const queue first = make_queue();  // what all queues of a process share is made with it
  ASSERT_THAT(alter(first, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  const size_t descriptors = open_descriptors();
  const size_t threads = running_threads();
  const queue kq = make_queue();
  const socket_pair s = make_socketpair();
  const temporary_directory directory;
  const unique_fd file = directory.make_file("");
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ), add(s.here, EVFILT_WRITE),
                         add(1, EVFILT_TIMER).data(1), add(1, EVFILT_USER), trigger(1)}),
              Succeeds());
  ASSERT_FALSE(await(kq).empty());
  EXPECT_LE(open_descriptors() - descriptors, 3u + 4u) << "three are the two sockets and the file";
  ASSERT_THAT(alter(kq, {add(file, EVFILT_READ)}), Succeeds());
  put(file, "abc");
  ASSERT_FALSE(await(kq).empty());
  EXPECT_EQ(running_threads(), threads);
  EXPECT_LE(open_descriptors() - descriptors, 3u + 5u)
      << "its own, a second direction, a timer, files that grow; unhooked a set that can be "
         "rebuilt";
}

// A private queue gives up poll and nesting, and nothing else.
TEST(Kqueue_Creation, APrivateQueueAnswersKevent) {
  const queue kq = make_queue(QUAY_DIALECT_FREEBSD, QUAY_PRIVATE | O_CLOEXEC);
  EXPECT_TRUE(closes_on_exec(kq));
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(1, EVFILT_USER, EV_CLEAR),
                         add(2, EVFILT_TIMER, EV_ONESHOT).data(1)}),
              Succeeds());
  EXPECT_THAT(await(kq), ElementsAre(Event(2, EVFILT_TIMER).any_flags()));
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR))));
  put(p.writer, "x");
  EXPECT_THAT(await(kq), ElementsAre(Event(p.reader, EVFILT_READ).data(1)));
}

class Kqueue_Polled : public dialect_test {
 protected:
  static short poll_bits(int fd) {
    pollfd p{fd, POLLIN | POLLRDNORM | POLLOUT | POLLPRI, 0};
    return ::poll(&p, 1, 0) == 1 ? p.revents : short{0};
  }
};

TEST_P(Kqueue_Polled, AnEmptyQueueIsSilent) {
  EXPECT_EQ(poll_bits(kq), 0);
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(1, EVFILT_USER),
                         add(1, EVFILT_TIMER).data(1000000)}),
              Succeeds());
  EXPECT_EQ(poll_bits(kq), 0);
}

TEST_P(Kqueue_Polled, APendingDescriptorEventMakesItReadableAndNothingElse) {
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, EV_CLEAR)}), Succeeds());
  EXPECT_EQ(poll_bits(kq), POLLIN | POLLRDNORM);
  EXPECT_THAT(poll(kq), SizeIs(1));
  EXPECT_EQ(poll_bits(kq), 0);
}

TEST_P(Kqueue_Polled, APendingUserEventMakesItReadable) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR), trigger(1)}), Succeeds());
  EXPECT_EQ(poll_bits(kq), POLLIN | POLLRDNORM);
  EXPECT_THAT(poll(kq), SizeIs(1));
  EXPECT_EQ(poll_bits(kq), 0);
}

// Who polls and then waits without a timeout must not sleep.
TEST_P(Kqueue_Polled, ItIsSilentAsOftenAsItsUserEventsHaveBeenTaken) {
  for (int round = 0; round < 100; ++round) {
    ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_ONESHOT), trigger(1)}), Succeeds());
    ASSERT_THAT(poll(kq), SizeIs(1));
    if (round % 20 != 19) continue;
    ASSERT_EQ(poll_bits(kq), 0) << "in round " << round;
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(kq, &readable);
    timeval now{};
    ASSERT_EQ(::select(kq + 1, &readable, nullptr, nullptr, &now), 0) << "in round " << round;
  }
}

TEST_P(Kqueue_Polled, ASetOfEdgesHearsOfEachUserEvent) {
  const unique_fd set(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event e{.events = EPOLLIN | EPOLLET, .data = {}};
  ASSERT_EQ(::epoll_ctl(set, EPOLL_CTL_ADD, kq, &e), 0);
  for (int round = 0; round < 100; ++round) {
    ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_ONESHOT), trigger(1)}), Succeeds());
    ASSERT_EQ(::epoll_wait(set, &e, 1, 0), 1) << "in round " << round;
    ASSERT_THAT(poll(kq), SizeIs(1));
  }
}

TEST_P(Kqueue_Polled, AnExpiredTimerMakesItReadable) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).data(2)}), Succeeds());
  ASSERT_TRUE(becomes_readable(kq));
  EXPECT_THAT(poll(kq), SizeIs(1));
  EXPECT_EQ(poll_bits(kq), 0);
}

TEST_P(Kqueue_Polled, ATimerThatIsDeletedBeforeItsTimeNeverShows) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).data(30)}), Succeeds());
  ASSERT_THAT(alter(kq, {remove(1, EVFILT_TIMER)}), Succeeds());
  pollfd p{kq, POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 60), 0);
}

TEST_P(Kqueue_Polled, ATimerThatIsDeletedAfterItsTimeLeavesItSilent) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).data(1)}), Succeeds());
  ASSERT_TRUE(becomes_readable(kq));
  ASSERT_THAT(alter(kq, {remove(1, EVFILT_TIMER)}), Succeeds());
  EXPECT_EQ(poll_bits(kq), 0);
}

TEST_P(Kqueue_Polled, AnotherTimersTimeIsKeptWhenTheFirstIsDeleted) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).data(1),
                         add(2, EVFILT_TIMER, EV_ONESHOT).data(20)}),
              Succeeds());
  ASSERT_THAT(alter(kq, {remove(1, EVFILT_TIMER)}), Succeeds());
  ASSERT_TRUE(becomes_readable(kq));
  EXPECT_THAT(poll(kq), ElementsAre(Event(2, EVFILT_TIMER).any_flags()));
}

TEST_P(Kqueue_Polled, AnEventThatIsDeletedLeavesItSilent) {
  for (const int16_t filter : {EVFILT_USER, EVFILT_TIMER}) {
    ASSERT_THAT(
        alter(kq, {add(1, filter).data(1).fflags(filter == EVFILT_TIMER ? NOTE_NSECONDS : 0)}),
        Succeeds());
    if (filter == EVFILT_USER) {
      ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
    }
    ASSERT_TRUE(becomes_readable(kq));
    ASSERT_THAT(alter(kq, {add(2, EVFILT_USER)}), Succeeds()) << "time for the timer to be seen";
    ASSERT_THAT(alter(kq, {remove(1, filter)}), Succeeds());
    EXPECT_EQ(poll_bits(kq), 0);
  }
}

TEST_P(Kqueue_Polled, AFileWithBytesLeftMakesItReadable) {
  const temporary_directory directory;
  const unique_fd file = directory.make_file("abc");
  ASSERT_THAT(alter(kq, {add(file, EVFILT_READ)}), Succeeds());
  EXPECT_TRUE(looks_readable(kq));
}

TEST_P(Kqueue_Polled, AnEventThatFoundNoRoomKeepsItReadable) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR), add(2, EVFILT_USER, EV_CLEAR), trigger(1),
                         trigger(2)}),
              Succeeds());
  ASSERT_THAT(poll(kq, 1), SizeIs(1));
  EXPECT_TRUE(looks_readable(kq));
  ASSERT_THAT(poll(kq, 1), SizeIs(1));
  EXPECT_FALSE(looks_readable(kq));
}

TEST_P(Kqueue_Polled, ALevelEventKeepsItReadable) {
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  ASSERT_THAT(poll(kq), SizeIs(1));
  EXPECT_TRUE(looks_readable(kq));
  drain(p.reader);
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_FALSE(looks_readable(kq));
}

TEST_P(Kqueue_Polled, ADeletedEventLeavesItSilent) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER), trigger(1), remove(1, EVFILT_USER)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_FALSE(looks_readable(kq));
}

TEST_P(Kqueue_Polled, SelectSeesTheSame) {
  const auto selectable = [this] {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(kq, &set);
    timeval zero{};
    return ::select(kq + 1, &set, nullptr, nullptr, &zero) == 1;
  };
  EXPECT_FALSE(selectable());
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR), trigger(1)}), Succeeds());
  EXPECT_TRUE(selectable());
  poll(kq);
  EXPECT_FALSE(selectable());
}

TEST_P(Kqueue_Polled, ATriggerWakesAThreadThatSleepsInPoll) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  thread_in_call<bool> thread([this] { return becomes_readable(kq); });
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_TRUE(thread.result());
}

TEST_P(Kqueue_Polled, ATimerAddedByAnotherThreadWakesAThreadThatSleepsInPoll) {
  thread_in_call<bool> thread([this] { return becomes_readable(kq); });
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).data(1)}), Succeeds());
  EXPECT_TRUE(thread.result());
}

TEST_P(Kqueue_Polled, NestsInEpoll) {
  const unique_fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, kq, &wanted), 0);
  epoll_event got{};
  EXPECT_EQ(::epoll_wait(epoll, &got, 1, 0), 0);
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  EXPECT_EQ(::epoll_wait(epoll, &got, 1, 0), 0);
  put(p.writer, "x");
  EXPECT_EQ(::epoll_wait(epoll, &got, 1, 20'000), 1);
  drain(p.reader);
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_EQ(::epoll_wait(epoll, &got, 1, 0), 0);
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_EQ(::epoll_wait(epoll, &got, 1, 20'000), 1);
  EXPECT_THAT(poll(kq), SizeIs(1));
  EXPECT_EQ(::epoll_wait(epoll, &got, 1, 0), 0);
}

TEST_P(Kqueue_Polled, NonBlockingModeHasNoInfluenceOnKevent) {
  ::fcntl(kq, F_SETFL, O_NONBLOCK);  // some systems refuse
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(SizeIs(1)));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Polled);

class Kqueue_Dup : public dialect_test {};

TEST_P(Kqueue_Dup, EveryNumberIsTheSameQueue) {
  for (const int cmd : {F_DUPFD, F_DUPFD_CLOEXEC}) {
    const queue twin(::fcntl(kq, cmd, 0));
    ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
    ASSERT_THAT(alter(twin, {trigger(1)}), Succeeds());
    EXPECT_THAT(poll(kq), SizeIs(1));
    EXPECT_THAT(poll(twin), IsEmpty());
  }
}

TEST_P(Kqueue_Dup, AQueueLivesAsLongAsOneOfItsNumbers) {
  const queue twin(::dup(kq));
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  kq.close();
  ASSERT_THAT(alter(twin, {trigger(1)}), Succeeds());
  EXPECT_THAT(poll(twin), ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR)));
}

TEST_P(Kqueue_Dup, ClosingOneNumberDoesNotWakeAWaiterOnTheOther) {
  queue twin(::dup(kq));
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  twin.close();
  EXPECT_TRUE(thread.falls_asleep());
  EXPECT_FALSE(thread.returned());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(SizeIs(1)));
}

TEST_P(Kqueue_Dup, ANumberMovedByDup2StaysTheQueue) {
  const unique_fd target = make_eventfd();
  ASSERT_EQ(::dup2(kq, target), target.get());
  ASSERT_THAT(alter(target, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  EXPECT_THAT(poll(kq), SizeIs(1));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Dup);

}  // namespace
}  // namespace quay::test
