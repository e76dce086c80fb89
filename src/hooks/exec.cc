// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's calls that run another program without going through the names in programs.cc:
//       execveat, popen, and system, which is written anew on the hooked posix_spawn.
// Contract: another_program.hpp. system() does not keep ignored signals uncounted while the command
//           runs.
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "hooks/another_program.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::another_program;
using quay::hooks::original;
using strings = char* const*;

constinit original<int(int, const char*, strings, strings, int)> libc_execveat{"execveat"};
constinit original<FILE*(const char*, const char*)> libc_popen{"popen"};

[[gnu::constructor]] void look_up_originals() {
  libc_execveat.get();
  libc_popen.get();
}

}  // namespace

QUAY_HOOK int execveat(int fd, const char* path, strings argv, strings env, int flags) noexcept {
  const another_program now;
  return libc_execveat.get()(fd, path, argv, env, flags);
}
QUAY_HOOK FILE* popen(const char* command, const char* mode) {
  const another_program now;
  return libc_popen.get()(command, mode);
}

namespace {

// SIGINT and SIGQUIT are ignored while any thread waits in system().
pthread_mutex_t g_waiting_lock = PTHREAD_MUTEX_INITIALIZER;
int g_waiting = 0;
struct sigaction g_interrupt, g_quit;

void begin_waiting() noexcept {
  pthread_mutex_lock(&g_waiting_lock);
  if (g_waiting++ == 0) {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGINT, &ignore, &g_interrupt);
    sigaction(SIGQUIT, &ignore, &g_quit);
  }
  pthread_mutex_unlock(&g_waiting_lock);
}

void end_waiting() noexcept {
  pthread_mutex_lock(&g_waiting_lock);
  if (--g_waiting == 0) {
    sigaction(SIGINT, &g_interrupt, nullptr);
    sigaction(SIGQUIT, &g_quit, nullptr);
  }
  pthread_mutex_unlock(&g_waiting_lock);
}

// A call of system() under way. A thread that is cancelled in it takes the command with it.
class shell {
 public:
  shell() noexcept {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    begin_waiting();
    pthread_sigmask(SIG_BLOCK, &child, &before_);
  }
  ~shell() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      int state = 0;
      pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
      while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
      pthread_setcancelstate(state, nullptr);
    }
    const int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    end_waiting();
    errno = saved;
  }
  shell(const shell&) = delete;
  shell& operator=(const shell&) = delete;

  int run(const char* command) {
    sigset_t defaults;
    sigemptyset(&defaults);
    if (g_interrupt.sa_handler != SIG_IGN) sigaddset(&defaults, SIGINT);
    if (g_quit.sa_handler != SIG_IGN) sigaddset(&defaults, SIGQUIT);
    posix_spawnattr_t how;
    posix_spawnattr_init(&how);
    posix_spawnattr_setsigmask(&how, &before_);
    posix_spawnattr_setsigdefault(&how, &defaults);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    char* argv[] = {const_cast<char*>("sh"), const_cast<char*>("-c"), const_cast<char*>("--"),
                    const_cast<char*>(command), nullptr};
    const int error = posix_spawn(&pid_, "/bin/sh", nullptr, &how, argv, environ);
    posix_spawnattr_destroy(&how);
    if (error != 0) {
      pid_ = 0;
      return 127 << 8;  // as if the shell could not be run
    }
    int status = -1;
    while (waitpid(pid_, &status, 0) < 0) {
      if (errno == EINTR) continue;
      status = -1;
      break;
    }
    pid_ = 0;
    return status;
  }

 private:
  sigset_t before_;
  pid_t pid_ = 0;  // the command's, until it has been waited for
};

int run_shell(const char* command) {
  shell one;
  return one.run(command);
}

}  // namespace

QUAY_HOOK int system(const char* command) {
  if (command == nullptr) return run_shell("exit 0") == 0 ? 1 : 0;
  return run_shell(command);
}
