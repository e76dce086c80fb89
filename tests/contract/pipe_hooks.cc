// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's own calls on the ends, where the hooks library stands in front of them.
// Contract: src/hooks/pipes.cc. Without the hooks these cases are skipped.
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <climits>
#include <cstring>

#include "pipe.hpp"

namespace quay::test::pipes {
namespace {

class Pipe_Hooks : public testing::Test {
 protected:
  void SetUp() override {
    quay_stats stats{};
    quay_stats_get(&stats, sizeof stats);
    if (stats.hooked == 0) GTEST_SKIP() << "the hooks library is not in front of libc";
  }
};

TEST_F(Pipe_Hooks, ReadAndWriteAreOurs) {
  pipe_pair p;
  ASSERT_EQ(write(p.reader(), "backward", 8), 8);  // a kernel's pipe would refuse
  char got[20] = {};
  EXPECT_EQ(read(p.writer(), got, sizeof got), 8);
  EXPECT_STREQ(got, "backward");
  iovec parts[2] = {{got, 3}, {got + 3, 2}};
  EXPECT_EQ(writev(p.writer(), parts, 2), 5);
  EXPECT_EQ(readv(p.reader(), parts, 2), 5);
}

TEST_F(Pipe_Hooks, CloseIsTheEndOfFile) {
  int fds[2];
  ASSERT_EQ(quay_pipe2(fds, 0), 0);
  close(fds[1]);
  char c = 0;
  EXPECT_EQ(read(fds[0], &c, 1), 0);
  close(fds[0]);
}

TEST_F(Pipe_Hooks, PollAndSelectSeeOurBytes) {
  pipe_pair p;
  pollfd asked{p.reader(), POLLIN, 0};
  EXPECT_EQ(poll(&asked, 1, 0), 0);
  ASSERT_EQ(write(p.writer(), "x", 1), 1);
  EXPECT_EQ(poll(&asked, 1, -1), 1);
  EXPECT_EQ(asked.revents, POLLIN);
  EXPECT_EQ(ppoll(&asked, 1, nullptr, nullptr), 1);
  fd_set reading;
  fd_set writing;
  FD_ZERO(&reading);
  FD_ZERO(&writing);
  FD_SET(p.reader(), &reading);
  FD_SET(p.writer(), &reading);
  FD_SET(p.writer(), &writing);
  EXPECT_EQ(select(p.writer() + 1, &reading, &writing, nullptr, nullptr), 2);
  EXPECT_TRUE(FD_ISSET(p.reader(), &reading));
  EXPECT_FALSE(FD_ISSET(p.writer(), &reading));
  EXPECT_TRUE(FD_ISSET(p.writer(), &writing));
}

TEST_F(Pipe_Hooks, PselectTakesAMaskAndATime) {
  const ignored_signal handled(SIGUSR1, [](int) {});
  pipe_pair p;
  fd_set reading;
  FD_ZERO(&reading);
  FD_SET(p.reader(), &reading);
  const timespec now{0, 0};
  EXPECT_EQ(pselect(p.reader() + 1, &reading, nullptr, nullptr, &now, nullptr), 0);
  EXPECT_FALSE(FD_ISSET(p.reader(), &reading));
  // A signal that is blocked but for the call ends it.
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  raise(SIGUSR1);
  FD_SET(p.reader(), &reading);
  EXPECT_EQ(outcome_of(pselect(p.reader() + 1, &reading, nullptr, nullptr, nullptr, &before)),
            -EINTR);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  put(p.writer(), 1);
  EXPECT_EQ(pselect(p.reader() + 1, &reading, nullptr, nullptr, nullptr, nullptr), 1);
}

// A set as programs make it that have more descriptors than an fd_set has bits.
class large_set {
 public:
  explicit large_set(int most) : words_(static_cast<size_t>(most) / kBits + 1) {}
  void add(int fd) { words_[at(fd)] |= bit(fd); }
  bool has(int fd) const { return (words_[at(fd)] & bit(fd)) != 0; }
  fd_set* get() { return reinterpret_cast<fd_set*>(words_.data()); }

