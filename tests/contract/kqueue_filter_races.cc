// SPDX-License-Identifier: BSD-2-Clause
//
// What: several threads at the notes on files and processes: one event reaches one waiter, and a
//       deletion races with a delivery without harm.
// Contract: semantics/kqueue.md 4.4.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "support/child.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

TEST(Kqueue_FilterRaces, OneChangeOfAFileReachesExactlyOneOfManyWaiters) {
  const temporary_directory directory;
  const unique_fd file = directory.make_file("");
  const queue kq = make_queue();
  ASSERT_THAT(
      alter(kq, {add(file, EVFILT_VNODE, EV_CLEAR).fflags(NOTE_ATTRIB), add(1, EVFILT_USER)}),
      Succeeds());
  std::vector<std::unique_ptr<waiter>> waiters;
  for (int i = 0; i < 4; ++i) waiters.push_back(std::make_unique<waiter>(kq, 1));
  for (auto& w : waiters) ASSERT_TRUE(w->falls_asleep());
  ::fchmod(file, 0640);
  const auto told = [&] {
    int n = 0;
    for (auto& w : waiters) n += w->returned() ? 1 : 0;
    return n;
  };
  while (told() == 0) std::this_thread::yield();
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());  // a level: it wakes all the others
  int changes = 0;
  for (auto& w : waiters) {
    for (const struct kevent& e : w->result().events) changes += e.filter == EVFILT_VNODE ? 1 : 0;
  }
  EXPECT_EQ(changes, 1);
}

TEST(Kqueue_FilterRaces, OneSignalReachesExactlyOneOfManyWaiters) {
  const sighandler_t before = ::signal(SIGUSR1, SIG_IGN);
  {
    const queue kq = make_queue();
    ASSERT_THAT(alter(kq, {add(SIGUSR1, EVFILT_SIGNAL), add(1, EVFILT_USER)}), Succeeds());
    std::vector<std::unique_ptr<waiter>> waiters;
    for (int i = 0; i < 4; ++i) waiters.push_back(std::make_unique<waiter>(kq, 1));
    for (auto& w : waiters) ASSERT_TRUE(w->falls_asleep());
    ::kill(::getpid(), SIGUSR1);
    while (std::none_of(waiters.begin(), waiters.end(), [](auto& w) { return w->returned(); })) {
      std::this_thread::yield();
    }
    ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());  // a level: it wakes all the others
    int signals = 0;
    for (auto& w : waiters) {
      for (const struct kevent& e : w->result().events) signals += e.filter == EVFILT_SIGNAL;
    }
    EXPECT_EQ(signals, 1);
  }
  ::signal(SIGUSR1, before);
}

TEST(Kqueue_FilterRaces, NotesOnAFileMayBeDeletedWhileItChanges) {
  const temporary_directory directory;
  const unique_fd file = directory.make_file("");
  const queue kq = make_queue();
  std::atomic<bool> stop{false};
  thread_in_call<int> changer([&] {
    while (!stop) ::fchmod(file, 0640);
    return 0;
  });
  thread_in_call<int> reader([&] {
    while (!stop) poll(kq);
    return 0;
  });
  for (int i = 0; i < 300; ++i) {
    ASSERT_GE(submit(kq, {add(file, EVFILT_VNODE, EV_CLEAR).fflags(NOTE_ATTRIB)}).result, 0);
    ASSERT_THAT(alter(kq, {remove(file, EVFILT_VNODE)}), Succeeds());
  }
  stop = true;
  changer.result();
  reader.result();
  EXPECT_TRUE(poll(kq).empty()) << "nothing comes after the deletion";
}

TEST(Kqueue_FilterRaces, NotesOnProcessesMayBeDeletedWhileTheyEnd) {
  const queue kq = make_queue();
  std::atomic<bool> stop{false};
  thread_in_call<int> reader([&] {
    while (!stop) poll(kq);
    return 0;
  });
  for (int i = 0; i < 50; ++i) {
    child c = ends_with(0);
    const auto pid = static_cast<uintptr_t>(c.pid());
    ASSERT_GE(submit(kq, {add(pid, EVFILT_PROC).fflags(NOTE_EXIT)}).result, 0);
    c.step();
    const outcome gone = alter(kq, {remove(pid, EVFILT_PROC)});
    EXPECT_TRUE(gone.result == 0 || gone.error == ENOENT) << gone.error;
  }
  stop = true;
  reader.result();
  EXPECT_TRUE(poll(kq).empty()) << "nothing comes after the deletion";
}

}  // namespace
}  // namespace quay::test
