// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_PROC: the end of a process; EVFILT_PROCDESC.
// Contract: semantics/kqueue.md 5.6, 5.11, section 7 rows 18-21.
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "support/child.hpp"
#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

change watch(pid_t pid, unsigned bits = NOTE_EXIT, unsigned flags = 0) {
  return add(static_cast<uintptr_t>(pid), EVFILT_PROC, flags).fflags(bits);
}

// Does the kernel know the status of who has been waited for?
bool statuses_are_kept() {
  struct {
    uint64_t mask = 1U << 3;  // PIDFD_INFO_EXIT
    uint64_t rest[7] = {};
  } facts;
  child c = ends_with(1);
  const unique_fd process(static_cast<int>(::syscall(SYS_pidfd_open, c.pid(), 0)));
  c.step();
  c.wait();
  return ::ioctl(process, _IOWR(0xFF, 11, facts), &facts) == 0 && (facts.mask & (1U << 3)) != 0;
}

class Kqueue_Proc : public dialect_test {
 protected:
  // data at the end of a process with this wait status
  intptr_t shown(int status) const { return is(QUAY_DIALECT_NETBSD) ? 0 : status; }
  event_matcher End(pid_t pid, int status) const {
    return Event(static_cast<uintptr_t>(pid), EVFILT_PROC)
        .flags(EV_CLEAR | EV_ONESHOT | EV_EOF)
        .fflags(NOTE_EXIT)
        .data(shown(status));
  }

  // A grandchild, nobody we could wait for, ends; its parent has waited for it, as `how` says, before we look.
  void ends_as_a_stranger(int how) {
    int ends[2];
    checked(::pipe2(ends, O_CLOEXEC), "pipe2");
    const unique_fd news(ends[0]);
    child parent([&](const std::function<void()>& wait) {
      const pid_t grandchild = ::fork();
      if (grandchild == 0) {
        wait();
        ::_exit(7);
      }
      if (::write(ends[1], &grandchild, sizeof grandchild) < 0) return 1;
      siginfo_t info{};
      ::waitid(P_PID, static_cast<id_t>(grandchild), &info, WEXITED | how);
      if (::write(ends[1], "x", 1) < 0) return 1;
      wait();
      return 0;
    });
    ::close(ends[1]);
    pid_t grandchild = 0;
    ASSERT_EQ(::read(news, &grandchild, sizeof grandchild), ssize_t{sizeof grandchild});
    ASSERT_THAT(submit(kq, {watch(grandchild)}), Succeeds());
    parent.step();
    char waited = 0;
    ASSERT_EQ(::read(news, &waited, 1), 1);
    EXPECT_THAT(await(kq), ElementsAre(End(grandchild, 7 << 8)));
    parent.step();
  }
};

