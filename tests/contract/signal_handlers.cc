// SPDX-License-Identifier: BSD-2-Clause
//
// What: a program does not notice that a queue watches its signals: handlers, queries, defaults,
// masks and exec are as if nobody watched.
// Contract: signal semantics B8 rules 1-5 and 9; tests E3, E4, E8, E10-E13, E16.
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/kqueue.hpp"
#include "support/matchers.hpp"
#include "support/signals.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Signal_Handlers : public testing::Test {
 protected:
  void SetUp() override { seen.clear(); }
  void watch(int number) { ASSERT_THAT(alter(kq, {add(number, EVFILT_SIGNAL)}), Succeeds()); }
  intptr_t counted(int number) {
    intptr_t sum = 0;
    for (const struct kevent& e : poll(kq)) {
      if (e.filter == EVFILT_SIGNAL && e.ident == static_cast<uintptr_t>(number)) sum += e.data;
    }
    return sum;
  }
  static struct sigaction query(int number) {
    struct sigaction now {};
    sigaction(number, nullptr, &now);
    return now;
  }

  queue kq = make_queue();
};

TEST_F(Signal_Handlers, AHandlerSeesTheSendersSiginfo) {
  const disposition handled(SIGUSR1, recording());
  watch(SIGUSR1);
  sigval value{};
  value.sival_int = 4711;
  ASSERT_EQ(sigqueue(getpid(), SIGUSR1, value), 0);
  EXPECT_EQ(seen.calls, 1);
  EXPECT_EQ(seen.code, SI_QUEUE);
  EXPECT_EQ(seen.value, 4711);
  EXPECT_EQ(seen.sender, getpid());
  EXPECT_EQ(seen.thread, gettid());
}

TEST_F(Signal_Handlers, TheHandlersMaskAndNodeferHold) {
  QUAY_SKIP_UNDER_TSAN();
  {
    const disposition handled(SIGUSR1, recording(0, {SIGUSR2}));
    watch(SIGUSR1);
    raise(SIGUSR1);
    EXPECT_TRUE(seen.blocks_itself);
    EXPECT_TRUE(seen.blocks_other);
    EXPECT_FALSE(is_blocked(SIGUSR1));
    EXPECT_FALSE(is_blocked(SIGUSR2));
    ASSERT_THAT(alter(kq, {remove(SIGUSR1, EVFILT_SIGNAL)}), Succeeds());
  }
  const disposition handled(SIGUSR1, recording(SA_NODEFER));
  watch(SIGUSR1);
  raise(SIGUSR1);
  EXPECT_FALSE(seen.blocks_itself);
  EXPECT_FALSE(seen.blocks_other);
}

TEST_F(Signal_Handlers, TheAlternateStackIsUsedWhereItIsAskedFor) {
  constexpr size_t kSize = 1 << 16;
  const auto memory = std::make_unique<char[]>(kSize);
  stack_t own{};
  stack_t before{};
  own.ss_sp = memory.get();
  own.ss_size = kSize;
  ASSERT_EQ(sigaltstack(&own, &before), 0);
  {
    const disposition handled(SIGUSR1, recording(SA_ONSTACK));
    watch(SIGUSR1);
    raise(SIGUSR1);
    const auto at = static_cast<const char*>(seen.stack.load());
    EXPECT_GE(at, memory.get());
    EXPECT_LT(at, memory.get() + kSize);
    kq.close();
  }
  before.ss_flags = SS_DISABLE;
  sigaltstack(&before, nullptr);
}

TEST_F(Signal_Handlers, ResethandRunsTheHandlerOnceAndThenTheDefaultRules) {
  const disposition handled(SIGURG, recording(static_cast<int>(SA_RESETHAND)));
  watch(SIGURG);
  raise(SIGURG);
  raise(SIGURG);
  EXPECT_EQ(seen.calls, 1);
  EXPECT_EQ(counted(SIGURG), 2);
}

TEST_F(Signal_Handlers, ResethandOfATerminatingSignalTerminatesAtTheSecond) {
  const int status = status_of_child([] {
    const queue mine = make_queue();
    const disposition handled(SIGUSR1, recording(static_cast<int>(SA_RESETHAND)));
    if (alter(mine, {add(SIGUSR1, EVFILT_SIGNAL)}).result != 0) return 1;
    raise(SIGUSR1);
    if (seen.calls != 1) return 2;
    raise(SIGUSR1);
    return 3;
  });
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  EXPECT_EQ(WTERMSIG(status), SIGUSR1);
}

