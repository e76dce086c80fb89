// SPDX-License-Identifier: BSD-2-Clause
//
// What: what a queue's descriptor answers to read, write, fstat, ioctl, fcntl, lseek and sendmsg.
// Contract: kqueue semantics, section 6; FIOASYNC of DragonFly, KFILTER_* and F_SETFL of NetBSD.
// The calls of quay.h are the same with and without hooks; libc's are ours only with them.
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <array>
#include <limits>

#include "support/dialects.hpp"
#include "support/guarded_memory.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

// What a call returned, and errno where that was -1.
struct answer {
  long value;
  int error;
  bool operator==(const answer&) const = default;
};
void PrintTo(const answer& a, std::ostream* os) {
  *os << a.value;
  if (a.value == -1) *os << " " << ::strerrorname_np(a.error);
}
template <typename Call>
answer of(Call call) {
  errno = 0;
  const long value = call();
  return {value, value == -1 ? errno : 0};
}
answer fails(int error) { return {-1, error}; }
constexpr answer kSuccess{0, 0};

class Kqueue_Operations : public dialect_test {
 protected:
  answer control(unsigned long request, void* argument) {
    return of([&] { return quay_ioctl(kq, request, argument); });
  }
  answer control(unsigned long request, int value) { return control(request, &value); }
};

TEST_P(Kqueue_Operations, ItCannotBeReadOrWritten) {
  std::array<char, 8> bytes{};
  const iovec part{bytes.data(), bytes.size()};
  EXPECT_EQ(of([&] { return quay_read(kq, bytes.data(), bytes.size()); }), fails(ENXIO));
  EXPECT_EQ(of([&] { return quay_write(kq, bytes.data(), bytes.size()); }), fails(ENXIO));
  EXPECT_EQ(of([&] { return quay_readv(kq, &part, 1); }), fails(ENXIO));
  EXPECT_EQ(of([&] { return quay_writev(kq, &part, 1); }), fails(ENXIO));
}

TEST_P(Kqueue_Operations, FstatSaysFifoAndHowManyEventsArePending) {
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER), trigger(1), add(2, EVFILT_USER), trigger(2),
                         add(p.reader, EVFILT_READ)}),
              Succeeds());
  struct stat st;
  ASSERT_EQ(quay_fstat(kq, &st), 0);
  EXPECT_EQ(st.st_mode, S_IFIFO + 0u);
  EXPECT_EQ(st.st_size, expected(per_dialect<off_t>{0, 3, 3, 3}));
  EXPECT_EQ(st.st_blksize, static_cast<blksize_t>(sizeof(struct kevent)));
  EXPECT_EQ(st.st_nlink, 0u);
  EXPECT_THAT(poll(kq), SizeIs(3)) << "looking takes nothing away";
}

TEST_P(Kqueue_Operations, MostControlsAreNotForIt) {
  for (const unsigned long request : {(unsigned long)FIONBIO, (unsigned long)FIONREAD,
                                      (unsigned long)FIOGETOWN, (unsigned long)TCGETS})
    EXPECT_EQ(control(request, 1), fails(ENOTTY)) << request;
  EXPECT_EQ(of([&] { return quay_ioctl(kq, FIOCLEX); }), kSuccess) << "the kernel's own business";
  EXPECT_EQ(::fcntl(kq, F_GETFD), FD_CLOEXEC);
}

TEST_P(Kqueue_Operations, OnlyDragonFlySendsSigio) {
  const answer good = is(QUAY_DIALECT_DRAGONFLY) ? kSuccess : fails(ENOTTY);
  EXPECT_EQ(control(FIOASYNC, 1), good);
  EXPECT_EQ(control(FIOSETOWN, ::getpid()), good);
  EXPECT_EQ(control(FIOASYNC, 0), good);
  EXPECT_EQ(control(FIOSETOWN, 0), good);
  EXPECT_EQ(of([&] { return quay_fcntl(kq, F_SETOWN, ::getpid()); }), good);
  EXPECT_EQ(of([&] { return quay_fcntl(kq, F_GETOWN); }), fails(ENOTTY));
  if (is(QUAY_DIALECT_DRAGONFLY)) {
    EXPECT_EQ(control(FIOSETOWN, 0x3ffffff), fails(ESRCH));
    EXPECT_EQ(control(FIOASYNC, nullptr), fails(EFAULT));
  }
}