TEST_P(Kqueue_Proc, TheEndComesOnceWithTheStatus) {
  child c = ends_with(64);
  ASSERT_THAT(submit(kq, {watch(c.pid())}), Succeeds());
  c.step();
  EXPECT_THAT(await(kq), ElementsAre(End(c.pid(), 64 << 8)));
  EXPECT_EQ(c.wait(), 64 << 8) << "the child is still the program's to wait for";
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(alter(kq, {remove(static_cast<uintptr_t>(c.pid()), EVFILT_PROC)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Proc, AKilledChildShowsTheSignal) {
  child c = ends_with(0);
  ASSERT_THAT(submit(kq, {watch(c.pid())}), Succeeds());
  ::kill(c.pid(), SIGKILL);
  EXPECT_THAT(await(kq), ElementsAre(End(c.pid(), SIGKILL)));
}

TEST_P(Kqueue_Proc, EofCarriesWhatTheDialectAdds) {
  child c = ends_with(0);
  ASSERT_THAT(submit(kq, {watch(c.pid())}), Succeeds());
  c.step();
  const events got = await(kq);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ((got.front().flags & EV_NODATA) != 0, is(QUAY_DIALECT_DRAGONFLY));
}

TEST_P(Kqueue_Proc, AWaiterIsWoken) {
  child c = ends_with(3);
  ASSERT_THAT(submit(kq, {watch(c.pid())}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  c.step();
  EXPECT_THAT(thread.result(), Returns(ElementsAre(End(c.pid(), 3 << 8))));
}

TEST_P(Kqueue_Proc, AStrangersEndIsToldWithItsStatus) { ends_as_a_stranger(WNOWAIT); }

TEST_P(Kqueue_Proc, AStrangersStatusIsKnownAfterItsParentHasWaited) {
  if (!statuses_are_kept()) GTEST_SKIP() << "PIDFD_GET_INFO has no status here (before Linux 6.15)";
  ends_as_a_stranger(0);
}

TEST_P(Kqueue_Proc, AnUnknownProcessIsEsrch) {
  child c = ends_with(0);
  c.step();
  c.wait();
  EXPECT_THAT(alter(kq, {watch(c.pid())}), FailsWith(ESRCH));
  EXPECT_THAT(alter(kq, {watch(0)}), FailsWith(ESRCH));
  EXPECT_THAT(alter(kq, {watch(-1)}), FailsWith(ESRCH));
  EXPECT_THAT(alter(kq, {remove(1, EVFILT_PROC)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Proc, AThreadIsNoProcess) {
  thread_in_call<int> thread([] { return ::pause(); });
  ASSERT_TRUE(thread.falls_asleep());
  EXPECT_THAT(alter(kq, {watch(thread.tid())}), FailsWith(ESRCH));
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, nullptr);
  ::pthread_kill(thread.handle(), SIGUSR1);
  thread.result();
}

TEST_P(Kqueue_Proc, AZombieIsReadyAtOnceOrUnknown) {
  child c = ends_with(5);
  c.step();
  c.becomes_zombie();
  if (is(QUAY_DIALECT_NETBSD) || is(QUAY_DIALECT_OPENBSD)) {
    EXPECT_THAT(alter(kq, {watch(c.pid())}), FailsWith(ESRCH));
    return;
  }
  EXPECT_THAT(alter(kq, {watch(c.pid(), 0)}), FailsWith(ESRCH)) << "NOTE_EXIT was not asked for";
  EXPECT_THAT(submit(kq, {watch(c.pid())}), Returns(ElementsAre(End(c.pid(), 5 << 8))));
}

TEST_P(Kqueue_Proc, AnEndThatNobodyAskedForIsToldOrDropsTheNote) {
  child c = ends_with(5);
  ASSERT_THAT(submit(kq, {watch(c.pid(), 0)}), Succeeds());
  c.step();
  c.becomes_zombie();
  const auto pid = static_cast<uintptr_t>(c.pid());
  if (is(QUAY_DIALECT_FREEBSD)) {
    EXPECT_THAT(poll(kq), IsEmpty());
    EXPECT_THAT(alter(kq, {remove(pid, EVFILT_PROC)}), FailsWith(ENOENT));
  } else {
    EXPECT_THAT(await(kq), ElementsAre(Event(pid, EVFILT_PROC)
                                           .flags(EV_CLEAR | EV_ONESHOT | EV_EOF)
                                           .fflags(0)
                                           .data(shown(5 << 8))));
  }
}

TEST_P(Kqueue_Proc, AddAgainReplacesTheRequest) {
  child c = ends_with(0);
  int mark = 0;
  ASSERT_THAT(submit(kq, {watch(c.pid(), 0)}), Succeeds());
  ASSERT_THAT(submit(kq, {watch(c.pid()).udata(&mark)}), Succeeds());
  c.step();
  EXPECT_THAT(await(kq), ElementsAre(End(c.pid(), 0).udata(&mark)));
}

TEST_P(Kqueue_Proc, DeleteEndsIt) {
  child c = ends_with(0);
  const auto pid = static_cast<uintptr_t>(c.pid());
  ASSERT_THAT(submit(kq, {watch(c.pid()), remove(pid, EVFILT_PROC)}), Succeeds());
  c.step();
  c.becomes_zombie();
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Proc, DeleteTakesAPendingEndAlong) {
  child c = ends_with(0);
  const auto pid = static_cast<uintptr_t>(c.pid());
  ASSERT_THAT(submit(kq, {watch(c.pid())}), Succeeds());
  c.step();
  ASSERT_TRUE(becomes_readable(kq));
  EXPECT_THAT(submit(kq, {remove(pid, EVFILT_PROC)}), Succeeds());
}

TEST_P(Kqueue_Proc, AnEndWhileDisabledIsKept) {
  child c = ends_with(9);
  const auto pid = static_cast<uintptr_t>(c.pid());
  ASSERT_THAT(submit(kq, {watch(c.pid()), disable(pid, EVFILT_PROC).fflags(NOTE_EXIT)}),
              Succeeds());
  c.step();
  c.becomes_zombie();
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {change(pid, EVFILT_PROC, EV_ENABLE).fflags(NOTE_EXIT)}),
              Returns(ElementsAre(End(c.pid(), 9 << 8))));
}

TEST_P(Kqueue_Proc, EveryQueueIsTold) {
  child c = ends_with(1);
  const queue second = make_queue(dialect());
  ASSERT_THAT(submit(kq, {watch(c.pid())}), Succeeds());
  ASSERT_THAT(submit(second, {watch(c.pid())}), Succeeds());
  c.step();
  EXPECT_THAT(await(kq), ElementsAre(End(c.pid(), 1 << 8)));
  EXPECT_THAT(await(second), ElementsAre(End(c.pid(), 1 << 8)));
}

TEST_P(Kqueue_Proc, AReapedChildKeepsItsStatus) {
  child c = ends_with(2);
  ASSERT_THAT(submit(kq, {watch(c.pid())}), Succeeds());
  c.step();
  c.wait();
  const events got = await(kq);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got.front().fflags, unsigned{NOTE_EXIT});
  if (got.front().data == 0 && !is(QUAY_DIALECT_NETBSD))
    GTEST_SKIP() << "this kernel does not tell the status of a process that was waited for";
  EXPECT_EQ(got.front().data, shown(2 << 8));
}

// A child with a number of our choice, which lives until it is killed; -1 when the kernel refuses.
pid_t child_with_number(pid_t number) {
  clone_args wish{};
  wish.exit_signal = SIGCHLD;
  wish.set_tid = reinterpret_cast<uintptr_t>(&number);
  wish.set_tid_size = 1;
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &wish, sizeof wish));
  while (pid == 0) ::pause();
  return pid;
}

TEST_P(Kqueue_Proc, ANumberThatIsUsedAgainIsAnotherProcess) {
  child first = ends_with(1);
  const pid_t number = first.pid();
  const queue second = make_queue(dialect());
  ASSERT_THAT(submit(kq, {watch(number)}), Succeeds());
  first.step();
  first.wait();
  const pid_t again = child_with_number(number);
  if (again == -1) GTEST_SKIP() << "no choice of process numbers here: " << std::strerror(errno);
  ASSERT_EQ(again, number);
  ASSERT_THAT(submit(second, {watch(number)}), Succeeds());
  EXPECT_EQ(await(kq).size(), 1U) << "the end of the first";
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(poll(second), IsEmpty()) << "the second lives";
  ::kill(again, SIGKILL);
  EXPECT_THAT(await(second), ElementsAre(End(number, SIGKILL)));
  EXPECT_EQ(::waitpid(again, nullptr, 0), again);
  EXPECT_THAT(poll(kq), IsEmpty()) << "and its end is not the first one's";
}

TEST_P(Kqueue_Proc, TheOwnProcessAndTheFirstOneCanBeWatched) {
  EXPECT_THAT(submit(kq, {watch(::getpid()), watch(1)}), Succeeds());
}

TEST_P(Kqueue_Proc, ManyChildrenAreManyEvents) {
  constexpr size_t kChildren = 32;
  std::vector<std::unique_ptr<child>> children;
  for (size_t i = 0; i < kChildren; ++i) {
    children.push_back(std::make_unique<child>([](const std::function<void()>& wait) {
      wait();
      return 0;
    }));
    ASSERT_THAT(submit(kq, {watch(children.back()->pid())}), Succeeds());
  }
  for (auto& c : children) c->step();
  size_t told = 0;
  while (told < kChildren) {
    const size_t more = await(kq).size();
    ASSERT_GT(more, 0U);
    told += more;
  }
  EXPECT_EQ(told, kChildren);
}

TEST_P(Kqueue_Proc, OneEndReachesExactlyOneOfManyWaiters) {
  child c = ends_with(0);
  ASSERT_THAT(submit(kq, {watch(c.pid())}), Succeeds());
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER)}), Succeeds());
  constexpr int kWaiters = 4;
  std::vector<std::unique_ptr<waiter>> waiters;
  for (int i = 0; i < kWaiters; ++i) waiters.push_back(std::make_unique<waiter>(kq, 1));
  for (auto& w : waiters) ASSERT_TRUE(w->falls_asleep());
  c.step();
  c.becomes_zombie();
  const auto told = [&] {
    int n = 0;
    for (auto& w : waiters) n += w->returned() ? 1 : 0;
    return n;
  };
  while (told() == 0) std::this_thread::yield();
  ASSERT_THAT(alter(kq, {trigger(1), add(1, EVFILT_USER)}), Succeeds());
  int ends = 0;
  for (auto& w : waiters) {
    for (const struct kevent& e : w->result().events) ends += e.filter == EVFILT_PROC ? 1 : 0;
  }
  EXPECT_EQ(ends, 1);
}

