// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's calls that close or replace a descriptor, put in front of libc: each tells libquay
//       before and after, then it is libc's.
// Contract: semantics/kqueue.md 1.7 (close of a watched number), limits.md F. A number that no
//           queue watches and that is no queue costs one table look-up.
// Invariants: between the announcements the number is closed or replaced by exactly one system
//             call of ours; a call that will fail for its other arguments is not announced.
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>

#include "faces/hook_points.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::original;

constinit original<int(int)> libc_close{"close"};
constinit original<int(int) noexcept> libc_dup{"dup"};
constinit original<int(int, int) noexcept> libc_dup2{"dup2"};
constinit original<int(int, int, int) noexcept> libc_dup3{"dup3"};
constinit original<int(unsigned, unsigned, int)> libc_close_range{"close_range"};
constinit original<void(int)> libc_closefrom{"closefrom"};
constinit original<int(FILE*)> libc_fclose{"fclose"};
constinit original<FILE*(const char*, const char*, FILE*)> libc_freopen{"freopen"};
constinit original<FILE*(const char*, const char*, FILE*)> libc_freopen64{"freopen64"};
constinit original<int(FILE*)> libc_pclose{"pclose"};
constinit original<int(DIR*)> libc_closedir{"closedir"};

// Look-ups take the loader's lock: do them before a signal handler may need one.
[[gnu::constructor]] void look_up_originals() {
  libc_close.get();
  libc_dup.get();
  libc_dup2.get();
  libc_dup3.get();
  libc_close_range.get();
  libc_closefrom.get();
  libc_fclose.get();
  libc_freopen.get();
  libc_freopen64.get();
  libc_pclose.get();
  libc_closedir.get();
}

// The number if it concerns the library, which costs a system call to know, -1 if not.
int if_concerned(int fd) noexcept { return quay_hook_concerns(fd) ? fd : -1; }

// Announces one number that concerns the library, for as long as it lives.
class announcement {
 public:
  explicit announcement(int fd) noexcept : fd_(fd) {
    if (fd_ >= 0) quay_hook_closing(fd_);
  }
  ~announcement() {
    if (fd_ < 0) return;
    const int saved = errno;
    quay_hook_closed(fd_);
    errno = saved;
  }
  announcement(const announcement&) = delete;
  announcement& operator=(const announcement&) = delete;

 private:
  const int fd_;
};

bool is_open(int fd) noexcept {
  const int saved = errno;
  const bool open = fcntl(fd, F_GETFD) >= 0;
  errno = saved;
  return open;
}

// Announces every number of a range that concerns the library; `close_all` closes the range. After
// it all are asked about again: another thread may have registered one in between.
template <class CloseAll>
void announce_range(unsigned first, unsigned last, CloseAll close_all) noexcept {
  const int highest = quay_hook_highest();
  const unsigned above = highest < 0 ? 0 : static_cast<unsigned>(highest) + 1;
  const unsigned end = last < above ? last + 1 : above;
  for (unsigned fd = first; fd < end; ++fd) {
    const int number = static_cast<int>(fd);
    if (quay_hook_concerns(number)) quay_hook_closing(number);
  }
  close_all();
  const int saved = errno;
  for (unsigned fd = first; fd < end; ++fd) {
    const int number = static_cast<int>(fd);
    if (quay_hook_concerns(number)) quay_hook_closed(number);
  }
  errno = saved;
}

}  // namespace

// A cancelled thread does not close, so it must not announce: it is cancelled before or not at all.
QUAY_HOOK int close(int fd) {
  if (!quay_hook_concerns(fd)) return libc_close.get()(fd);
  pthread_testcancel();
  int state = 0;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
  int result = 0;
  {
    const announcement telling(fd);
    result = libc_close.get()(fd);
  }
  pthread_setcancelstate(state, nullptr);
  return result;
}

// A duplicate of one of our objects is that object.
static int followed(int from, int made) noexcept {
  if (made >= 0 && made != from && quay_hook_is_ours(from)) quay_hook_duplicated(from, made);
  return made;
}

// A duplicate that replaces what `to` was.
template <class Libc>
[[gnu::noinline]] static int replace(int from, int to, bool fails, Libc libc) noexcept {
  if (fails || from == to || !quay_hook_concerns(to) || !is_open(from)) {
    return followed(from, libc());
  }
  int made = 0;
  {
    const announcement telling(to);
    made = libc();
  }
  return followed(from, made);
}

// Of numbers that are nothing to us these are libc's, with nothing behind the call: after a system call
// every return is mispredicted.

QUAY_HOOK int dup(int from) noexcept {
  if (!quay_hook_is_ours(from)) return libc_dup.get()(from);
  return followed(from, libc_dup.get()(from));
}

QUAY_HOOK int dup2(int from, int to) noexcept {
  if (!quay_hook_concerns(to) && !quay_hook_is_ours(from)) return libc_dup2.get()(from, to);
  return replace(from, to, false, [=] { return libc_dup2.get()(from, to); });
}

QUAY_HOOK int dup3(int from, int to, int flags) noexcept {
  if (!quay_hook_concerns(to) && !quay_hook_is_ours(from)) {
    return libc_dup3.get()(from, to, flags);
  }
  return replace(from, to, (flags & ~O_CLOEXEC) != 0,
                 [=] { return libc_dup3.get()(from, to, flags); });
}

QUAY_HOOK int close_range(unsigned first, unsigned last, int flags) noexcept {
  int result = 0;
  const auto call = [&] { result = libc_close_range.get()(first, last, flags); };
  constexpr int kUnshare = 1 << 1;  // with CLOSE_RANGE_CLOEXEC it closes nothing now, else it fails
  if (first > last || (flags & ~kUnshare) != 0) {
    call();
  } else {
    announce_range(first, last, call);
  }
  return result;
}

QUAY_HOOK void closefrom(int first) noexcept {
  announce_range(first > 0 ? static_cast<unsigned>(first) : 0, ~0u,
                 [first] { libc_closefrom.get()(first); });
}

QUAY_HOOK int fclose(FILE* stream) {
  const announcement telling(if_concerned(fileno(stream)));
  return libc_fclose.get()(stream);
}

QUAY_HOOK FILE* freopen(const char* path, const char* mode, FILE* stream) {
  const announcement telling(if_concerned(fileno(stream)));
  return libc_freopen.get()(path, mode, stream);
}

QUAY_HOOK FILE* freopen64(const char* path, const char* mode, FILE* stream) {
  const announcement telling(if_concerned(fileno(stream)));
  return libc_freopen64.get()(path, mode, stream);
}

QUAY_HOOK int pclose(FILE* stream) {
  const announcement telling(if_concerned(fileno(stream)));
  return libc_pclose.get()(stream);
}

QUAY_HOOK int closedir(DIR* folder) {
  const announcement telling(if_concerned(dirfd(folder)));
  return libc_closedir.get()(folder);
}
