// SPDX-License-Identifier: BSD-2-Clause
//
// What: watching files on the real host: inotify.
// Contract: core/host.hpp, file_change. A file is watched by its descriptor, through the process's
//           own descriptor directory: names, and what became of them, play no part.
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "host/errno_guard.hpp"
#include "host/linux_host.hpp"
#include "host/pipes.hpp"
#include "host/plain_calls.hpp"

namespace quay::host {
namespace {

namespace change = core::file_change;

constexpr std::uint32_t kEntryEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

struct pair_of_bits {
  std::uint32_t what;
  std::uint32_t event;
};
constexpr pair_of_bits kOfItself[] = {
    {change::kModified, IN_MODIFY}, {change::kAttributes, IN_ATTRIB},
    {change::kMoved, IN_MOVE_SELF}, {change::kUnmounted, IN_UNMOUNT},
    {change::kOpened, IN_OPEN},     {change::kClosed, IN_CLOSE_NOWRITE},
    {change::kRead, IN_ACCESS},     {change::kClosedWrite, IN_CLOSE_WRITE},
};

std::uint32_t events_of(std::uint32_t what) noexcept {
  std::uint32_t mask = (what & change::kEntries) != 0 ? kEntryEvents : 0;
  for (const pair_of_bits& p : kOfItself) {
    if ((what & p.what) != 0) mask |= p.event;
  }
  return mask;
}

// Both halves of a rename within one directory stand side by side.
bool is_rename(const inotify_event& from, const inotify_event* to) noexcept {
  return to != nullptr && (from.mask & IN_MOVED_FROM) && (to->mask & IN_MOVED_TO) &&
         from.wd == to->wd && from.cookie == to->cookie;
}

std::uint32_t change_of(const inotify_event& e, bool renamed) noexcept {
  if ((e.mask & IN_Q_OVERFLOW) != 0) return change::kLost;
  std::uint32_t what = 0;
  if (e.len != 0) {  // of an entry of the directory; what happens inside that one is its own affair
    if ((e.mask & kEntryEvents) == 0) return 0;
    what = change::kEntries;
    if (renamed) return what;
    if ((e.mask & (IN_MOVED_FROM | IN_MOVED_TO)) != 0) what |= change::kEntryMoved;
    if ((e.mask & IN_ISDIR) != 0) {
      what |= (e.mask & IN_MOVED_TO) != 0 ? change::kSubdirectoryIn : change::kSubdirectory;
    }
    return what;
  }
  for (const pair_of_bits& p : kOfItself) {
    if ((e.mask & p.event) != 0) what |= p.what;
  }
  return what;
}

}  // namespace

int linux_host::watcher_create() noexcept {
  errno_guard keep;
  const int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  return fd >= 0 ? fd : -errno;
}

int linux_host::watch_add(int watcher, int fd, std::uint32_t what, bool parent) noexcept {
  errno_guard keep;
  char path[40];
  std::snprintf(path, sizeof path, parent ? "/proc/self/fd/%d/.." : "/proc/self/fd/%d", fd);
  const int watch = inotify_add_watch(watcher, path, events_of(what) | IN_MASK_ADD);
  return watch >= 0 ? watch : -errno;
}

void linux_host::watch_remove(int watcher, int watch) noexcept {
  errno_guard keep;
  inotify_rm_watch(watcher, watch);
}

int linux_host::watcher_read(int watcher, core::file_event* out, int most) noexcept {
  errno_guard keep;
  // As many events as there is room for, were all without a name; so nothing that was read is lost.
  alignas(inotify_event) char buffer[core::kFileEvents * sizeof(inotify_event)];
  static_assert(sizeof buffer > sizeof(inotify_event) + 256, "one event with a name fits");
  if (most < core::kFileEvents) return 0;
  for (;;) {
    const ssize_t got = plain::read(watcher, buffer, sizeof buffer);
    if (got <= 0) return 0;
    int n = 0;
    for (const char* at = buffer; at < buffer + got;) {
      const auto* e = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + e->len;
      const auto* next = at < buffer + got ? reinterpret_cast<const inotify_event*>(at) : nullptr;
      const bool renamed = is_rename(*e, next);
      if (renamed) at += sizeof(inotify_event) + next->len;
      const std::uint32_t what = change_of(*e, renamed);
      if (what == 0) continue;
      if (n > 0 && out[n - 1].watch == e->wd) {
        out[n - 1].what |= what;
      } else {
        out[n++] = {e->wd, what};  // an overflow has -1
      }
    }
    if (n > 0) return n;  // none of it was of interest: there may be more
  }
}

int linux_host::file_now(int fd, core::file_state& out) noexcept {
  errno_guard keep;
  struct stat st {};
  if (fstat(fd, &st) != 0) return errno;
  switch (st.st_mode & S_IFMT) {
    case S_IFSOCK:
    case 0:  // eventfd and the like
      return EINVAL;
    case S_IFIFO:
      if (is_nameless_pipe(fd)) return EINVAL;
      break;
    default:
      break;
  }
  out.size = st.st_size;
  out.links = static_cast<std::uint32_t>(st.st_nlink);
  out.access = (st.st_mode * 0x9e3779b9u ^ st.st_uid) * 0x85ebca6bu ^ st.st_gid;
  out.directory = S_ISDIR(st.st_mode);
  return 0;
}

}  // namespace quay::host
