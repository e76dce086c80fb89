// SPDX-License-Identifier: BSD-2-Clause
//
// What: files by name and their watches; see named_files.hpp.
#include "host/named_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "host/errno_guard.hpp"
#include "host/plain_calls.hpp"

namespace quay::host {
namespace {

constexpr int kProcPath = 40;

void path_of(int fd, char (&out)[kProcPath]) noexcept {
  std::snprintf(out, sizeof out, "/proc/self/fd/%d", fd);
}

}  // namespace

int find_file(const char* path, bool follow, found_file& out) noexcept {
  errno_guard keep;
  out.object = plain::open(path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
  if (out.object < 0) return errno;
  // Links are resolved now: the directory is that of the file which was found.
  char link[kProcPath];
  path_of(out.object, link);
  char full[PATH_MAX];
  const ssize_t n = readlink(link, full, sizeof full - 1);
  if (n <= 0 || full[0] != '/') return 0;
  full[n] = '\0';
  char* slash = std::strrchr(full, '/');
  if (slash[1] == '\0' || std::strlen(slash + 1) >= sizeof out.name) return 0;
  std::strcpy(out.name, slash + 1);
  slash[slash == full ? 1 : 0] = '\0';
  out.parent = plain::open(full, O_PATH | O_CLOEXEC | O_DIRECTORY);
  return 0;
}

void release_file(found_file& file) noexcept {
  errno_guard keep;
  for (int* fd : {&file.object, &file.parent}) {
    if (*fd >= 0) syscall(SYS_close, *fd);
    *fd = -1;
  }
}

int state_of_file(int object, file_state& out) noexcept {
  errno_guard keep;
  struct stat found {};
  if (::fstat(object, &found) != 0) return errno;
  out = {found.st_dev,  found.st_ino,  found.st_size,          found.st_atim,
         found.st_mtim, found.st_ctim, S_ISDIR(found.st_mode), S_ISFIFO(found.st_mode)};
  return 0;
}

int file_watcher() noexcept {
  errno_guard keep;
  const int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  return fd >= 0 ? fd : -errno;
}

int file_watch(int watcher, int object, std::uint32_t events) noexcept {
  errno_guard keep;
  char link[kProcPath];
  path_of(object, link);
  const int watch = inotify_add_watch(watcher, link, events | IN_MASK_ADD);
  return watch >= 0 ? watch : -errno;
}

void file_unwatch(int watcher, int watch) noexcept {
  errno_guard keep;
  inotify_rm_watch(watcher, watch);
}

int file_events(int watcher, void* buffer, std::size_t bytes) noexcept {
  errno_guard keep;
  const ssize_t n = plain::read(watcher, buffer, bytes);
  return n > 0 ? static_cast<int>(n) : 0;
}

}  // namespace quay::host