TEST_P(Kqueue_Operations, OnlyNetBSDRefusesFileFlags) {
  const answer got = of([&] { return quay_fcntl(kq, F_SETFL, O_NONBLOCK); });
  EXPECT_EQ(got, is(QUAY_DIALECT_NETBSD) ? fails(ENOTTY) : kSuccess);
  EXPECT_GE(quay_fcntl(kq, F_GETFL), 0);
}

TEST_P(Kqueue_Operations, OnlyNetBSDTellsNamesOfFilters) {
  std::array<char, 32> name{"EVFILT_TIMER"};
  kfilter_mapping map{name.data(), name.size(), 0};
  if (!is(QUAY_DIALECT_NETBSD)) {
    EXPECT_EQ(control(KFILTER_BYNAME, &map), fails(ENOTTY));
    EXPECT_EQ(control(KFILTER_BYFILTER, &map), fails(ENOTTY));
    return;
  }
  ASSERT_EQ(control(KFILTER_BYNAME, &map), kSuccess);
  EXPECT_EQ(static_cast<int>(map.filter), EVFILT_TIMER);
  map.filter = static_cast<uint32_t>(EVFILT_READ);
  ASSERT_EQ(control(KFILTER_BYFILTER, &map), kSuccess);
  EXPECT_STREQ(name.data(), "EVFILT_READ");
  map.len = 5;
  EXPECT_EQ(control(KFILTER_BYFILTER, &map), fails(ENAMETOOLONG));
  map.filter = 0;
  EXPECT_EQ(control(KFILTER_BYFILTER, &map), fails(ENOENT));
  map.filter = static_cast<uint32_t>(-99);
  EXPECT_EQ(control(KFILTER_BYFILTER, &map), fails(ENOENT));
  name = {"EVFILT_NOTHING"};
  EXPECT_EQ(control(KFILTER_BYNAME, &map), fails(ENOENT));
  name.fill('x');
  EXPECT_EQ(control(KFILTER_BYNAME, &map), fails(ENAMETOOLONG));
  map.name = nullptr;
  EXPECT_EQ(control(KFILTER_BYNAME, &map), fails(EFAULT));
  EXPECT_EQ(control(KFILTER_BYFILTER, nullptr), fails(EFAULT));
}

TEST_P(Kqueue_Operations, WithTheHooksLibcAnswersTheSame) {
  QUAY_SKIP_UNLESS_HOOKED();
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
  struct stat st;
  ASSERT_EQ(::fstat(kq, &st), 0);
  EXPECT_EQ(st.st_mode, S_IFIFO + 0u);
  EXPECT_EQ(st.st_size, expected(per_dialect<off_t>{0, 1, 1, 1}));
  st = {};
  ASSERT_EQ(::fstatat(kq, "", &st, AT_EMPTY_PATH), 0);
  EXPECT_EQ(st.st_mode, S_IFIFO + 0u);
  int value = 1;
  EXPECT_EQ(of([&] { return ::ioctl(kq, FIONBIO, &value); }), fails(ENOTTY));
  EXPECT_EQ(of([&] { return ::ioctl(kq, FIOASYNC, &value); }),
            is(QUAY_DIALECT_DRAGONFLY) ? kSuccess : fails(ENOTTY));
  EXPECT_EQ(of([&] { return ::fcntl(kq, F_SETFL, O_NONBLOCK); }),
            is(QUAY_DIALECT_NETBSD) ? fails(ENOTTY) : kSuccess);
  EXPECT_EQ(of([&] { return ::lseek(kq, 0, SEEK_CUR); }), fails(ESPIPE));
}