TEST_F(Signal_Handlers, AHandlerMayLeaveByAJumpAndTheCountsStayRight) {
  static sigjmp_buf back;
  const disposition handled(SIGUSR1, [](int) { siglongjmp(back, 1); });
  watch(SIGUSR1);
  constexpr int kJumps = 10000;
  static int jumps;  // not a register that a jump would bring back
  for (jumps = 0; jumps < kJumps; ++jumps) {
    if (sigsetjmp(back, 1) == 0) raise(SIGUSR1);
  }
  EXPECT_EQ(counted(SIGUSR1), kJumps);
  EXPECT_FALSE(is_blocked(SIGUSR1));
}

TEST_F(Signal_Handlers, ErrnoIsWhatTheInterruptedCodeHad) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  watch(SIGUSR1);
  errno = EDOM;
  raise(SIGUSR1);
  EXPECT_EQ(errno, EDOM);
}

TEST_F(Signal_Handlers, QueriesAnswerWhatTheProgramSet) {
  QUAY_SKIP_UNLESS_HOOKED();
  watch(SIGUSR1);
  EXPECT_EQ(query(SIGUSR1).sa_handler, SIG_DFL);
  struct sigaction old {};
  const struct sigaction mine = recording(SA_NODEFER | SA_RESTART, {SIGUSR2});
  ASSERT_EQ(sigaction(SIGUSR1, &mine, &old), 0);
  EXPECT_EQ(old.sa_handler, SIG_DFL);
  const struct sigaction now = query(SIGUSR1);
  EXPECT_EQ(now.sa_sigaction, recorder);
  EXPECT_EQ(now.sa_flags & (SA_NODEFER | SA_RESTART | SA_SIGINFO | SA_ONSTACK),
            SA_NODEFER | SA_RESTART | SA_SIGINFO);
  EXPECT_EQ(sigismember(&now.sa_mask, SIGUSR2), 1);
  EXPECT_EQ(sigismember(&now.sa_mask, SIGUSR1), 0);
  EXPECT_EQ(signal(SIGUSR1, SIG_IGN), mine.sa_handler);
  EXPECT_EQ(query(SIGUSR1).sa_handler, SIG_IGN);
  EXPECT_EQ(signal(SIGUSR1, SIG_DFL), SIG_IGN);
  EXPECT_EQ(query(SIGUSR1).sa_handler, SIG_DFL);
}

TEST_F(Signal_Handlers, ADispositionSetWhileWatchedRulesAtOnceAndCounts) {
  watch(SIGUSR1);
  {
    const disposition handled(SIGUSR1, recording());
    if (!hooked()) poll(kq);  // without hooks a call of kevent() finds out
    raise(SIGUSR1);
    EXPECT_EQ(seen.calls, 1);
  }
  {
    const disposition ignored(SIGUSR1, SIG_IGN);
    if (!hooked()) {
      EXPECT_EQ(counted(SIGUSR1), 1);
    }
    raise(SIGUSR1);
    EXPECT_EQ(counted(SIGUSR1), hooked() ? 2 : 1);
  }
}