QUAY_IN_ALL_DIALECTS(Kqueue_Proc);

TEST(Kqueue_ProcPermission, NetbsdAsksWhoTheProcessBelongsTo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  child c([](const std::function<void()>&) {
    if (::setresuid(65534, 65534, 65534) != 0) return 90;
    const queue kq = make_queue(QUAY_DIALECT_NETBSD);
    if (alter(kq, {watch(1)}).error != EACCES) return 91;
    const queue open = make_queue(QUAY_DIALECT_OPENBSD);
    if (alter(open, {watch(1)}).result != 0) return 92;
    return alter(kq, {watch(::getpid())}).result == 0 ? 0 : 93;
  });
  EXPECT_EQ(c.wait(), 0);
}

// EVFILT_PROCDESC is FreeBSD's; its descriptor is Linux's pidfd.
class Kqueue_Procdesc : public testing::Test {
 protected:
  unique_fd open(pid_t pid) {
    return unique_fd(checked(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), "pidfd_open"));
  }
  queue kq = make_queue();
};

TEST_F(Kqueue_Procdesc, TheEndComesWithTheStatus) {
  child c = ends_with(6);
  const unique_fd fd = open(c.pid());
  ASSERT_THAT(submit(kq, {add(fd, EVFILT_PROCDESC).fflags(NOTE_EXIT)}), Succeeds());
  c.step();
  EXPECT_THAT(await(kq), ElementsAre(Event(fd, EVFILT_PROCDESC)
                                         .flags(EV_CLEAR | EV_ONESHOT | EV_EOF)
                                         .fflags(NOTE_EXIT)
                                         .data(6 << 8)));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_F(Kqueue_Procdesc, OtherDescriptorsAreInvalid) {
  const pipe_ends p = make_pipe();
  EXPECT_THAT(alter(kq, {add(p.reader, EVFILT_PROCDESC).fflags(NOTE_EXIT)}), FailsWith(EINVAL));
  EXPECT_THAT(alter(kq, {add(1 << 20, EVFILT_PROCDESC).fflags(NOTE_EXIT)}), FailsWith(EBADF));
}

TEST_F(Kqueue_Procdesc, OtherSystemsDoNotHaveIt) {
  child c = ends_with(0);
  const unique_fd fd = open(c.pid());
  const queue netbsd = make_queue(QUAY_DIALECT_NETBSD);
  EXPECT_THAT(alter(netbsd, {add(fd, EVFILT_PROCDESC).fflags(NOTE_EXIT)}), FailsWith(EINVAL));
}

}  // namespace
}  // namespace quay::test