TEST_P(Kqueue_Operations, FstatIntoBadMemoryFails) {
  const pages forbidden(1, PROT_NONE);
  auto* const out = static_cast<struct stat*>(forbidden.start());
  EXPECT_EQ(quay_fstat(kq, out), -1);
  EXPECT_EQ(errno, EFAULT);
  QUAY_SKIP_UNLESS_HOOKED();
  EXPECT_EQ(::fstat(kq, out), -1);
  EXPECT_EQ(errno, EFAULT);
}

TEST_P(Kqueue_Operations, PollingTakesTheTimesThatTheKernelTakes) {
  QUAY_SKIP_UNLESS_HOOKED();
  pollfd one{kq, POLLIN, 0};
  for (const timespec bad : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000}}) {
    EXPECT_EQ(::ppoll(&one, 1, &bad, nullptr), -1);
    EXPECT_EQ(errno, EINVAL) << bad.tv_sec << " s " << bad.tv_nsec << " ns";
  }
  thread_in_call<int> longest([this] {
    pollfd mine{kq, POLLIN, 0};
    const timespec ages{std::numeric_limits<time_t>::max(), 0};
    return ::ppoll(&mine, 1, &ages, nullptr);
  });
  EXPECT_TRUE(longest.falls_asleep());
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER)}), Succeeds());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_EQ(longest.result(), 1);
}

TEST_P(Kqueue_Operations, OfOtherDescriptorsLibcAnswers) {
  const temporary_directory directory;
  const unique_fd file = directory.make_file("abc");
  struct stat st;
  ASSERT_EQ(::fstat(file, &st), 0);
  EXPECT_TRUE(S_ISREG(st.st_mode));
  EXPECT_EQ(st.st_size, 3);
  EXPECT_EQ(quay_fstat(file, &st), 0);
  int pending = 0;
  EXPECT_EQ(::ioctl(file, FIONREAD, &pending), 0);
  EXPECT_EQ(pending, 3);
  EXPECT_EQ(::lseek(file, 0, SEEK_END), 3);
  EXPECT_EQ(of([] { return ::fcntl(-1, F_GETFL); }), fails(EBADF));
  EXPECT_EQ(of([&] { return ::ioctl(-1, FIONREAD, &pending); }), fails(EBADF));
}

TEST_P(Kqueue_Operations, ADuplicateByFcntlIsTheSameQueue) {
  for (const int command : {F_DUPFD, F_DUPFD_CLOEXEC}) {
    const queue twin(quay_fcntl(kq, command, 100));
    EXPECT_GE(twin.operator int(), 100);
    ASSERT_THAT(alter(twin, {add(1, EVFILT_USER), trigger(1)}), Succeeds());
    EXPECT_THAT(poll(kq), SizeIs(1));
    struct stat st;
    ASSERT_EQ(quay_fstat(twin, &st), 0);
    EXPECT_EQ(st.st_mode, S_IFIFO + 0u);
  }
}

answer send_descriptors(int over, std::vector<int> numbers) {
  std::vector<char> control(CMSG_SPACE(numbers.size() * sizeof(int)));
  char byte = 'x';
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(numbers.size() * sizeof(int));
  std::memcpy(CMSG_DATA(head), numbers.data(), numbers.size() * sizeof(int));
  return of([&] { return ::sendmsg(over, &message, 0); });
}

TEST_P(Kqueue_Operations, ItIsNotSentToOthers) {
  QUAY_SKIP_UNLESS_HOOKED();
  const socket_pair s = make_socketpair();
  const int error = expected(per_dialect<int>{EOPNOTSUPP, EOPNOTSUPP, EOPNOTSUPP, EINVAL});
  EXPECT_EQ(send_descriptors(s.here, {kq}), fails(error));
  EXPECT_EQ(send_descriptors(s.here, {s.there, kq}), fails(error));
  EXPECT_EQ(take(s.there, 10), "") << "nothing of a refused message is sent";
  EXPECT_EQ(send_descriptors(s.here, {s.there}), (answer{1, 0}));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Operations);