TEST_F(Signal_Handlers, TheProgramsDispositionIsThereWhenNobodyWatchesAnyMore) {
  const struct sigaction mine = recording(SA_NODEFER, {SIGUSR2});
  const disposition handled(SIGUSR1, mine);
  for (int round = 0; round < 3; ++round) {
    watch(SIGUSR1);
    ASSERT_THAT(alter(kq, {remove(SIGUSR1, EVFILT_SIGNAL)}), Succeeds());
    const struct sigaction now = query(SIGUSR1);
    EXPECT_EQ(now.sa_sigaction, recorder);
    EXPECT_EQ(now.sa_flags & SA_NODEFER, SA_NODEFER);
    EXPECT_EQ(sigismember(&now.sa_mask, SIGUSR2), 1);
  }
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST_F(Signal_Handlers, SiginterruptIsRememberedBySignal) {
  QUAY_SKIP_UNDER_TSAN();
  QUAY_SKIP_UNLESS_HOOKED();
  const disposition before(SIGUSR1, SIG_DFL);
  watch(SIGUSR1);
  signal(SIGUSR1, [](int) {});
  EXPECT_EQ(query(SIGUSR1).sa_flags & SA_RESTART, SA_RESTART);
  ASSERT_EQ(siginterrupt(SIGUSR1, 1), 0);
  EXPECT_EQ(query(SIGUSR1).sa_flags & SA_RESTART, 0);
  signal(SIGUSR1, [](int) {});
  EXPECT_EQ(query(SIGUSR1).sa_flags & SA_RESTART, 0);
  ASSERT_EQ(siginterrupt(SIGUSR1, 0), 0);
  EXPECT_EQ(query(SIGUSR1).sa_flags & SA_RESTART, SA_RESTART);
}
#pragma GCC diagnostic pop

TEST_F(Signal_Handlers, IgnoringDropsWhatIsPending) {
  QUAY_SKIP_UNLESS_HOOKED();
  const disposition handled(SIGUSR1, recording());
  watch(SIGUSR1);
  const blocked now{SIGUSR1};
  raise(SIGUSR1);
  ASSERT_TRUE(is_pending(SIGUSR1));
  const disposition ignored(SIGUSR1, SIG_IGN);
  EXPECT_FALSE(is_pending(SIGUSR1));
}

TEST_F(Signal_Handlers, DyingOfAWatchedSignalLooksAsEver) {
  for (const int number : {SIGTERM, SIGUSR1, SIGABRT}) {
    const int status = status_of_child([number] {
      const queue mine = make_queue();
      if (alter(mine, {add(number, EVFILT_SIGNAL)}).result != 0) return 1;
      raise(number);
      return 2;
    });
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    EXPECT_EQ(WTERMSIG(status), number);
  }
}

TEST_F(Signal_Handlers, AHandledFaultReachesItsHandler) {
  static sigjmp_buf back;
  static std::atomic<int> code;
  struct sigaction act {};
  act.sa_flags = SA_SIGINFO;
  act.sa_sigaction = [](int, siginfo_t* info, void*) {
    code = info->si_code;
    siglongjmp(back, 1);
  };
  // Machines differ in which of the two a trap raises.
  const disposition illegal(SIGILL, act);
  const disposition trap(SIGTRAP, act);
  watch(SIGILL);
  watch(SIGTRAP);
  if (sigsetjmp(back, 1) == 0) __builtin_trap();
  EXPECT_GT(code, 0);
  EXPECT_THAT(poll(kq),
              ElementsAre(testing::AnyOf(Event(SIGILL, EVFILT_SIGNAL).flags(EV_CLEAR).data(1),
                                         Event(SIGTRAP, EVFILT_SIGNAL).flags(EV_CLEAR).data(1))));
}

TEST_F(Signal_Handlers, StoppingStopsAndContinuingCounts) {
  constexpr int kRounds = 2;
  int gate[2];
  ASSERT_EQ(pipe(gate), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);  // with a parent in another group of the session it is no orphan, and may stop
    const queue mine = make_queue();
    alter(mine, {add(SIGTSTP, EVFILT_SIGNAL), add(SIGCONT, EVFILT_SIGNAL)});
    bool told = write(gate[1], "", 1) == 1;
    for (int round = 0; round < kRounds; ++round) {
      for (intptr_t missing = 2; missing > 0;) {
        for (const struct kevent& e : await(mine)) missing -= e.data;
      }
      told = write(gate[1], "", 1) == 1 && told;
    }
    _exit(told ? 0 : 1);
  }
  close(gate[1]);
  char byte;
  ASSERT_EQ(read(gate[0], &byte, 1), 1);
  int status = 0;
  for (int round = 0; round < kRounds; ++round) {
    kill(pid, SIGTSTP);
    ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
    ASSERT_TRUE(WIFSTOPPED(status)) << status;
    EXPECT_EQ(WSTOPSIG(status), SIGTSTP);
    kill(pid, SIGCONT);
    ASSERT_EQ(read(gate[0], &byte, 1), 1) << "the child did not count both";
  }
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  close(gate[0]);
}

TEST_F(Signal_Handlers, APostingToAForkedChildIsNotTheParents) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  watch(SIGUSR1);
  EXPECT_EQ(status_of_child([] { return raise(SIGUSR1); }), 0);
  EXPECT_EQ(counted(SIGUSR1), 0);
  raise(SIGUSR1);
  EXPECT_EQ(counted(SIGUSR1), 1);
}