 private:
  static constexpr size_t kBits = sizeof(unsigned long) * 8;
  static size_t at(int fd) { return static_cast<size_t>(fd) / kBits; }
  static unsigned long bit(int fd) { return 1ul << static_cast<size_t>(fd) % kBits; }
  std::vector<unsigned long> words_;
};

TEST_F(Pipe_Hooks, SelectKnowsMoreDescriptorsThanASetOfUsualSize) {
  constexpr int kHigh = FD_SETSIZE + 400;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur <= kHigh + 10) GTEST_SKIP() << "not so many descriptors are allowed";
  pipe_pair p;
  const int reader = fcntl(p.reader(), F_DUPFD, kHigh);
  const int writer = fcntl(p.writer(), F_DUPFD, kHigh);
  ASSERT_GE(reader, kHigh);
  put(p.writer(), 1);
  large_set reading(writer);
  large_set writing(writer);
  for (const int fd : {reader, writer, p.writer()}) reading.add(fd);
  writing.add(writer);
  EXPECT_EQ(select(writer + 1, reading.get(), writing.get(), nullptr, nullptr), 2);
  EXPECT_TRUE(reading.has(reader));
  EXPECT_FALSE(reading.has(writer));
  EXPECT_FALSE(reading.has(p.writer()));
  EXPECT_TRUE(writing.has(writer));
  close(reader);
  close(writer);
}

TEST_F(Pipe_Hooks, SelectLooksAtNoMoreDescriptorsThanThereMayBe) {
  pipe_pair p;
  put(p.writer(), 1);
  large_set reading(1 << 20);
  reading.add(p.reader());
  EXPECT_EQ(select(INT_MAX, reading.get(), nullptr, nullptr, nullptr), 1);
  EXPECT_TRUE(reading.has(p.reader()));
}

TEST_F(Pipe_Hooks, SelectRefusesWhatIsNotOpen) {
  pipe_pair p;
  const int closed = fcntl(p.reader(), F_DUPFD, 500);
  close(closed);
  fd_set reading;
  FD_ZERO(&reading);
  FD_SET(p.reader(), &reading);
  FD_SET(closed, &reading);
  EXPECT_EQ(outcome_of(select(closed + 1, &reading, nullptr, nullptr, nullptr)), -EBADF);
  EXPECT_EQ(outcome_of(select(-1, &reading, nullptr, nullptr, nullptr)), -EINVAL);
}

TEST_F(Pipe_Hooks, EveryWayToDuplicateAnEndKeepsItOpen) {
  using way = int (*)(int);
  constexpr way kWays[] = {
      [](int fd) { return dup(fd); },
      [](int fd) { return dup2(fd, 700); },
      [](int fd) { return dup3(fd, 701, O_CLOEXEC); },
      [](int fd) { return fcntl(fd, F_DUPFD, 702); },
      [](int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 703); },
  };
  for (const way duplicate : kWays) {
    pipe_pair p;
    const int copy = duplicate(p.writer());
    ASSERT_GE(copy, 0);
    close(p.writer());
    ASSERT_EQ(write(copy, "still", 5), 5);
    EXPECT_EQ(take_text(p.reader(), 9), "still");
    close(copy);
    EXPECT_EQ(take(p.reader(), 1), 0);
    const int null = open("/dev/null", O_RDONLY);  // for p to close
    if (null != p.writer()) dup2(null, p.writer());
    if (null != p.writer()) close(null);
  }
}

TEST_F(Pipe_Hooks, AnEndThatIsReplacedIsClosed) {
  const ignored_signal no_sigpipe(SIGPIPE);
  pipe_pair p;
  ASSERT_EQ(dup2(p.writer(), p.reader()), p.reader());  // the reader is gone
  EXPECT_EQ(outcome_of(write(p.writer(), "x", 1)), -EPIPE);
  pipe_pair q;
  ASSERT_EQ(dup2(q.writer(), q.writer()), q.writer());  // nothing happened
  ASSERT_EQ(write(q.writer(), "x", 1), 1);
  const unsigned end = static_cast<unsigned>(q.writer());
  ASSERT_EQ(close_range(end, end, 0), 0);
  EXPECT_EQ(take(q.reader(), 9), 1);
  EXPECT_EQ(take(q.reader(), 9), 0);
  ASSERT_EQ(dup2(q.reader(), q.writer()), q.writer());  // for q to close
}

TEST_F(Pipe_Hooks, TheOwnerMayBeAGroupInLibcsWordsToo) {
  pipe_pair p;
  ASSERT_EQ(fcntl(p.reader(), F_SETOWN, -getpgrp()), 0);
  EXPECT_EQ(fcntl(p.reader(), F_GETOWN), -getpgrp());
}

extern "C" {
ssize_t __read_chk(int, void*, size_t, size_t);
int __poll_chk(pollfd*, nfds_t, int, size_t);
int __ppoll_chk(pollfd*, nfds_t, const timespec*, const sigset_t*, size_t);
}

TEST_F(Pipe_Hooks, FortifiedProgramsSeeOurBytes) {
  pipe_pair p;
  put(p.writer(), "fortified");
  pollfd asked{p.reader(), POLLIN, 0};
  EXPECT_EQ(__poll_chk(&asked, 1, -1, sizeof asked), 1);
  EXPECT_EQ(__ppoll_chk(&asked, 1, nullptr, nullptr, sizeof asked), 1);
  EXPECT_EQ(asked.revents, POLLIN);
  char got[16] = {};
  EXPECT_EQ(__read_chk(p.reader(), got, sizeof got, sizeof got), 9);
  EXPECT_STREQ(got, "fortified");
}

TEST_F(Pipe_Hooks, APipeSentAsAPlainDescriptorIsTheKernels) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  pipe_pair p;
  put(p.writer(), "old");
  union {
    cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control{};
  char byte = 0;
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = p.reader();
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  ASSERT_EQ(sendmsg(ends[0], &message, 0), 1);
  ASSERT_EQ(recvmsg(ends[1], &message, 0), 1);
  int received = -1;
  memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof received);
  put(p.writer(), "new");
  char got[16] = {};
  EXPECT_EQ(syscall(SYS_read, received, got, sizeof got), 6);
  EXPECT_STREQ(got, "oldnew");
  for (const int each : {ends[0], ends[1], received}) close(each);
}

}  // namespace
}  // namespace quay::test::pipes
