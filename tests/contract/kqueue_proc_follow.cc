// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_PROC: forks, execs and the following of descendants.
// Contract: semantics/kqueue.md 5.6, section 7 rows 22 and 23. Where the kernel does not tell of
// processes (another namespace, a sandbox) the requests fail with EOPNOTSUPP, and these tests are
// skipped.
#include <sched.h>

#include <map>
#include <set>
#include <thread>

#include "support/child.hpp"
#include "support/dialects.hpp"
#include "support/matchers.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Kqueue_ProcFollow : public dialect_test {
 protected:
  void SetUp() override {
    const outcome probe = alter(kq, {watch(::getpid(), NOTE_FORK)});
    if (probe.error == EOPNOTSUPP) GTEST_SKIP() << "the kernel does not tell of processes here";
    ASSERT_THAT(probe, Succeeds());
    ASSERT_THAT(alter(kq, {remove(static_cast<uintptr_t>(::getpid()), EVFILT_PROC)}), Succeeds());
  }
  static change watch(pid_t pid, unsigned bits, unsigned flags = 0) {
    return add(static_cast<uintptr_t>(pid), EVFILT_PROC, flags).fflags(bits);
  }
  bool apart() const { return is(QUAY_DIALECT_FREEBSD); }
  static event_matcher Told(pid_t pid, unsigned bits) {
    return Event(static_cast<uintptr_t>(pid), EVFILT_PROC).any_flags().fflags(bits);
  }
};

// Forks a child that ends with `code`, and waits for it.
void fork_and_wait(int code) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(code);
  ::waitpid(pid, nullptr, 0);
}

TEST_P(Kqueue_ProcFollow, AForkIsTold) {
  child c([](const std::function<void()>& wait) {
    wait();
    fork_and_wait(0);
    wait();
    return 0;
  });
  ASSERT_THAT(submit(kq, {watch(c.pid(), NOTE_FORK | NOTE_EXIT)}), Succeeds());
  c.step();
  EXPECT_THAT(await(kq), ElementsAre(Told(c.pid(), NOTE_FORK).data(0)));
  c.step();
  EXPECT_THAT(await(kq), ElementsAre(Told(c.pid(), NOTE_EXIT)));
}

TEST_P(Kqueue_ProcFollow, AnExecIsTold) {
  child c([](const std::function<void()>& wait) {
    wait();
    ::execl("/bin/sleep", "sleep", "1000", nullptr);
    return 1;
  });
  ASSERT_THAT(submit(kq, {watch(c.pid(), NOTE_EXEC | NOTE_EXIT)}), Succeeds());
  c.step();
  EXPECT_THAT(await(kq), ElementsAre(Told(c.pid(), NOTE_EXEC)));
  ::kill(c.pid(), SIGKILL);
  EXPECT_THAT(await(kq), ElementsAre(Told(c.pid(), NOTE_EXIT)));
}

TEST_P(Kqueue_ProcFollow, WhatHappensBetweenTwoLooksIsOneEvent) {
  child c([](const std::function<void()>& wait) {
    wait();
    fork_and_wait(0);
    ::execl("/bin/true", "true", nullptr);
    return 1;
  });
  ASSERT_THAT(submit(kq, {watch(c.pid(), NOTE_FORK | NOTE_EXEC | NOTE_EXIT)}), Succeeds());
  c.step();
  c.becomes_zombie();
  EXPECT_THAT(await(kq), ElementsAre(Told(c.pid(), NOTE_FORK | NOTE_EXEC | NOTE_EXIT)));
}

TEST_P(Kqueue_ProcFollow, AThreadIsNoFork) {
  child c([](const std::function<void()>& wait) {
    wait();
    std::thread([] {}).join();
    return 0;
  });
  ASSERT_THAT(submit(kq, {watch(c.pid(), NOTE_FORK | NOTE_EXIT)}), Succeeds());
  c.step();
  EXPECT_THAT(await(kq), ElementsAre(Told(c.pid(), NOTE_EXIT)));
}