TEST_F(Signal_Handlers, AForkedChildHasTheProgramsDispositionsAndWatchesAnew) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  const disposition handled(SIGUSR2, recording());
  watch(SIGUSR1);
  watch(SIGUSR2);
  EXPECT_EQ(status_of_child([] {
              if (query(SIGUSR1).sa_handler != SIG_IGN) return 1;
              if (query(SIGUSR2).sa_sigaction != recorder) return 2;
              raise(SIGUSR1);
              raise(SIGUSR2);
              if (seen.calls != 1) return 3;
              const queue mine = make_queue();
              if (alter(mine, {add(SIGUSR1, EVFILT_SIGNAL)}).result != 0) return 4;
              raise(SIGUSR1);
              const events got = poll(mine);
              return got.size() == 1 && got[0].data == 1 ? 0 : 5;
            }),
            0);
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_F(Signal_Handlers, APostingToAVforkChildIsNotTheParents) {
  const disposition ignored(SIGUSR1, SIG_IGN);
  watch(SIGUSR1);
  // NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork): what is tested
  const pid_t pid = vfork();
  if (pid == 0) {
    kill(getpid(), SIGUSR1);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(counted(SIGUSR1), 0);
}

// The ignored signals of a process, as the kernel shows them.
std::string ignored_line(FILE* from) {
  char line[256];
  std::string found;
  while (fgets(line, sizeof line, from) != nullptr) {
    if (strncmp(line, "SigIgn:", 7) == 0) found = line + 7;
  }
  return found;
}
bool ignores(const std::string& line, int number) {
  return (strtoull(line.c_str(), nullptr, 16) >> (number - 1) & 1) != 0;
}

class Signal_Exec : public Signal_Handlers {
 protected:
  void SetUp() override {
    Signal_Handlers::SetUp();
    if (!hooked()) GTEST_SKIP() << "needs the hooks library: nothing else can see exec";
    watch(SIGUSR1);
    watch(SIGUSR2);
  }
  const disposition ignored{SIGUSR1, SIG_IGN};
  const disposition handled{SIGUSR2, recording()};

  void expect_inherited(const std::string& line) {
    EXPECT_TRUE(ignores(line, SIGUSR1)) << line;
    EXPECT_FALSE(ignores(line, SIGUSR2)) << line;
    raise(SIGUSR1);
    EXPECT_EQ(counted(SIGUSR1), 1) << "this process goes on counting";
  }
  template <class Run>
  std::string seen_by_child(Run run) {
    int ends[2];
    if (pipe(ends) != 0) return "";
    const pid_t pid = fork();
    if (pid == 0) {
      dup2(ends[1], 1);
      // A child has no queues; it watches again, so that there is something to hide.
      const queue mine = make_queue();
      alter(mine, {add(SIGUSR1, EVFILT_SIGNAL)});
      run();
      _exit(1);
    }
    close(ends[1]);
    FILE* from = fdopen(ends[0], "r");
    const std::string line = ignored_line(from);
    fclose(from);
    waitpid(pid, nullptr, 0);
    return line;
  }
  static constexpr const char* kFile = "/proc/self/status";
};

TEST_F(Signal_Exec, IgnoredSignalsStayIgnoredThroughPopen) {
  FILE* from = popen("cat /proc/self/status", "r");
  ASSERT_NE(from, nullptr);
  const std::string line = ignored_line(from);
  pclose(from);
  expect_inherited(line);
}

TEST_F(Signal_Exec, IgnoredSignalsStayIgnoredThroughSystem) {
  char name[] = "/tmp/quay-signals-XXXXXX";
  const int fd = mkstemp(name);
  ASSERT_GE(fd, 0);
  const std::string command = "cat /proc/self/status > " + std::string(name) + "; exit 7";
  const int status = system(command.c_str());
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  FILE* from = fdopen(fd, "r");
  const std::string line = ignored_line(from);
  fclose(from);
  unlink(name);
  expect_inherited(line);
}

TEST_F(Signal_Exec, IgnoredSignalsStayIgnoredThroughPosixSpawn) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  char* argv[] = {const_cast<char*>("cat"), const_cast<char*>(kFile), nullptr};
  pid_t pid = 0;
  ASSERT_EQ(posix_spawnp(&pid, "cat", &actions, nullptr, argv, environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  FILE* from = fdopen(ends[0], "r");
  const std::string line = ignored_line(from);
  fclose(from);
  waitpid(pid, nullptr, 0);
  expect_inherited(line);
}

TEST_F(Signal_Exec, IgnoredSignalsStayIgnoredThroughEveryExec) {
  char* argv[] = {const_cast<char*>("cat"), const_cast<char*>(kFile), nullptr};
  expect_inherited(seen_by_child([&] { execv("/bin/cat", argv); }));
  expect_inherited(seen_by_child([&] { execve("/bin/cat", argv, environ); }));
  expect_inherited(seen_by_child([&] { execvp("cat", argv); }));
  expect_inherited(seen_by_child([&] { execl("/bin/cat", "cat", kFile, nullptr); }));
  expect_inherited(seen_by_child([&] { execlp("cat", "cat", kFile, nullptr); }));
  expect_inherited(seen_by_child([&] { execle("/bin/cat", "cat", kFile, nullptr, environ); }));
  expect_inherited(seen_by_child([&] {
    const int fd = open("/bin/cat", O_RDONLY | O_CLOEXEC);
    fexecve(fd, argv, environ);
  }));
}

TEST_F(Signal_Exec, AFailedExecLeavesEverythingAsItWas) {
  char* argv[] = {const_cast<char*>("none"), nullptr};
  EXPECT_EQ(execv("/nonexistent", argv), -1);
  EXPECT_EQ(errno, ENOENT);
  raise(SIGUSR1);
  EXPECT_EQ(counted(SIGUSR1), 1);
}

TEST_F(Signal_Handlers, AStormAtManyThreadsHalfOfWhichBlockCountsEveryDelivery) {
  constexpr int kThreads = 16;
  constexpr int kRounds = 50;
  const disposition handled(SIGUSR1, recording());
  watch(SIGUSR1);
  std::atomic<int> ready{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const sigset_t set = signals({SIGUSR1});
      if (t % 2 == 0) pthread_sigmask(SIG_BLOCK, &set, nullptr);
      ++ready;
      while (!done) std::this_thread::yield();
      pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    });
  }
  while (ready < kThreads) std::this_thread::yield();
  for (int round = 0; round < kRounds; ++round) {
    for (std::thread& t : threads) pthread_kill(t.native_handle(), SIGUSR1);
    std::this_thread::yield();
  }
  done = true;
  for (std::thread& t : threads) t.join();
  EXPECT_GE(seen.calls, kThreads);
  EXPECT_EQ(counted(SIGUSR1), seen.calls);
}

