// SPDX-License-Identifier: BSD-2-Clause
//
// What: the vocabulary of signal tests: dispositions and masks that are put back, handlers that
// record what they were called with, children that run a few lines and end.
#pragma once

#include <errno.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <initializer_list>

namespace quay::test {

// The thread sanitizer runs handlers when it sees fit, with a mask of its own, and merges what is
// queued: what a test says of those is then said of the sanitizer.
#if defined(__SANITIZE_THREAD__)
#define QUAY_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QUAY_THREAD_SANITIZER 1
#endif
#endif
#if defined(QUAY_THREAD_SANITIZER)
#define QUAY_SKIP_UNDER_TSAN() GTEST_SKIP() << "the thread sanitizer runs handlers its own way"
#else
#define QUAY_SKIP_UNDER_TSAN() static_cast<void>(0)
#endif

inline sigset_t signals(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (int n : numbers) sigaddset(&set, n);
  return set;
}

// A disposition for as long as it lives.
class disposition {
 public:
  disposition(int number, void (*handler)(int), int flags = 0) : number_(number) {
    struct sigaction act {};
    act.sa_handler = handler;
    act.sa_flags = flags;
    sigaction(number_, &act, &before_);
  }
  disposition(int number, const struct sigaction& act) : number_(number) {
    sigaction(number_, &act, &before_);
  }
  ~disposition() { sigaction(number_, &before_, nullptr); }
  disposition(const disposition&) = delete;
  disposition& operator=(const disposition&) = delete;

 private:
  int number_;
  struct sigaction before_ {};
};

// Signals that this thread blocks for as long as it lives. What is pending at the end is taken.
class blocked {
 public:
  blocked(std::initializer_list<int> numbers) : set_(signals(numbers)) {
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~blocked() {
    const timespec now{};
    while (sigtimedwait(&set_, nullptr, &now) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  blocked(const blocked&) = delete;
  blocked& operator=(const blocked&) = delete;

 private:
  sigset_t set_;
  sigset_t before_;
};

inline bool is_pending(int number) {
  sigset_t set;
  sigpending(&set);
  return sigismember(&set, number) == 1;
}

inline bool is_blocked(int number) {
  sigset_t set;
  pthread_sigmask(SIG_BLOCK, nullptr, &set);
  return sigismember(&set, number) == 1;
}

// What a handler saw; one for all tests, cleared by each.
struct record {
  std::atomic<int> calls{0};
  std::atomic<int> number{0};
  std::atomic<int> code{0};
  std::atomic<int> value{0};
  std::atomic<pid_t> sender{0};
  std::atomic<pid_t> thread{0};
  std::atomic<bool> blocks_itself{false};
  std::atomic<bool> blocks_other{false};  // SIGUSR2
  std::atomic<const void*> stack{nullptr};
  void clear() {
    calls = number = code = value = 0;
    sender = thread = 0;
    blocks_itself = blocks_other = false;
    stack = nullptr;
  }
};
inline record seen;

inline void recorder(int number, siginfo_t* info, void*) {
  seen.number = number;
  seen.code = info->si_code;
  seen.value = info->si_value.sival_int;
  seen.sender = info->si_pid;
  seen.thread = gettid();
  seen.blocks_itself = is_blocked(number);
  seen.blocks_other = is_blocked(SIGUSR2);
  seen.stack = __builtin_frame_address(0);  // a local may lie on a sanitizer's stack
  ++seen.calls;
}

inline struct sigaction recording(int flags = 0, std::initializer_list<int> mask = {}) {
  struct sigaction act {};
  act.sa_sigaction = recorder;
  act.sa_flags = SA_SIGINFO | flags;
  act.sa_mask = signals(mask);
  return act;
}

// Runs `body` in a child and returns how the child ended, as wait() says. The exit status is what
// `body` returns.
template <class Body>
int status_of_child(Body body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status = -1;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace quay::test
