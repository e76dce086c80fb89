// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay_signalfd: making, mask, flags, reads, errors, forks, and kqueue beside it.
// Contract: signal semantics B2-B7, tests S1-S10, S12-S18, S22-S24.
#include <fcntl.h>
#include <poll.h>
#include <quay/quay.h>
#include <sys/ioctl.h>

#include <atomic>
#include <thread>
#include <vector>

#include "illumos/sys/signalfd.h"
#include "support/kqueue.hpp"
#include "support/matchers.hpp"
#include "support/signals.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Signal_Fd : public testing::Test {
 protected:
  Signal_Fd() : fd(quay_signalfd(-1, &both, SFD_NONBLOCK)) {}
  ~Signal_Fd() override { quay_close(fd); }
  void SetUp() override {
    seen.clear();
    ASSERT_GE(fd, 0);
  }

  // The numbers that one read with room for `room` records brings.
  std::vector<int> read_records(int room = 8) {
    std::vector<signalfd_siginfo> records(static_cast<size_t>(room));
    const ssize_t n = quay_read(fd, records.data(), records.size() * sizeof records[0]);
    std::vector<int> numbers;
    for (ssize_t i = 0; i * 128 < n; ++i) {
      numbers.push_back(static_cast<int>(records[static_cast<size_t>(i)].ssi_signo));
    }
    EXPECT_TRUE(n < 0 || n % 128 == 0) << n;
    return numbers;
  }
  signalfd_siginfo read_one() {
    signalfd_siginfo record{};
    EXPECT_EQ(quay_read(fd, &record, sizeof record), 128);
    return record;
  }
  int error_of_read(size_t size = 1024) {
    char buffer[1024];
    errno = 0;
    return quay_read(fd, buffer, size) < 0 ? errno : 0;
  }
  bool readable() {
    pollfd p{fd, POLLIN | POLLOUT, 0};
    return ::poll(&p, 1, 0) == 1 && p.revents == POLLIN;
  }
  void set_blocking() { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK); }

  const blocked held{SIGUSR1, SIGUSR2, SIGCHLD, SIGRTMIN + 2, SIGALRM};
  const sigset_t both = signals({SIGUSR1, SIGUSR2, SIGCHLD, SIGRTMIN + 2});
  const int fd;
};

