// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's calls that run another program, put in front of libc: what the program ignores, and
//       libquay only pretends to ignore because a queue watches it, is ignored by the new program.
// Contract: semantics/pipes-signalfd.md B8 rule 9. While a call of the spawning kind runs, ignored
//           signals are not counted; a failed exec leaves everything as it was.
// Invariants: between the announcements only libc's call runs; in a child of vfork they change no
//             memory. system() does not keep signals uncounted while the command runs.
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstddef>

#include "faces/hook_points.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::original;
using strings = char* const*;

constinit original<int(const char*, strings, strings)> libc_execve{"execve"};
constinit original<int(const char*, strings, strings)> libc_execvpe{"execvpe"};
constinit original<int(int, strings, strings)> libc_fexecve{"fexecve"};
constinit original<int(int, const char*, strings, strings, int)> libc_execveat{"execveat"};
constinit original<FILE*(const char*, const char*)> libc_popen{"popen"};
using spawn = int(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*,
                  strings, strings);
constinit original<spawn> libc_spawn{"posix_spawn"};
constinit original<spawn> libc_spawnp{"posix_spawnp"};

[[gnu::constructor]] void look_up_originals() {
  libc_execve.get();
  libc_execvpe.get();
  libc_fexecve.get();
  libc_execveat.get();
  libc_popen.get();
  libc_spawn.get();
  libc_spawnp.get();
}

class running_another {
 public:
  running_another() noexcept { quay_hook_before_exec(); }
  ~running_another() { quay_hook_after_exec(); }
  running_another(const running_another&) = delete;
  running_another& operator=(const running_another&) = delete;
};

// The arguments of execl() and its like, as execv() wants them; on the stack, because a child of
// vfork must not allocate.
#define QUAY_COLLECT(first, list, into)                                                    \
  va_list list;                                                                            \
  std::size_t into##_count = 1;                                                            \
  va_start(list, first);                                                                   \
  while (va_arg(list, const char*) != nullptr) ++into##_count;                             \
  va_end(list);                                                                            \
  auto** into = static_cast<char**>(__builtin_alloca(sizeof(char*) * (into##_count + 1))); \
  va_start(list, first);                                                                   \
  (into)[0] = const_cast<char*>(first);                                                    \
  for (std::size_t k = 1; k <= into##_count; ++k) (into)[k] = va_arg(list, char*);

}  // namespace

QUAY_HOOK int execve(const char* path, strings argv, strings env) noexcept {
  const running_another now;
  return libc_execve.get()(path, argv, env);
}
QUAY_HOOK int execv(const char* path, strings argv) noexcept { return execve(path, argv, environ); }
QUAY_HOOK int execvpe(const char* file, strings argv, strings env) noexcept {
  const running_another now;
  return libc_execvpe.get()(file, argv, env);
}
QUAY_HOOK int execvp(const char* file, strings argv) noexcept {
  return execvpe(file, argv, environ);
}
QUAY_HOOK int fexecve(int fd, strings argv, strings env) noexcept {
  const running_another now;
  return libc_fexecve.get()(fd, argv, env);
}
QUAY_HOOK int execveat(int fd, const char* path, strings argv, strings env, int flags) noexcept {
  const running_another now;
  return libc_execveat.get()(fd, path, argv, env, flags);
}
QUAY_HOOK int execl(const char* path, const char* first, ...) noexcept {
  QUAY_COLLECT(first, list, argv)
  va_end(list);
  return execve(path, argv, environ);
}
QUAY_HOOK int execlp(const char* file, const char* first, ...) noexcept {
  QUAY_COLLECT(first, list, argv)
  va_end(list);
  return execvpe(file, argv, environ);
}
QUAY_HOOK int execle(const char* path, const char* first, ...) noexcept {
  QUAY_COLLECT(first, list, argv)
  strings env = va_arg(list, strings);
  va_end(list);
  return execve(path, argv, env);
}

QUAY_HOOK int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                          const posix_spawnattr_t* how, strings argv, strings env) {
  const running_another now;
  return libc_spawn.get()(pid, path, actions, how, argv, env);
}
QUAY_HOOK int posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                           const posix_spawnattr_t* how, strings argv, strings env) {
  const running_another now;
  return libc_spawnp.get()(pid, file, actions, how, argv, env);
}
QUAY_HOOK FILE* popen(const char* command, const char* mode) {
  const running_another now;
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

int run_shell(const char* command) noexcept {
  sigset_t child;
  sigset_t before;
  sigset_t defaults;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigemptyset(&defaults);
  begin_waiting();
  if (g_interrupt.sa_handler != SIG_IGN) sigaddset(&defaults, SIGINT);
  if (g_quit.sa_handler != SIG_IGN) sigaddset(&defaults, SIGQUIT);
  pthread_sigmask(SIG_BLOCK, &child, &before);

  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  posix_spawnattr_setsigmask(&how, &before);
  posix_spawnattr_setsigdefault(&how, &defaults);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  char* argv[] = {const_cast<char*>("sh"), const_cast<char*>("-c"), const_cast<char*>("--"),
                  const_cast<char*>(command), nullptr};
  pid_t pid = 0;
  int status = 127 << 8;  // as if the shell could not be run
  if (posix_spawn(&pid, "/bin/sh", nullptr, &how, argv, environ) == 0) {
    while (waitpid(pid, &status, 0) < 0) {
      if (errno == EINTR) continue;
      status = -1;
      break;
    }
  }
  posix_spawnattr_destroy(&how);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  end_waiting();
  return status;
}

}  // namespace

QUAY_HOOK int system(const char* command) {
  if (command == nullptr) return run_shell("exit 0") == 0 ? 1 : 0;
  return run_shell(command);
}
