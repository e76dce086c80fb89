// SPDX-License-Identifier: BSD-2-Clause
//
// What: the vocabulary of pipe tests: a pipe that closes itself, calls that run in a thread until
// they are seen to sleep, children that report by their exit status.
// Contract: everything goes through the calls of quay.h, so that tests mean the same with and
// without hooks.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <quay/quay.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// First in a test whose child may need the library's thread.
#if defined(__has_feature)
#define QUAY_HAS_FEATURE(x) __has_feature(x)
#else
#define QUAY_HAS_FEATURE(x) 0
#endif
#if QUAY_HAS_FEATURE(thread_sanitizer) || defined(__SANITIZE_THREAD__)
#define QUAY_NEEDS_THREADS_IN_CHILDREN() \
  GTEST_SKIP() << "ThreadSanitizer starts no threads in the child of a process with threads"
// First in a test whose sleeping thread is to be served by a signal handler.
#define QUAY_NEEDS_HANDLERS_IN_TIME() \
  GTEST_SKIP() << "ThreadSanitizer runs a handler only after the call that it interrupts"
#else
#define QUAY_NEEDS_THREADS_IN_CHILDREN() static_cast<void>(0)
#define QUAY_NEEDS_HANDLERS_IN_TIME() static_cast<void>(0)
#endif

namespace quay::test::pipes {

class pipe_pair {
 public:
  explicit pipe_pair(int flags = 0) {
    if (quay_pipe2(fds_.data(), flags) != 0) ADD_FAILURE() << "quay_pipe2: errno " << errno;
  }
  ~pipe_pair() {
    close(0);
    close(1);
  }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;

  int operator[](int end) const { return fds_[static_cast<size_t>(end)]; }
  int reader() const { return fds_[0]; }
  int writer() const { return fds_[1]; }
  void close(int end) {
    int& fd = fds_[static_cast<size_t>(end)];
    if (fd >= 0) quay_close(std::exchange(fd, -1));
  }

 private:
  std::array<int, 2> fds_{-1, -1};
};

// A call's value, or -errno.
inline long outcome_of(long value) { return value >= 0 ? value : -errno; }

inline long put(int fd, size_t n, char fill = 'x') {
  const std::string bytes(n, fill);
  return outcome_of(quay_write(fd, bytes.data(), n));
}
inline long put(int fd, const std::string& bytes) {
  return outcome_of(quay_write(fd, bytes.data(), bytes.size()));
}
inline long take(int fd, size_t n) {
  std::string bytes(n, '\0');
  return outcome_of(quay_read(fd, bytes.data(), n));
}
inline std::string take_text(int fd, size_t n) {
  std::string bytes(n, '\0');
  const ssize_t got = quay_read(fd, bytes.data(), n);
  bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return bytes;
}
inline int held(int fd) {
  int n = -1;
  return quay_ioctl(fd, FIONREAD, &n) == 0 ? n : -errno;
}
inline short ready(int fd, short events = POLLIN | POLLOUT) {
  pollfd p{fd, events, 0};
  return quay_poll(&p, 1, 0) >= 0 ? p.revents : static_cast<short>(POLLNVAL);
}
inline void set_nonblocking(int fd, bool on) {
  const int flags = quay_fcntl(fd, F_GETFL);
  quay_fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}
// As many single bytes as go in.
inline long fill(int fd) {
  long n = 0;
  while (put(fd, 1) == 1) ++n;
  return n;
}

// The scheduler's account of a task that sleeps, nothing of one that runs: the same twice means that
// it slept throughout.
inline std::string rest_of(const std::string& task) {
  std::string stat;
  std::string counted;
  std::getline(std::ifstream(task + "/stat"), stat);
  std::getline(std::ifstream(task + "/schedstat"), counted);
  const auto end = stat.rfind(')');
  return end != std::string::npos && stat.compare(end, 3, ") S") == 0 ? counted : std::string();
}

// A call in a thread of its own.
class call {
 public:
  template <class F>
  explicit call(F f)
      : thread_([this, f] {
          id_ = static_cast<pid_t>(syscall(SYS_gettid));
          result_.set_value(outcome_of(f()));
        }) {
    result_value_ = result_.get_future();
  }
  ~call() { thread_.join(); }
  call(const call&) = delete;
  call& operator=(const call&) = delete;

  // Returns once the thread has been asleep, or is done.
  void until_asleep() {
    std::string before;
    while (result_value_.wait_for(std::chrono::milliseconds(3)) != std::future_status::ready) {
      const std::string now = rest();
      if (!now.empty() && now == before) return;
      before = now;
    }
  }
  bool done() {
    return result_value_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  long result() { return result_value_.get(); }
  void signal(int number) { pthread_kill(thread_.native_handle(), number); }

 private:
  std::string rest() const {
    return id_ != 0 ? rest_of("/proc/self/task/" + std::to_string(id_)) : std::string();
  }

  std::atomic<pid_t> id_{0};
  std::promise<long> result_;
  std::future<long> result_value_;
  std::thread thread_;
};

// SIGPIPE is a failure of the program, unless a test says otherwise.
class ignored_signal {
 public:
  explicit ignored_signal(int number, void (*handler)(int) = SIG_IGN, int flags = 0)
      : number_(number) {
    struct sigaction act {};
    act.sa_handler = handler;
    act.sa_flags = flags;
    sigaction(number, &act, &before_);
  }
  ~ignored_signal() { sigaction(number_, &before_, nullptr); }
  ignored_signal(const ignored_signal&) = delete;
  ignored_signal& operator=(const ignored_signal&) = delete;

 private:
  int number_;
  struct sigaction before_ {};
};

// A child process that does f and exits with what it returns.
class child {
 public:
  template <class F>
  explicit child(F f) : pid_(fork()) {
    if (pid_ == 0) _exit(f());
  }
  ~child() {
    if (pid_ > 0) {
      kill(SIGKILL);
      wait();
    }
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;

  pid_t pid() const { return pid_; }
  void kill(int signal) { ::kill(pid_, signal); }
  void until_asleep() const {
    std::string before;
    for (;;) {
      const std::string now = rest_of("/proc/" + std::to_string(pid_));
      if (!now.empty() && now == before) return;
      before = now;
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  }
  // Its exit status, or minus the signal that ended it.
  int wait() {
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

// Tunables as on FreeBSD, or any; put back when it goes.
class tuned {
 public:
  tuned(std::initializer_list<std::pair<const char*, long>> values) {
    for (const auto& [name, value] : values) {
      before_.emplace_back(name, quay_tunable_get(name));
      EXPECT_EQ(quay_tunable_set(name, value), 0) << name;
    }
  }
  ~tuned() {
    while (!before_.empty()) {
      quay_tunable_set(before_.back().first, before_.back().second);
      before_.pop_back();
    }
  }
  tuned(const tuned&) = delete;
  tuned& operator=(const tuned&) = delete;

 private:
  std::vector<std::pair<const char*, long>> before_;
};

}  // namespace quay::test::pipes