// DragonFly's SIGIO, blocked and counted by taking it.
class Kqueue_Sigio : public testing::Test {
 protected:
  void SetUp() override {
    sigemptyset(&io_);
    sigaddset(&io_, SIGIO);
    ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &io_, &before_), 0);
    ASSERT_EQ(quay_fcntl(kq, F_SETOWN, ::getpid()), 0);
    int on = 1;
    ASSERT_EQ(quay_ioctl(kq, FIOASYNC, &on), 0);
  }
  void TearDown() override {
    while (pending()) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  bool pending() {
    const timespec zero{};
    return ::sigtimedwait(&io_, nullptr, &zero) == SIGIO;
  }
  bool arrives() {
    const timespec patience = to_timespec(kPatience);
    return ::sigtimedwait(&io_, nullptr, &patience) == SIGIO;
  }

  queue kq = make_queue(QUAY_DIALECT_DRAGONFLY);
  sigset_t io_, before_;
};

TEST_F(Kqueue_Sigio, AUserEventInAnEmptyQueueSendsOne) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR), add(2, EVFILT_USER, EV_CLEAR)}),
              Succeeds());
  EXPECT_FALSE(pending());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_TRUE(pending()) << "sent by the call that queued it";
  ASSERT_THAT(alter(kq, {trigger(2)}), Succeeds());
  EXPECT_FALSE(pending()) << "the queue was not empty";
  ASSERT_THAT(poll(kq), SizeIs(2));
  ASSERT_THAT(alter(kq, {trigger(2)}), Succeeds());
  EXPECT_TRUE(pending());
}

TEST_F(Kqueue_Sigio, ADescriptorThatBecomesReadySendsOneWithoutAnyCall) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, EV_CLEAR)}), Succeeds());
  for (int round = 0; round < 5; ++round) {
    put(p.writer, "x");
    ASSERT_TRUE(arrives()) << round;
    ASSERT_THAT(poll(kq), SizeIs(1));
  }
}

TEST_F(Kqueue_Sigio, ALevelThatAScanPutsBackSendsNone) {
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  put(p.writer, "x");
  ASSERT_TRUE(arrives());
  ASSERT_THAT(poll(kq), SizeIs(1));
  ASSERT_THAT(poll(kq), SizeIs(1));
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_FALSE(pending()) << "the level was queued all the time";
  drain(p.reader);
  ASSERT_THAT(poll(kq), SizeIs(1));
  ASSERT_THAT(poll(kq), IsEmpty());
  put(p.writer, "x");
  EXPECT_TRUE(arrives());
}

TEST_F(Kqueue_Sigio, ATimerSendsOne) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_TIMER, EV_ONESHOT).data(1)}), Succeeds());
  EXPECT_TRUE(arrives());
  EXPECT_THAT(poll(kq), SizeIs(1));
}

TEST_F(Kqueue_Sigio, WithoutOwnerOrSwitchedOffNoneIsSent) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  int nobody = 0;
  ASSERT_EQ(quay_ioctl(kq, FIOSETOWN, &nobody), 0);
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_FALSE(pending());
  poll(kq);
  ASSERT_EQ(quay_fcntl(kq, F_SETOWN, ::getpid()), 0);
  ASSERT_EQ(quay_fcntl(kq, F_SETFL, 0), 0) << "O_ASYNC is the same switch";
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_FALSE(pending());
  poll(kq);
  ASSERT_EQ(quay_fcntl(kq, F_SETFL, O_ASYNC), 0);
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_TRUE(pending());
}

}  // namespace
}  // namespace quay::test
