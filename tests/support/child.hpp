// SPDX-License-Identifier: BSD-2-Clause
//
// What: child processes whose every step the test decides: the child does one step for each byte
// it is sent and answers it.
// Invariants: a child whose test ends is killed and waited for.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <utility>

#include "objects.hpp"

namespace quay::test {

class child {
 public:
  // Runs `body(wait)` in a fork; each wait() there returns at the next step() here, and the child
  // ends with what the body returns.
  explicit child(const std::function<int(const std::function<void()>&)>& body) {
    int to[2];
    checked(::pipe2(to, O_CLOEXEC), "pipe2");
    pid_ = checked(::fork(), "fork");
    if (pid_ == 0) {
      const std::function<void()> wait = [&to] {
        char byte = 0;
        if (::read(to[0], &byte, 1) != 1) ::_exit(99);
      };
      ::close(to[1]);
      ::_exit(body(wait));
    }
    ::close(to[0]);
    steps_ = unique_fd(to[1]);
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child() {
    if (waited_) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  void step() { checked(static_cast<int>(::write(steps_, "x", 1)), "write to a child"); }
  // Waits until the child has ended and leaves it a zombie.
  void becomes_zombie() const {
    siginfo_t info{};
    checked(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT), "waitid");
  }
  int wait() {
    int status = 0;
    checked(::waitpid(pid_, &status, 0), "waitpid");
    waited_ = true;
    return status;
  }

 private:
  pid_t pid_ = -1;
  unique_fd steps_;
  bool waited_ = false;
};

// A child that ends with `code` at its first step.
inline child ends_with(int code) {
  return child([code](const std::function<void()>& wait) {
    wait();
    return code;
  });
}

}  // namespace quay::test
