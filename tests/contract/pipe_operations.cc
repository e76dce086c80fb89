// SPDX-License-Identifier: BSD-2-Clause
//
// What: what may be asked of an end besides bytes: owners of SIGIO, sizes, locks, the bits that poll()
//       does not know; and, with the hooks, everything that libc would ask the kernel's pipe.
// Contract: semantics/pipes-signalfd.md A8, A13 P9, P47, P55; docs/differences.md, "Pipes".
#include <sys/event.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <cstring>

#include "kqueue.hpp"
#include "named_pipe.hpp"

namespace quay::test::pipes {
namespace {

std::atomic<int> g_signals{0};
void count_signal(int) { ++g_signals; }

TEST(Pipe_Sigio, AProcessGroupMayBeTheOwner) {
  g_signals = 0;
  const ignored_signal io(SIGIO, count_signal);
  pipe_pair p;
  const auto own = [&](auto set, int expected) {
    pipe_pair report;
    child other([&] {
      setpgid(0, 0);  // the group of the child alone
      set(-getpgrp());
      const int owner = quay_fcntl(p.reader(), F_GETOWN);
      int number = 0;
      quay_ioctl(p.reader(), TIOCGPGRP, &number);
      quay_fcntl(p.reader(), F_SETFL, O_ASYNC);
      put(p.writer(), 1);
      return owner == -getpgrp() && number == getpgrp() && g_signals == expected ? 0 : 1;
    });
    EXPECT_EQ(other.wait(), 0);
  };
  own([&](int owner) { quay_fcntl(p.reader(), F_SETOWN, owner); }, 1);
  own([&](int owner) { quay_ioctl(p.reader(), 0x8901 /* FIOSETOWN */, &owner); }, 1);
  own(
      [&](int owner) {
        owner = -owner;
        quay_ioctl(p.reader(), TIOCSPGRP, &owner);
      },
      1);
  EXPECT_EQ(g_signals, 0);
}

TEST(Pipe_Sigio, WhoDoesNotExistIsNoOwner) {
  pipe_pair p;
  child gone([] { return 0; });
  const int pid = gone.pid();
  EXPECT_EQ(quay_fcntl(p.reader(), F_SETOWN, pid), 0);
  EXPECT_EQ(quay_fcntl(p.reader(), F_GETOWN), pid);
  gone.wait();
  EXPECT_EQ(quay_fcntl(p.reader(), F_GETOWN), 0);
  EXPECT_EQ(outcome_of(quay_fcntl(p.reader(), F_SETOWN, pid)), -ESRCH);
  int number = pid;
  EXPECT_EQ(outcome_of(quay_ioctl(p.reader(), 0x8901 /* FIOSETOWN */, &number)), -ESRCH);
  EXPECT_EQ(quay_fcntl(p.reader(), F_SETOWN, 0), 0);
}

TEST(Pipe_Sigio, OAsyncIsOfTheEndAndShowsInItsFlags) {
  g_signals = 0;
  const ignored_signal io(SIGIO, count_signal);
  pipe_pair p;
  quay_fcntl(p.reader(), F_SETOWN, getpid());
  EXPECT_EQ(quay_fcntl(p.reader(), F_SETFL, O_ASYNC), 0);
  EXPECT_EQ(quay_fcntl(p.reader(), F_GETFL), O_RDWR | O_ASYNC);
  EXPECT_EQ(quay_fcntl(p.writer(), F_GETFL), O_RDWR);
  put(p.writer(), 1);
  EXPECT_EQ(g_signals, 1);
  EXPECT_EQ(quay_fcntl(p.reader(), F_SETFL, 0), 0);
  put(p.writer(), 1);
  EXPECT_EQ(g_signals, 1);
}

TEST(Pipe_Sigio, TheEndOfTheOtherEndIsNewsButOnesOwnIsNot) {
  g_signals = 0;
  const ignored_signal io(SIGIO, count_signal);
  for (const int end : {0, 1}) {
    pipe_pair p;
    quay_fcntl(p[end], F_SETOWN, getpid());
    quay_fcntl(p[end], F_SETFL, O_ASYNC);
    p.close(1 - end);
    EXPECT_EQ(g_signals, 1);
    p.close(end);
    EXPECT_EQ(g_signals.exchange(0), 1);
    pipe_pair q;
    quay_fcntl(q[end], F_SETOWN, getpid());
    quay_fcntl(q[end], F_SETFL, O_ASYNC);
    q.close(end);
    EXPECT_EQ(g_signals, 0);
  }
}

TEST(Pipe_Sigio, ASignalOfAnotherNumberIsRefused) {
  pipe_pair p;
  f_owner_ex thread{F_OWNER_TID, 0};
  EXPECT_EQ(outcome_of(quay_fcntl(p.reader(), F_SETSIG, SIGUSR1)), -EINVAL);
  EXPECT_EQ(outcome_of(quay_fcntl(p.reader(), F_SETOWN_EX, &thread)), -EINVAL);
}

TEST(Pipe_Controls, TheSizeIsNotTheProgramsToSet) {
  pipe_pair p(O_NONBLOCK);
  for (const int end : {0, 1}) {
    EXPECT_EQ(quay_fcntl(p[end], F_GETPIPE_SZ), 16384);
    EXPECT_EQ(outcome_of(quay_fcntl(p[end], F_SETPIPE_SZ, 65536)), -EINVAL);
  }
  fill(p.writer());
  EXPECT_EQ(quay_fcntl(p.reader(), F_GETPIPE_SZ), 65536);
}

TEST(Pipe_Controls, LocksAreForFilesWithAName) {
  pipe_pair p;
  struct flock lock {};
  lock.l_type = F_RDLCK;
  for (const int command : {F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK}) {
    EXPECT_EQ(outcome_of(quay_fcntl(p.reader(), command, &lock)), -EBADF) << command;
  }
}

TEST(Pipe_Controls, FionreadCountsWhatTheEndItselfReads) {
  pipe_pair p;
  put(p.writer(), 11);
  put(p.reader(), 7);
  EXPECT_EQ(held(p.reader()), 11);
  EXPECT_EQ(held(p.writer()), 7);
  EXPECT_EQ(outcome_of(quay_ioctl(p.reader(), FIONREAD, nullptr)), -EFAULT);
}

TEST(Pipe_Poll, BitsThatOnlyOthersKnowAreNeverShown) {
  // What FreeBSD calls POLLINIGNEOF is POLLRDHUP here, which a pipe has not.
  constexpr short kStrange = POLLRDHUP | POLLPRI | POLLRDBAND | POLLWRBAND;
  pipe_pair p;
  put(p.writer(), 1);
  EXPECT_EQ(ready(p.reader(), kStrange), 0);
  EXPECT_EQ(ready(p.reader(), POLLIN | POLLRDNORM | kStrange), POLLIN | POLLRDNORM);
  EXPECT_EQ(ready(p.writer(), POLLOUT | POLLWRNORM | kStrange), POLLOUT | POLLWRNORM);
  p.close(1);
  EXPECT_EQ(ready(p.reader(), kStrange), POLLHUP);
  EXPECT_EQ(ready(p.reader(), POLLIN | kStrange), POLLIN | POLLHUP);
}

TEST(Pipe_Poll, WhoAsksForNothingIsToldOfTheEnd) {
  for (int round = 0; round < 50; ++round) {
    pipe_pair p;
    const int end = round % 2;
    call waiting([fd = p[end], round]() -> long {
      pollfd asked{fd, static_cast<short>(round % 4 < 2 ? 0 : POLLPRI), 0};
      return quay_poll(&asked, 1, -1) == 1 ? asked.revents : -1;
    });
    waiting.until_asleep();
    p.close(1 - end);
    ASSERT_EQ(waiting.result(), POLLHUP);
  }
}

// --- libc's calls ----------------------------------------------------------------------------------

class Pipe_HookedCalls : public named_pipe {
 protected:
  void SetUp() override {
    named_pipe::SetUp();
    if (!hooked()) GTEST_SKIP() << "the hooks library is not in front of libc";
  }
};

TEST_F(Pipe_HookedCalls, APipeHasNoModeNoOwnerNoTimesAndNoLock) {
  pipe_pair p;
  const timespec times[2] = {};
  const timeval rough[2] = {};
  for (const int end : {0, 1}) {
    EXPECT_EQ(outcome_of(fchmod(p[end], 0600)), -EINVAL);
    EXPECT_EQ(outcome_of(fchown(p[end], getuid(), getgid())), -EINVAL);
    EXPECT_EQ(outcome_of(fchownat(p[end], "", getuid(), getgid(), AT_EMPTY_PATH)), -EINVAL);
    EXPECT_EQ(outcome_of(ftruncate(p[end], 0)), -EINVAL);
    EXPECT_EQ(outcome_of(futimens(p[end], times)), -EINVAL);
    EXPECT_EQ(outcome_of(futimes(p[end], rough)), -EINVAL);
    EXPECT_EQ(outcome_of(flock(p[end], LOCK_SH)), -EOPNOTSUPP);
    EXPECT_EQ(outcome_of(fsync(p[end])), -EINVAL);
    EXPECT_EQ(outcome_of(fdatasync(p[end])), -EINVAL);
    EXPECT_EQ(outcome_of(fchdir(p[end])), -ENOTDIR);
    EXPECT_EQ(outcome_of(lseek(p[end], 0, SEEK_END)), -ESPIPE);
  }
}

TEST_F(Pipe_HookedCalls, ANamedPipeIsAFileThatTruncatesToNoEffect) {
  const int both = open(O_RDWR | O_NONBLOCK);
  const int r = reader();
  put(both, 5);
  EXPECT_EQ(ftruncate(both, 0), 0);
  EXPECT_EQ(outcome_of(ftruncate(r, 0)), -EINVAL);
  EXPECT_EQ(held(r), 5);
  EXPECT_EQ(fchmod(r, 0644), 0);
  EXPECT_EQ(flock(r, LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(outcome_of(lseek(r, 0, SEEK_SET)), -ESPIPE);
}

TEST_F(Pipe_HookedCalls, OtherFilesAnswerForThemselves) {
  char path[] = "/tmp/quay-file-XXXXXX";
  const int fd = mkstemp(path);
  EXPECT_EQ(ftruncate(fd, 100), 0);
  EXPECT_EQ(fchmod(fd, 0640), 0);
  EXPECT_EQ(fchown(fd, getuid(), getgid()), 0);
  const timespec times[2] = {{1000, 0}, {1000, 0}};
  EXPECT_EQ(futimens(fd, times), 0);
  EXPECT_EQ(flock(fd, LOCK_EX), 0);
  struct stat st {};
  fstat(fd, &st);
  EXPECT_EQ(st.st_size, 100);
  EXPECT_EQ(st.st_mode & 07777u, 0640u);
  EXPECT_EQ(st.st_mtime, 1000);
  ::close(fd);
  unlink(path);
}

TEST_F(Pipe_HookedCalls, TheKernelIsNotAskedToMoveWhatItHasNot) {
  pipe_pair p;
  int other[2];
  ASSERT_EQ(::pipe2(other, O_CLOEXEC), 0);
  const int file = ::open("/proc/self/exe", O_RDONLY);
  put(p.writer(), "bytes");
  char byte = 0;
  const iovec part{&byte, 1};
  EXPECT_EQ(outcome_of(splice(p.reader(), nullptr, other[1], nullptr, 5, 0)), -EINVAL);
  EXPECT_EQ(outcome_of(splice(file, nullptr, p.writer(), nullptr, 5, 0)), -EINVAL);
  EXPECT_EQ(outcome_of(tee(p.reader(), other[1], 5, 0)), -EINVAL);
  EXPECT_EQ(outcome_of(tee(other[0], p.writer(), 5, 0)), -EINVAL);
  EXPECT_EQ(outcome_of(vmsplice(p.writer(), &part, 1, 0)), -EINVAL);
  EXPECT_EQ(outcome_of(sendfile(p.writer(), file, nullptr, 5)), -EINVAL);
  EXPECT_EQ(take_text(p.reader(), 9), "bytes");
  // Between others they work.
  EXPECT_EQ(sendfile(other[1], file, nullptr, 5), 5);
  EXPECT_EQ(vmsplice(other[1], &part, 1, 0), 1);
  for (const int fd : {other[0], other[1], file}) ::close(fd);
}

TEST_F(Pipe_HookedCalls, ReadsAndWritesWithoutAnOffsetAreOurs) {
  pipe_pair p;
  char bytes[] = "bytes";
  const iovec parts[2] = {{bytes, 2}, {bytes + 2, 3}};
  EXPECT_EQ(pwritev2(p.writer(), parts, 2, -1, 0), 5);
  EXPECT_EQ(preadv2(p.reader(), parts, 2, -1, 0), 5);
  EXPECT_EQ(outcome_of(preadv2(p.reader(), parts, 2, -1, RWF_NOWAIT)), -EOPNOTSUPP);
  EXPECT_EQ(outcome_of(preadv2(p.reader(), parts, 2, 0, 0)), -ESPIPE);
  EXPECT_EQ(outcome_of(pread(p.reader(), bytes, 1, 0)), -ESPIPE);
  EXPECT_EQ(outcome_of(pwrite(p.writer(), bytes, 1, 0)), -ESPIPE);
}

}  // namespace
}  // namespace quay::test::pipes
