// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's calls that start another program: under `quay run` it gets the libraries too, also
//       when it is given an environment that does not name them.
// Contract: quay(1), run. Without QUAY_RUN in the process's own environment every call passes
//           straight through. Nothing is kept for the other side of an exec: internal descriptors
//           are close-on-exec from birth.
// Invariants: safe in a child of vfork and in signal handlers: the new environment is on the stack.
#include <alloca.h>
#include <spawn.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdlib>
#include <cstring>

#include "hooks/another_program.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::original;

using strings = char* const*;
constinit original<int(const char*, strings, strings)> libc_execve{"execve"};
constinit original<int(const char*, strings, strings)> libc_execvpe{"execvpe"};
constinit original<int(int, strings, strings)> libc_fexecve{"fexecve"};
using spawner = int(pid_t*, const char*, const posix_spawn_file_actions_t*,
                    const posix_spawnattr_t*, strings, strings);
constinit original<spawner> libc_posix_spawn{"posix_spawn"};
constinit original<spawner> libc_posix_spawnp{"posix_spawnp"};

// What `quay run` put into this process's environment, "NAME=value"; copies, as the program may
// change its own. Null when it was not started by it.
struct handed_down {
  const char* name;
  char* entry;
};
handed_down g_handed_down[] = {{"LD_PRELOAD=", nullptr},
                               {"QUAY_RUN=", nullptr},
                               {"QUAY_PIPES=", nullptr},
                               {"QUAY_TUNABLES=", nullptr}};
constexpr std::size_t kMost = sizeof g_handed_down / sizeof *g_handed_down;

[[gnu::constructor]] void look_around() {
  libc_execve.get();
  libc_execvpe.get();
  libc_fexecve.get();
  libc_posix_spawn.get();
  libc_posix_spawnp.get();
  if (getenv("QUAY_RUN") == nullptr) return;
  for (handed_down& each : g_handed_down) {
    for (strings e = environ; *e != nullptr; ++e) {
      if (strncmp(*e, each.name, strlen(each.name)) == 0) each.entry = strdup(*e);
    }
  }
}

const char* value_in(strings environment, const char* name) noexcept {
  const std::size_t length = strlen(name);
  for (strings e = environment; e != nullptr && *e != nullptr; ++e) {
    if (strncmp(*e, name, length) == 0) return *e + length;
  }
  return nullptr;
}

// How the environment is to be changed: an entry of ours for each that is missing, and the
// libraries in front of others that are to be preloaded.
struct plan {
  std::size_t entries = 0;  // of the environment that was given
  std::size_t text = 0;     // bytes of the joined LD_PRELOAD, 0: it stays
  bool needed = false;

  explicit plan(strings environment) noexcept {
    if (g_handed_down[0].entry == nullptr) return;
    for (strings e = environment; e != nullptr && *e != nullptr; ++e) ++entries;
    for (const handed_down& each : g_handed_down) {
      needed = needed || (each.entry != nullptr && value_in(environment, each.name) == nullptr);
    }
    const char* other = value_in(environment, "LD_PRELOAD=");
    if (other != nullptr && strstr(other, "libquay-hooks.so") == nullptr) {
      text = strlen(g_handed_down[0].entry) + 1 + strlen(other) + 1;
      needed = true;
    }
  }
  std::size_t bytes() const noexcept { return (entries + kMost + 1) * sizeof(char*) + text; }

  strings write(void* memory, strings environment) const noexcept {
    char** out = static_cast<char**>(memory);
    char* joined = reinterpret_cast<char*>(out + entries + kMost + 1);
    char** next = out;
    for (std::size_t k = 0; k < entries; ++k) {
      const bool preload = text != 0 && strncmp(environment[k], "LD_PRELOAD=", 11) == 0;
      *next++ = preload ? joined : environment[k];
    }
    if (text != 0) {
      strcpy(joined, g_handed_down[0].entry);
      strcat(strcat(joined, ":"), value_in(environment, "LD_PRELOAD="));
    }
    for (const handed_down& each : g_handed_down) {
      if (each.entry != nullptr && value_in(environment, each.name) == nullptr) {
        *next++ = each.entry;
      }
    }
    *next = nullptr;
    return out;
  }
};

// Calls f with the environment to use. The memory is gone when it returns.
template <class F>
int with_environment(strings environment, F f) noexcept {
  const quay::hooks::another_program now;
  const plan p(environment);
  return f(p.needed ? p.write(alloca(p.bytes()), environment) : environment);
}

}  // namespace

QUAY_HOOK int execve(const char* path, strings argv, strings environment) noexcept {
  return with_environment(environment, [&](strings e) { return libc_execve.get()(path, argv, e); });
}

QUAY_HOOK int execvpe(const char* file, strings argv, strings environment) noexcept {
  return with_environment(environment,
                          [&](strings e) { return libc_execvpe.get()(file, argv, e); });
}

QUAY_HOOK int fexecve(int fd, strings argv, strings environment) noexcept {
  return with_environment(environment, [&](strings e) { return libc_fexecve.get()(fd, argv, e); });
}

QUAY_HOOK int execv(const char* path, strings argv) noexcept { return execve(path, argv, environ); }

QUAY_HOOK int execvp(const char* file, strings argv) noexcept {
  return execvpe(file, argv, environ);
}

// The arguments of a call as an array on its stack; `last` reads what follows their end.
#define QUAY_GATHER(first, last, call)                                        \
  va_list args;                                                               \
  std::size_t count = 0;                                                      \
  va_start(args, first);                                                      \
  for (const char* a = first; a != nullptr; a = va_arg(args, char*)) ++count; \
  va_end(args);                                                               \
  char** argv = static_cast<char**>(alloca((count + 1) * sizeof(char*)));     \
  char** next = argv;                                                         \
  va_start(args, first);                                                      \
  for (const char* a = first; a != nullptr; a = va_arg(args, char*)) {        \
    *next++ = const_cast<char*>(a);                                           \
  }                                                                           \
  *next = nullptr;                                                            \
  strings environment = last;                                                 \
  va_end(args);                                                               \
  return call

QUAY_HOOK int execl(const char* path, const char* first, ...) noexcept {
  QUAY_GATHER(first, environ, execve(path, argv, environment));
}

QUAY_HOOK int execlp(const char* file, const char* first, ...) noexcept {
  QUAY_GATHER(first, environ, execvpe(file, argv, environment));
}

QUAY_HOOK int execle(const char* path, const char* first, ...) noexcept {
  QUAY_GATHER(first, va_arg(args, strings), execve(path, argv, environment));
}

QUAY_HOOK int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                          const posix_spawnattr_t* attributes, strings argv, strings environment) {
  return with_environment(environment, [&](strings e) {
    return libc_posix_spawn.get()(pid, path, actions, attributes, argv, e);
  });
}

QUAY_HOOK int posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                           const posix_spawnattr_t* attributes, strings argv, strings environment) {
  return with_environment(environment, [&](strings e) {
    return libc_posix_spawnp.get()(pid, file, actions, attributes, argv, e);
  });
}
