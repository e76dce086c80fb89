// SPDX-License-Identifier: BSD-2-Clause
//
// What: making a port, what its descriptor is, and which mistake every call notices first.
// Contract: event port semantics 2 (head), 2.1, 6, 7.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "support/port.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

class limit_of {
 public:
  limit_of(const char* name, long value) : name_(name), before_(quay_tunable_get(name)) {
    quay_tunable_set(name, value);
  }
  ~limit_of() { quay_tunable_set(name_, before_); }

 private:
  const char* name_;
  long before_;
};

TEST(Port_Create, TakesTheLowestNumberAndIsKeptOverExec) {
  const unique_fd lowest(::dup(0));
  const int expected = lowest;
  ::close(const_cast<unique_fd&>(lowest).release());
  const int port = ::port_create();
  EXPECT_EQ(port, expected);
  EXPECT_EQ(::fcntl(port, F_GETFD) & FD_CLOEXEC, 0);
  quay_close(port);
}

TEST(Port_Create, CloseOnExecIsSetFromBirthWhereAsked) {
  const test_port port(O_CLOEXEC);
  EXPECT_EQ(::fcntl(port, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(Port_Create, UnknownFlagsAreInvalid) { EXPECT_THAT(::port_create1(O_APPEND), Fails(EINVAL)); }

TEST(Port_Create, MorePortsThanAllowedAreRefused) {
  const test_port first;
  const limit_of one("port_max_ids", 1);
  EXPECT_THAT(::port_create(), Fails(EAGAIN));
}

TEST(Port_Create, WithoutDescriptorsLeftNothingLeaks) {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const unique_fd probe(::dup(0));
  const int next_before = unique_fd(::dup(0));
  const rlimit tight{static_cast<rlim_t>(probe.get()), before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &tight);
  const int port = ::port_create();
  const int error = errno;
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(port, -1);
  EXPECT_EQ(error, EMFILE);
  const unique_fd next(::dup(0));
  EXPECT_EQ(next.get(), next_before);
}

// Whatever else is wrong, the descriptor is looked at first.
void expect_everywhere(int fd, int error) {
  port_event_t event{};
  uint_t count = 5;
  EXPECT_THAT(::port_associate(fd, 99, 0, 0, nullptr), Fails(error));
  EXPECT_THAT(::port_dissociate(fd, 99, 0), Fails(error));
  EXPECT_THAT(::port_send(fd, 0, nullptr), Fails(error));
  EXPECT_THAT(::port_alert(fd, PORT_ALERT_INVALID, 1, nullptr), Fails(error));
  EXPECT_THAT(::port_get(fd, nullptr, nullptr), Fails(error));
  EXPECT_THAT(::port_getn(fd, &event, 1, &count, nullptr), Fails(error));
}

TEST(Port_Create, EveryCallKnowsAClosedDescriptor) {
  expect_everywhere(kNeverOpenPort, EBADF);
  expect_everywhere(-1, EBADF);
}

TEST(Port_Create, EveryCallKnowsADescriptorThatIsNoPort) {
  const pipe_ends pipe = make_pipe();
  expect_everywhere(pipe.reader, EBADFD);
  const unique_fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  expect_everywhere(epoll, EBADFD);
}

TEST(Port_Create, StatTellsTypeSizeAndOwner) {
  const test_port port;
  ::port_send(port, 1, nullptr);
  ::port_send(port, 2, nullptr);
  struct stat st {};
  ASSERT_THAT(::quay_fstat(port, &st), Works());
  EXPECT_EQ(st.st_mode, 0xE000u);
  EXPECT_EQ(st.st_size, 2);
  EXPECT_EQ(st.st_uid, ::getuid());
  EXPECT_EQ(st.st_gid, ::getgid());
  EXPECT_EQ(st.st_ino, 0u);
  EXPECT_EQ(st.st_blksize, 0);
  EXPECT_EQ(st.st_atim.tv_sec, st.st_mtim.tv_sec);
}

TEST(Port_Create, CannotBeReadOrWritten) {
  const test_port port;
  char byte = 0;
  EXPECT_THAT(::quay_read(port, &byte, 1), Fails(EBADF));
  EXPECT_THAT(::quay_write(port, &byte, 1), Fails(EBADF));
  EXPECT_THAT(::quay_ioctl(port, FIONBIO, &byte), Fails(ENOTTY));
}

TEST(Port_Create, AWaiterOfAPortThatLostItsNumberDoesNotShowInTheNext) {
  const int number = ::port_create();
  ASSERT_GE(number, 0);
  const thread_in_call<fetched> waiter([number] { return getn_for(number, 1, 1, 0, 300000000); });
  ASSERT_TRUE(waiter.falls_asleep());
  ASSERT_EQ(::syscall(SYS_close, number), 0);
  const test_port next;
  ASSERT_EQ(next, number);
  pollfd look{next, POLLIN, 0};
  EXPECT_EQ(::poll(&look, 1, 0), 0);
}

// A handler that interrupts a call into the library cannot tell of its closes at once. What it opens lives.
TEST(Port_Create, AHandlerMayReplaceAPort) {
  static int replaced = -1;
  static volatile sig_atomic_t times = 0;
  replaced = ::port_create();
  struct sigaction act {};
  struct sigaction before {};
  act.sa_handler = [](int) {
    ::quay_close(replaced);
    replaced = ::port_create();
    times = times + 1;
  };
  ::sigaction(SIGALRM, &act, &before);
  const itimerval often{{0, 1000}, {0, 1000}};
  const itimerval never{};
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  const test_port port;
  ::setitimer(ITIMER_REAL, &often, nullptr);
  for (sig_atomic_t seen = 0; seen < 200;) {
    for (int i = 0; i < 32; ++i) ::port_send(port, 1, nullptr);
    taken(port);
    ::sigprocmask(SIG_BLOCK, &alarm, nullptr);
    if (seen != times) {
      EXPECT_THAT(::port_send(replaced, 1, nullptr), Works());
    }
    seen = times;
    ::sigprocmask(SIG_UNBLOCK, &alarm, nullptr);
  }
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  ::quay_close(replaced);
}

TEST(Port_Create, ANumberThatAPortLostBehindEverybodysBackIsTheNextFiles) {
  const pipe_ends p = make_pipe();
  const int number = ::port_create();
  ASSERT_GE(number, 0);
  ASSERT_EQ(::syscall(SYS_dup3, p.reader.get(), number, O_CLOEXEC), number);
  const unique_fd reader(number);
  ASSERT_EQ(::write(p.writer, "x", 1), 1);
  struct stat found {};
  EXPECT_EQ(::quay_fstat(reader, &found), 0);
  EXPECT_TRUE(S_ISFIFO(found.st_mode));
  const test_port port;
  ASSERT_THAT(associate(port, reader, POLLIN), Works());
  EXPECT_THAT(taken(port), testing::SizeIs(1));
  char byte = 0;
  EXPECT_EQ(::quay_read(reader, &byte, 1), 1);
}

bool readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, 0) == 1;
}

TEST(Port_Create, PollsReadableExactlyWhileEventsAreQueued) {
  const test_port port;
  EXPECT_FALSE(readable(port));
  ::port_send(port, 1, nullptr);
  ::port_send(port, 2, nullptr);
  EXPECT_TRUE(readable(port));
  port_event_t event{};
  ::port_get(port, &event, nullptr);
  EXPECT_TRUE(readable(port));
  ::port_get(port, &event, nullptr);
  EXPECT_FALSE(readable(port));
}

// Who polls and then waits without a timeout must not sleep.
TEST(Port_Create, IsNotReadableHoweverOftenItsEventsHaveBeenTaken) {
  const test_port port;
  for (int round = 0; round < 100; ++round) {
    ASSERT_THAT(::port_send(port, round, nullptr), Works());
    ASSERT_EQ(taken(port).size(), 1U);
    if (round % 20 != 19) continue;
    ASSERT_FALSE(readable(port)) << "in round " << round;
  }
  ASSERT_THAT(::port_send(port, 1, nullptr), Works());
  EXPECT_TRUE(readable(port));
}

TEST(Port_Create, ASetOfEdgesHearsOfEachEvent) {
  const test_port port;
  const unique_fd set(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event e{.events = EPOLLIN | EPOLLET, .data = {}};
  ASSERT_EQ(::epoll_ctl(set, EPOLL_CTL_ADD, port, &e), 0);
  for (int round = 0; round < 100; ++round) {
    ASSERT_THAT(::port_send(port, round, nullptr), Works());
    ASSERT_EQ(::epoll_wait(set, &e, 1, 0), 1) << "in round " << round;
    ASSERT_EQ(taken(port).size(), 1U);
  }
}

TEST(Port_Create, AlertAloneIsNotReadable) {
  const test_port port;
  ::port_alert(port, PORT_ALERT_SET, 1, nullptr);
  EXPECT_FALSE(readable(port));
}

TEST(Port_Create, ADuplicateIsThePort) {
  QUAY_SKIP_UNLESS_HOOKED();
  test_port port;
  const int other = ::dup(port);
  ::port_send(port, 7, cookie(1));
  port.close();
  EXPECT_THAT(taken(other), testing::ElementsAre(Is(PORT_SOURCE_USER, 7, 1u)));
  ::quay_close(other);
}

TEST(Port_Create, AClosedPortIsNone) {
  test_port port;
  const int number = port;
  port.close();
  EXPECT_THAT(::port_send(number, 1, nullptr), Fails(EBADF));
}

TEST(Port_Create, TheStatisticsCountWhatPortsDid) {
  const auto now = [] {
    quay_stats s{};
    EXPECT_EQ(::quay_stats_get(&s, sizeof s), 0);
    return s;
  };
  const quay_stats before = now();
  const test_port port;
  const pipe_ends pipe = make_pipe();
  ASSERT_THAT(::port_send(port, 1, nullptr), Works());
  ASSERT_THAT(::port_send(port, 2, nullptr), Works());
  ASSERT_THAT(associate(port, pipe.writer, POLLOUT), Works());
  quay_stats s = now();
  EXPECT_EQ(s.ports, before.ports + 1);
  EXPECT_EQ(s.port_queued, before.port_queued + 3);
  EXPECT_EQ(s.port_sent, before.port_sent + 3);
  ASSERT_THAT(dissociate(port, pipe.writer), Works());
  EXPECT_EQ(now().port_cancelled, before.port_cancelled + 1);
  EXPECT_THAT(taken(port), testing::SizeIs(2));
  EXPECT_EQ(now().port_delivered, before.port_delivered + 2);
}

TEST(Port_Create, NothingOfAPortBeforeShowsInTheNext) {
  for (int round = 0; round < 3; ++round) {
    const test_port port;
    EXPECT_EQ(queued(port), 0u);
    ::port_send(port, round, nullptr);
    ::port_alert(port, PORT_ALERT_SET, 9, nullptr);
  }
  const test_port port;
  EXPECT_TRUE(taken(port).empty());
}

TEST(Port_Create, TheFileCallKnowsReadingAndRoom) {
  const long before = quay_tunable_get("port_max_events");
  quay_tunable_set("port_max_events", 1);
  const test_port port;
  quay_tunable_set("port_max_events", before);
  const auto shown = [&] {
    pollfd p{port, POLLIN | POLLOUT, 0};
    ::quay_poll(&p, 1, 0);
    return p.revents;
  };
  EXPECT_EQ(shown(), POLLOUT);
  ASSERT_THAT(::port_send(port, 1, nullptr), Works());
  EXPECT_EQ(shown(), POLLIN);
  EXPECT_THAT(taken(port), testing::SizeIs(1));
  EXPECT_EQ(shown(), POLLOUT);
}

}  // namespace
}  // namespace quay::test