TEST_P(Kqueue_ProcFollow, OnlyWhatWasAskedForIsTold) {
  child c([](const std::function<void()>& wait) {
    wait();
    fork_and_wait(0);
    wait();
    return 0;
  });
  ASSERT_THAT(submit(kq, {watch(c.pid(), NOTE_EXEC)}), Succeeds());
  ASSERT_THAT(submit(kq, {watch(c.pid(), NOTE_EXIT)}), Succeeds());
  c.step();
  c.step();
  EXPECT_THAT(await(kq), ElementsAre(Told(c.pid(), NOTE_EXIT)));
}

TEST_P(Kqueue_ProcFollow, AFollowedChildAnnouncesItself) {
  child c([](const std::function<void()>& wait) {
    wait();
    const pid_t pid = ::fork();
    if (pid == 0) {
      wait();
      ::_exit(4);
    }
    ::waitpid(pid, nullptr, 0);
    wait();
    return 0;
  });
  int mark = 0;
  ASSERT_THAT(submit(kq, {watch(c.pid(), NOTE_TRACK | NOTE_EXIT).udata(&mark)}), Succeeds());
  c.step();
  const events first = await(kq);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first.front().fflags, unsigned{NOTE_CHILD}) << "no unrequested NOTE_FORK";
  EXPECT_EQ(first.front().data, c.pid());
  EXPECT_EQ(first.front().udata, &mark);
  const auto grandchild = static_cast<pid_t>(first.front().ident);
  c.step();
  EXPECT_THAT(await(kq),
              ElementsAre(Told(grandchild, NOTE_EXIT).data(is(QUAY_DIALECT_NETBSD) ? 0 : 4 << 8)));
  c.step();
  EXPECT_THAT(await(kq), ElementsAre(Told(c.pid(), NOTE_EXIT)));
}

TEST_P(Kqueue_ProcFollow, AChildThatEndsBeforeTheLookIsOneEventOrTwo) {
  child c([](const std::function<void()>& wait) {
    wait();
    fork_and_wait(4);
    wait();
    return 0;
  });
  ASSERT_THAT(submit(kq, {watch(c.pid(), NOTE_TRACK | NOTE_EXIT)}), Succeeds());
  c.step();
  c.step();
  c.becomes_zombie();
  std::vector<struct kevent> all;
  while (all.empty() || static_cast<pid_t>(all.back().ident) != c.pid()) {
    const events more = await(kq, 1);
    ASSERT_FALSE(more.empty());
    all.push_back(more.front());
  }
  all.pop_back();
  ASSERT_EQ(all.size(), apart() ? 2U : 1U);
  if (apart()) {
    EXPECT_EQ(all[0].fflags, unsigned{NOTE_CHILD});
    EXPECT_EQ(all[0].data, c.pid());
    EXPECT_EQ(all[1].fflags, unsigned{NOTE_EXIT});
    EXPECT_EQ(all[1].data, 4 << 8);
  } else {
    EXPECT_EQ(all[0].fflags, unsigned{NOTE_CHILD | NOTE_EXIT});
    EXPECT_EQ(all[0].data, is(QUAY_DIALECT_NETBSD) ? c.pid() : 4 << 8);
  }
}

TEST_P(Kqueue_ProcFollow, AOneShotParentsChildIsToldOnce) {
  child c([](const std::function<void()>& wait) {
    wait();
    fork_and_wait(0);
    wait();
    return 0;
  });
  ASSERT_THAT(submit(kq, {watch(c.pid(), NOTE_TRACK, EV_ONESHOT)}), Succeeds());
  c.step();
  const events first = await(kq);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_NE(first.front().fflags & NOTE_CHILD, 0U);
  EXPECT_NE(first.front().flags & EV_ONESHOT, 0);
}