TEST_F(Signal_Fd, FlagsAreWhatWasAskedFor) {
  EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  const int other = quay_signalfd(-1, &both, SFD_CLOEXEC);
  ASSERT_GE(other, 0);
  EXPECT_EQ(fcntl(other, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(fcntl(other, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  quay_close(other);
}

TEST_F(Signal_Fd, WrongArgumentsAreRefused) {
  const auto error_of = [](int on, const sigset_t* mask, int flags) {
    errno = 0;
    return quay_signalfd(on, mask, flags) == -1 ? errno : 0;
  };
  EXPECT_EQ(error_of(-1, &both, ~0 & ~QUAY_SIGNALFD_LINUX), EINVAL);
  EXPECT_EQ(error_of(-1, nullptr, 0), EFAULT);
  EXPECT_EQ(error_of(-1, reinterpret_cast<const sigset_t*>(8), 0), EFAULT);
  EXPECT_EQ(error_of(-2, &both, 0), EBADF);
  EXPECT_EQ(error_of(99999, &both, 0), EBADF);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(error_of(ends[0], &both, 0), ENOTTY);
  close(ends[0]);
  close(ends[1]);
  EXPECT_EQ(error_of(fd, nullptr, 0), EFAULT);
  EXPECT_EQ(error_of(fd, &both, ~0 & ~QUAY_SIGNALFD_LINUX), 0) << "flags of an update do not count";
}

TEST_F(Signal_Fd, LinuxRulesCanBeHad) {
  const sigset_t none = signals({});
  EXPECT_EQ(quay_signalfd(fd, &both, QUAY_SIGNALFD_LINUX | 1), -1);
  EXPECT_EQ(errno, EINVAL);
  const int other = quay_signalfd(-1, &none, QUAY_SIGNALFD_LINUX | SFD_NONBLOCK);
  ASSERT_GE(other, 0);
  char record[128];
  EXPECT_EQ(quay_read(other, record, sizeof record), -1);
  EXPECT_EQ(errno, EAGAIN);
  quay_close(other);
}

TEST_F(Signal_Fd, AnEmptyReadWouldBlock) { EXPECT_EQ(error_of_read(), EAGAIN); }

TEST_F(Signal_Fd, RoomForLessThanARecordIsRefused) {
  raise(SIGUSR1);
  EXPECT_EQ(error_of_read(127), EINVAL);
  EXPECT_EQ(error_of_read(0), EINVAL);
  EXPECT_THAT(read_records(), ElementsAre(SIGUSR1)) << "nothing was taken";
}

TEST_F(Signal_Fd, AnEmptyMaskCannotBeRead) {
  for (const sigset_t& mask : {signals({}), signals({SIGKILL, SIGSTOP})}) {
    ASSERT_EQ(quay_signalfd(fd, &mask, 0), fd);
    EXPECT_EQ(error_of_read(), EINVAL);
    set_blocking();
    EXPECT_EQ(error_of_read(), EINVAL) << "nor waited for";
  }
}

TEST_F(Signal_Fd, OneReadTakesWhatIsPendingInNumberOrderAndNoMoreThanFits) {
  kill(getpid(), SIGUSR2);
  kill(getpid(), SIGUSR1);
  EXPECT_THAT(read_records(3), ElementsAre(SIGUSR1, SIGUSR2));
  kill(getpid(), SIGUSR2);
  kill(getpid(), SIGUSR1);
  EXPECT_THAT(read_records(1), ElementsAre(SIGUSR1));
  EXPECT_THAT(read_records(1), ElementsAre(SIGUSR2));
  kill(getpid(), SIGUSR2);
  kill(getpid(), SIGUSR1);
  char room[300];
  EXPECT_EQ(quay_read(fd, room, sizeof room), 256);
}

TEST_F(Signal_Fd, StandardSignalsMergeAndQueuedOnesDoNot) {
  for (int i = 0; i < 3; ++i) kill(getpid(), SIGUSR1);
  EXPECT_THAT(read_records(), ElementsAre(SIGUSR1));
  for (int i = 0; i < 5; ++i) {
    sigval value{};
    value.sival_int = i;
    ASSERT_EQ(sigqueue(getpid(), SIGRTMIN + 2, value), 0);
  }
  for (int i = 0; i < 5; ++i) {
    const signalfd_siginfo record = read_one();
    EXPECT_EQ(record.ssi_signo, static_cast<uint32_t>(SIGRTMIN + 2));
    EXPECT_EQ(record.ssi_int, i);
    EXPECT_EQ(record.ssi_code, SI_QUEUE);
    EXPECT_EQ(record.ssi_pid, static_cast<uint32_t>(getpid()));
  }
  EXPECT_EQ(error_of_read(), EAGAIN);
}

TEST_F(Signal_Fd, SignalsDirectedAtTheReaderComeBeforeThoseOfTheProcess) {
  kill(getpid(), SIGUSR1);
  pthread_kill(pthread_self(), SIGUSR2);
  EXPECT_THAT(read_records(), ElementsAre(SIGUSR2, SIGUSR1));
}

TEST_F(Signal_Fd, ARecordTellsTheSender) {
  kill(getpid(), SIGUSR1);
  const signalfd_siginfo record = read_one();
  EXPECT_EQ(record.ssi_code, SI_USER);
  EXPECT_EQ(record.ssi_pid, static_cast<uint32_t>(getpid()));
  EXPECT_EQ(record.ssi_uid, getuid());
}

TEST_F(Signal_Fd, AChildsRecordTellsItsEnd) {
  const pid_t pid = fork();
  if (pid == 0) _exit(42);
  set_blocking();
  const signalfd_siginfo record = read_one();
  EXPECT_EQ(record.ssi_signo, static_cast<uint32_t>(SIGCHLD));
  EXPECT_EQ(record.ssi_code, CLD_EXITED);
  EXPECT_EQ(record.ssi_pid, static_cast<uint32_t>(pid));
  EXPECT_EQ(record.ssi_status, 42);
  waitpid(pid, nullptr, 0);
}

TEST_F(Signal_Fd, ARecordMayLieAcrossBuffers) {
  kill(getpid(), SIGUSR1);
  char first[2];
  char second[200];
  const iovec parts[] = {{first, sizeof first}, {second, sizeof second}};
  EXPECT_EQ(quay_readv(fd, parts, 2), 128);
  uint32_t number = 0;
  memcpy(&number, first, 2);
  memcpy(reinterpret_cast<char*>(&number) + 2, second, 2);
  EXPECT_EQ(number, static_cast<uint32_t>(SIGUSR1));
}

TEST_F(Signal_Fd, ABadBufferIsAFault) {
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(quay_read(fd, reinterpret_cast<void*>(8), 128), -1);
  EXPECT_EQ(errno, EFAULT);
}

TEST_F(Signal_Fd, ABlockedReaderIsReleased) {
  set_blocking();
  std::thread sender([] { kill(getpid(), SIGUSR2); });
  EXPECT_THAT(read_records(1), ElementsAre(SIGUSR2));
  sender.join();
}

TEST_F(Signal_Fd, AReadTakesWhatTheReaderDoesNotBlock) {
  const disposition handled(SIGUSR1, recording());
  const sigset_t one = signals({SIGUSR1});
  pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  set_blocking();
  const pid_t parent = getpid();
  const pthread_t self = pthread_self();
  std::atomic<pid_t> reader{gettid()};
  std::thread sender([&] {
    // Once the reader sleeps, its thread blocks the signal.
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/wchan", parent, reader.load());
    for (;;) {
      char where[64] = {};
      FILE* f = fopen(path, "r");
      if (f == nullptr) break;
      const bool got = fgets(where, sizeof where, f) != nullptr;
      fclose(f);
      if (got && strstr(where, "signalfd") != nullptr) break;
      std::this_thread::yield();
    }
    pthread_kill(self, SIGUSR1);
  });
  EXPECT_THAT(read_records(1), ElementsAre(SIGUSR1));
  sender.join();
  EXPECT_EQ(seen.calls, 0);
  EXPECT_FALSE(is_blocked(SIGUSR1)) << "only while it read";
}

TEST_F(Signal_Fd, WritingIsRefused) {
  EXPECT_EQ(quay_write(fd, "x", 1), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(Signal_Fd, OtherIoctlsAreRefusedAndTheMaskIsOne) {
  int n = 0;
  EXPECT_EQ(quay_ioctl(fd, FIONREAD, &n), -1);
  EXPECT_EQ(errno, ENOTTY);
  const sigset_t one = signals({SIGUSR1});
  EXPECT_EQ(quay_ioctl(fd, SIGNALFDIOC_MASK, &one), 0);
  kill(getpid(), SIGUSR2);
  kill(getpid(), SIGUSR1);
  EXPECT_THAT(read_records(), ElementsAre(SIGUSR1));
}

TEST_F(Signal_Fd, AMaskReplacedThroughADuplicateOrByAChildHoldsForAll) {
  const int copy = dup(fd);
  const sigset_t one = signals({SIGUSR1});
  ASSERT_EQ(quay_signalfd(copy, &one, 0), copy);
  kill(getpid(), SIGUSR2);
  EXPECT_EQ(error_of_read(), EAGAIN);
  EXPECT_EQ(status_of_child([&] { return quay_signalfd(fd, &both, 0) == fd ? 0 : 1; }), 0);
  const std::vector<int> got = read_records();
  EXPECT_THAT(got, testing::Contains(SIGUSR2));
  quay_close(copy);
}

// A mask that is emptied while records are being read ends the read with what it has; the rest stays.
TEST_F(Signal_Fd, AMaskEmptiedDuringAReadLosesNoRecord) {
  constexpr int kRecords = 2000;
  const sigset_t none = signals({});
  const sigset_t queued = signals({SIGRTMIN + 2});
  ASSERT_EQ(quay_signalfd(fd, &queued, 0), fd);
  std::atomic<bool> done{false};
  std::thread changer([&] {
    while (!done) {
      quay_signalfd(fd, &none, 0);
      quay_signalfd(fd, &queued, 0);
    }
  });
  int sent = 0;
  for (int next = 0; next < kRecords;) {
    if (sent < kRecords && sigqueue(getpid(), SIGRTMIN + 2, sigval{sent}) == 0) ++sent;
    signalfd_siginfo records[8];
    const ssize_t n = quay_read(fd, records, sizeof records);
    if (n < 0) {
      ASSERT_THAT(errno, testing::AnyOf(EAGAIN, EINVAL));  // nothing there; the mask is empty
      continue;
    }
    ASSERT_EQ(n % 128, 0);
    ASSERT_GT(n, 0);
    for (ssize_t k = 0; k * 128 < n; ++k, ++next) ASSERT_EQ(records[k].ssi_int, next);
  }
  done = true;
  changer.join();
}

TEST_F(Signal_Fd, AThreadDoesNotSeeWhatIsDirectedAtAnother) {
  std::atomic<bool> sent{false};
  std::vector<int> theirs;
  std::thread other([&] {
    while (!sent) std::this_thread::yield();
    theirs = read_records();
  });
  pthread_kill(other.native_handle(), SIGUSR1);
  EXPECT_EQ(error_of_read(), EAGAIN);
  EXPECT_FALSE(readable());
  sent = true;
  other.join();
  EXPECT_THAT(theirs, ElementsAre(SIGUSR1));
}

TEST_F(Signal_Fd, AChildReadsItsOwnSignalsAndNotTheParents) {
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(status_of_child([&] {
              if (error_of_read() != EAGAIN) return 1;
              raise(SIGUSR2);
              const std::vector<int> got = read_records();
              return got == std::vector<int>{SIGUSR2} ? 0 : 2;
            }),
            0);
  EXPECT_THAT(read_records(1), ElementsAre(SIGUSR1));
}

TEST_F(Signal_Fd, AQueueTellsHowManyRecordsArePending) {
  const queue kq = make_queue();
  ASSERT_THAT(alter(kq, {add(static_cast<uintptr_t>(fd), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  raise(SIGUSR1);
  kill(getpid(), SIGUSR2);
  const auto readable = Event(static_cast<uintptr_t>(fd), EVFILT_READ);
  EXPECT_THAT(poll(kq), ElementsAre(event_matcher(readable).data(2)));
  EXPECT_THAT(read_records(1), ElementsAre(SIGUSR1));
  EXPECT_THAT(poll(kq), ElementsAre(event_matcher(readable).data(1)));
  EXPECT_THAT(read_records(), ElementsAre(SIGUSR2));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_F(Signal_Fd, AQueueWaitsForRecordsAndAChildsQueueForItsOwn) {
  const queue kq = make_queue();
  ASSERT_THAT(alter(kq, {add(static_cast<uintptr_t>(fd), EVFILT_READ)}), Succeeds());
  EXPECT_EQ(status_of_child([&] {
              const queue mine = make_queue();
              if (alter(mine, {add(static_cast<uintptr_t>(fd), EVFILT_READ)}).result != 0) return 1;
              kill(getppid(), SIGUSR1);
              if (!poll(mine).empty()) return 2;
              raise(SIGUSR2);
              return poll(mine).size() == 1 ? 0 : 3;
            }),
            0);
  const events got = await(kq);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_THAT(read_records(), testing::Contains(SIGUSR1));
}

TEST_F(Signal_Fd, EvfiltSignalCountsWhatAReadTakes) {
  const queue kq = make_queue();
  ASSERT_THAT(alter(kq, {add(SIGUSR1, EVFILT_SIGNAL)}), Succeeds());
  const auto counted = [](intptr_t times) {
    return Event(SIGUSR1, EVFILT_SIGNAL).flags(EV_CLEAR).data(times);
  };
  for (int round = 0; round < 3; ++round) {
    kill(getpid(), SIGUSR1);
    EXPECT_THAT(read_records(), ElementsAre(SIGUSR1));
    EXPECT_THAT(poll(kq), ElementsAre(counted(1))) << "taken before anybody looked";
    kill(getpid(), SIGUSR1);
    EXPECT_THAT(poll(kq), ElementsAre(counted(1)));
    EXPECT_THAT(read_records(), ElementsAre(SIGUSR1));
    EXPECT_THAT(poll(kq), IsEmpty());
  }
}

TEST_F(Signal_Fd, ItSurvivesExecWithMaskAndPendingSignals) {
  const int plain = quay_signalfd(-1, &both, 0);
  ASSERT_GE(plain, 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    raise(SIGUSR2);
    dup2(plain, 0);
    dup2(ends[1], 1);
    execlp("head", "head", "-c", "128", nullptr);
    _exit(1);
  }
  close(ends[1]);
  signalfd_siginfo record{};
  EXPECT_EQ(read(ends[0], &record, sizeof record), 128);
  EXPECT_EQ(record.ssi_signo, static_cast<uint32_t>(SIGUSR2));
  close(ends[0]);
  waitpid(pid, nullptr, 0);
  quay_close(plain);
}

TEST_F(Signal_Fd, TheFaceOfIllumosIsTheSameCall) {
  const int other = signalfd(-1, &both, SFD_NONBLOCK);
  ASSERT_GE(other, 0);
  EXPECT_EQ(quay_write(other, "x", 1), -1);
  EXPECT_EQ(errno, EBADF) << "libc's would say EINVAL";
  quay_close(other);
}

}  // namespace
}  // namespace quay::test