TEST_F(Signal_Handlers, RegistrationsComeAndGoWhileSignalsArriveAndNoneIsLostToItsHandler) {
  const disposition handled(SIGUSR1, recording());
  std::atomic<bool> done{false};
  int sent = 0;
  std::thread other([&] {
    const queue mine = make_queue();
    while (!done) {
      alter(mine, {add(SIGUSR1, EVFILT_SIGNAL)});
      alter(mine, {remove(SIGUSR1, EVFILT_SIGNAL)});
    }
  });
  for (; sent < 2000; ++sent) pthread_kill(pthread_self(), SIGUSR1);
  done = true;
  other.join();
  EXPECT_EQ(seen.calls, sent);
  EXPECT_EQ(query(SIGUSR1).sa_sigaction, recorder);
}

TEST_F(Signal_Handlers, HandlersMayUseTheQueueThatTheyInterrupted) {
  static int target;
  static std::atomic<int> bad;
  target = kq;
  bad = 0;
  const disposition handled(SIGUSR1, [](int) {
    const int saved = errno;
    struct kevent e[4];
    const timespec zero{};
    EV_SET(&e[0], 1, EVFILT_USER, 0, NOTE_TRIGGER, 0, nullptr);
    if (kevent(target, e, 1, e, 4, &zero) < 0) ++bad;
    errno = saved;
  });
  ASSERT_THAT(alter(kq, {add(SIGUSR1, EVFILT_SIGNAL), add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  std::atomic<bool> done{false};
  const pthread_t self = pthread_self();
  std::thread sender([&] {
    for (int i = 0; i < 3000; ++i) pthread_kill(self, SIGUSR1);
    done = true;
  });
  while (!done) poll(kq);
  sender.join();
  EXPECT_EQ(bad, 0);
}

TEST_F(Signal_Handlers, WaitingIsInterruptedByAHandlerAndNotByWhatIsIgnored) {
  const disposition handled(SIGUSR1, recording());
  const disposition ignored(SIGUSR2, SIG_IGN);
  const queue other = make_queue();
  ASSERT_THAT(alter(other, {add(SIGUSR2, EVFILT_SIGNAL)}), Succeeds());
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER)}), Succeeds());
  const pthread_t self = pthread_self();
  std::atomic<bool> done{false};
  std::thread sender([&] {
    while (!done) {
      pthread_kill(self, SIGUSR2);
      std::this_thread::yield();
    }
  });
  const outcome quiet = submit_for(kq, {}, std::chrono::milliseconds(50));
  EXPECT_EQ(quiet.result, 0) << "errno " << quiet.error;
  done = true;
  sender.join();
  done = false;
  std::thread loud([&] {
    while (!done) {
      pthread_kill(self, SIGUSR1);
      std::this_thread::yield();
    }
  });
  const outcome broken = submit_for(kq, {}, kPatience);
  EXPECT_EQ(broken.result, -1);
  EXPECT_EQ(broken.error, EINTR);
  done = true;
  loud.join();
}

}  // namespace
}  // namespace quay::test
