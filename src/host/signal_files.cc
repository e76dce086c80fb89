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

#include "host/cancellable_call.hpp"
#include "host/errno_guard.hpp"
#include "host/plain_calls.hpp"

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
  const int info = plain::open(path, O_RDONLY | O_CLOEXEC);
  if (info < 0) return false;
  char text[512];
  const ssize_t n = plain::read(info, text, sizeof text - 1);
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
  errno_guard keep;
  return (plain::poll_now(fd, POLLIN) & POLLIN) != 0;
}

namespace {
// Signals that this thread blocks besides its own; a cancelled thread gets its mask back too.
class blocked_section {
 public:
  explicit blocked_section(std::uint64_t signals) noexcept : any_(signals != 0) {
    if (any_) syscall(SYS_rt_sigprocmask, SIG_BLOCK, &signals, &before_, sizeof before_);
  }
  ~blocked_section() {
    if (any_) syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, sizeof before_);
  }
  blocked_section(const blocked_section&) = delete;
  blocked_section& operator=(const blocked_section&) = delete;

 private:
  const bool any_;
  std::uint64_t before_ = 0;
};
}  // namespace

long signal_file_read(int fd, const iovec* parts, int count, std::uint64_t blocked) {
  errno_guard keep;
  const blocked_section block(blocked);
  // By number: the hooks would bring libc's readv() back here.
  const long n = cancellable_call(SYS_readv, fd, reinterpret_cast<long>(parts), count);
  return n >= 0 ? n : -errno;
}

std::uint64_t pending_signals() noexcept {
  errno_guard keep;
  std::uint64_t set = 0;
  syscall(SYS_rt_sigpending, &set, sizeof set);
  return set;
}

}  // namespace quay::host