TEST_P(Kqueue_ProcFollow, DescendantsOfDescendantsAreFollowed) {
  constexpr int kDepth = 20;
  child c([](const std::function<void()>& wait) {
    wait();
    for (int depth = 0; depth < kDepth; ++depth) {
      const pid_t pid = ::fork();
      if (pid != 0) {
        int status = 0;
        ::waitpid(pid, &status, 0);
        ::_exit(WEXITSTATUS(status) + 1);
      }
    }
    return 0;
  });
  ASSERT_THAT(submit(kq, {watch(c.pid(), NOTE_TRACK | NOTE_EXIT)}), Succeeds());
  c.step();
  std::map<pid_t, pid_t> parent_of;
  std::map<pid_t, intptr_t> status_of;
  while (status_of.size() < size_t{kDepth + 1}) {
    const events got = await(kq, 1);
    ASSERT_EQ(got.size(), 1U);
    const struct kevent& e = got.front();
    const auto pid = static_cast<pid_t>(e.ident);
    ASSERT_EQ(e.fflags & NOTE_TRACKERR, 0U);
    if ((e.fflags & NOTE_CHILD) != 0) parent_of[pid] = static_cast<pid_t>(e.data);
    if ((e.fflags & NOTE_EXIT) != 0) {
      EXPECT_TRUE(status_of.emplace(pid, e.data).second) << "an end is told once";
    }
  }
  EXPECT_EQ(parent_of.size(), size_t{kDepth});
  EXPECT_EQ(status_of.size(), size_t{kDepth + 1});
  if (apart()) {
    std::set<intptr_t> depths;
    for (const auto& [pid, status] : status_of) depths.insert(status >> 8);
    EXPECT_EQ(depths.size(), size_t{kDepth + 1}) << "every status is its own process's";
  }
}

TEST_P(Kqueue_ProcFollow, TheOwnChildrenCanBeFollowed) {
  ASSERT_THAT(submit(kq, {watch(::getpid(), NOTE_TRACK)}), Succeeds());
  child c = ends_with(0);
  const events got = await(kq);
  ASSERT_EQ(got.size(), 1U);
  EXPECT_THAT(got, ElementsAre(Told(c.pid(), NOTE_CHILD).data(::getpid())));
  ASSERT_THAT(alter(kq, {remove(static_cast<uintptr_t>(::getpid()), EVFILT_PROC)}), Succeeds());
}

TEST_P(Kqueue_ProcFollow, WhatWasBeforeTheNoteIsNotTold) {
  child other = ends_with(0);
  ASSERT_THAT(submit(kq, {watch(other.pid(), NOTE_FORK)}), Succeeds());  // the queue listens now
  child c([](const std::function<void()>& wait) {
    fork_and_wait(0);
    return wait(), 0;
  });
  int status = 0;
  const pid_t own = ::fork();
  if (own == 0) ::_exit(0);
  ::waitpid(own, &status, 0);
  EXPECT_THAT(submit(kq, {watch(::getpid(), NOTE_FORK)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  fork_and_wait(0);
  EXPECT_THAT(poll(kq), ElementsAre(Told(::getpid(), NOTE_FORK)));
}

QUAY_IN_ALL_DIALECTS(Kqueue_ProcFollow);

TEST(Kqueue_ProcRefused, WithoutProcessEventsOnlyTheEndCanBeWatched) {
  // In a user namespace of its own a process is not told of others.
  child c([](const std::function<void()>&) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return 77;
    const queue kq = make_queue();
    const auto self = static_cast<uintptr_t>(::getpid());
    if (alter(kq, {add(self, EVFILT_PROC).fflags(NOTE_FORK)}).error != EOPNOTSUPP) return 1;
    if (alter(kq, {remove(self, EVFILT_PROC)}).error != ENOENT) return 2;
    child own = ends_with(3);
    const auto pid = static_cast<uintptr_t>(own.pid());
    if (alter(kq, {add(pid, EVFILT_PROC).fflags(NOTE_EXIT)}).result != 0) return 3;
    own.step();
    const events got = await(kq);
    return got.size() == 1 && got.front().data == 3 << 8 ? 0 : 4;
  });
  const int status = c.wait();
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "namespaces cannot be made here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace quay::test
