// SPDX-License-Identifier: BSD-2-Clause
//
// What: files by name and their watches; see named_files.hpp.
#include "host/named_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
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

// The number that stands for a path in a mount.
class place_number {
 public:
  explicit place_number(std::uint64_t mount) noexcept : hash_((kSeed ^ mount) * kPrime) {}
  void add(char c) noexcept { hash_ = (hash_ ^ static_cast<unsigned char>(c)) * kPrime; }
  std::uint64_t value() const noexcept { return hash_; }

 private:
  static constexpr std::uint64_t kSeed = 0xcbf29ce484222325u;
  static constexpr std::uint64_t kPrime = 0x100000001b3u;
  std::uint64_t hash_;
};

std::uint64_t place_of(int object, const char* path) noexcept {
  struct statx found {};
  if (::statx(object, "", AT_EMPTY_PATH, STATX_MNT_ID, &found) != 0) return 0;
  place_number place(found.stx_mnt_id);
  for (; *path != '\0'; ++path) place.add(*path);
  return place.value();
}

// One line of mountinfo, a character at a time. Of its fields the second is the mount that it lies
// in, the fifth the path, where spaces and their like are octal.
class mount_line {
 public:
  void take(char c) noexcept {
    if (c == ' ') {
      if (++field_ == kPath) place_ = place_number(parent_);
    } else if (field_ == kParent) {
      parent_ = parent_ * 10 + static_cast<std::uint64_t>(c - '0');
    } else if (field_ == kPath) {
      take_of_path(c);
    }
  }
  std::uint64_t place() const noexcept { return place_.value(); }

 private:
  static constexpr int kParent = 1;
  static constexpr int kPath = 4;
  static constexpr int kOctalDigits = 3;

  void take_of_path(char c) noexcept {
    if (c == '\\') {
      digits_ = kOctalDigits;
      code_ = 0;
    } else if (digits_ == 0) {
      place_.add(c);
    } else {
      code_ = code_ * 8 + (c - '0');
      if (--digits_ == 0) place_.add(static_cast<char>(code_));
    }
  }

  int field_ = 0;
  std::uint64_t parent_ = 0;
  place_number place_{0};
  int digits_ = 0;
  int code_ = 0;
};

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
  out.place = place_of(out.object, full);
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

void each_mount(int mounts, void* context,
                void (*visit)(void* context, std::uint64_t place)) noexcept {
  errno_guard keep;
  if (lseek(mounts, 0, SEEK_SET) != 0) return;
  mount_line line;
  char text[4096];
  for (ssize_t n; (n = ::read(mounts, text, sizeof text)) > 0 || (n < 0 && errno == EINTR);) {
    for (ssize_t at = 0; at < n; ++at) {
      if (text[at] != '\n') {
        line.take(text[at]);
        continue;
      }
      visit(context, line.place());
      line = mount_line();
    }
  }
}

int file_events(int watcher, void* buffer, std::size_t bytes) noexcept {
  errno_guard keep;
  const ssize_t n = plain::read(watcher, buffer, bytes);
  return n > 0 ? static_cast<int>(n) : 0;
}

}  // namespace quay::host
