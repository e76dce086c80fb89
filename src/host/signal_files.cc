// SPDX-License-Identifier: BSD-2-Clause
//
// What: the kernel's signalfd; see signal_files.hpp.
// Invariants: calls that the hooks library stands in front of are made by number: through libc they
//             would come back to us.
#include "host/signal_files.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "host/errno_guard.hpp"
#include "host/pipes.hpp"

namespace quay::host {

int signal_file_set(int fd, const void* mask, int flags) noexcept {
  errno_guard keep;
  const long made = syscall(SYS_signalfd4, fd, mask, sizeof(std::uint64_t), flags);
  return made >= 0 ? static_cast<int>(made) : -errno;
}

bool signal_file_mask(int fd, std::uint64_t& signals) noexcept {
  errno_guard keep;
  char path[48];
  std::snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  const int info = open(path, O_RDONLY | O_CLOEXEC);
  if (info < 0) return false;
  char text[512];
  const long n = syscall(SYS_read, info, text, sizeof text - 1);
  syscall(SYS_close, info);
  if (n <= 0) return false;
  text[n] = '\0';
  constexpr char kLabel[] = "sigmask:";
  const char* line = std::strstr(text, kLabel);
  if (line == nullptr) return false;
  signals = std::strtoull(line + sizeof kLabel - 1, nullptr, 16);
  return true;
}

bool signal_file_readable(int fd) noexcept {
  constexpr timespec kNow{0, 0};
  pollfd p{fd, POLLIN, 0};
  return kernel_poll(&p, 1, &kNow, nullptr) == 1 && (p.revents & POLLIN) != 0;
}

long signal_file_read(int fd, const iovec* parts, int count, std::uint64_t blocked) noexcept {
  errno_guard keep;
  std::uint64_t before = 0;
  if (blocked != 0) {
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &blocked, &before, sizeof blocked);
  }
  const long n = syscall(SYS_readv, fd, parts, count);
  const long result = n >= 0 ? n : -errno;
  if (blocked != 0) {
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, sizeof before);
  }
  return result;
}

std::uint64_t pending_signals() noexcept {
  errno_guard keep;
  std::uint64_t set = 0;
  syscall(SYS_rt_sigpending, &set, sizeof set);
  return set;
}

}  // namespace quay::host
