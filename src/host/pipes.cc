// SPDX-License-Identifier: BSD-2-Clause
//
// What: the Linux calls of pipes; see pipes.hpp.
// Invariants: calls that the hooks library stands in front of are made by number: through libc they
//             would come back to us.
#include "host/pipes.hpp"
#include "host/call_numbers.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <ctime>
#include <new>

#include "host/cancellable_call.hpp"
#include "host/errno_guard.hpp"

namespace quay::host {

void* map_shared(std::size_t bytes) noexcept {
  errno_guard keep;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0);
  return p != MAP_FAILED ? p : nullptr;
}

void renew_shared(void* base, std::size_t bytes) noexcept {
  errno_guard keep;
  // Refused, it leaves what was there.
  static_cast<void>(mmap(base, bytes, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0));
}

int make_object(std::size_t bytes) noexcept {
  errno_guard keep;
  const int fd = memfd_create("quay-pipe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  if (ftruncate(fd, static_cast<off_t>(bytes)) == 0 &&
      syscall(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
    return fd;
  }
  const int error = errno;
  syscall(SYS_close, fd);
  return -error;
}

bool is_object(int fd, std::size_t bytes) noexcept {
  errno_guard keep;
  struct stat found {};
  const long seals = syscall(SYS_fcntl, fd, F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && kernel_stat(fd, found) == 0 &&
         found.st_size == static_cast<off_t>(bytes);
}

bool map_object(int object, void* over, std::size_t bytes) noexcept {
  errno_guard keep;
  return mmap(over, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, object,
              0) != MAP_FAILED;
}

void* view_again(void* base, std::size_t bytes) noexcept {
  errno_guard keep;
  void* p = mremap(base, 0, bytes, MREMAP_MAYMOVE);
  return p != MAP_FAILED ? p : nullptr;
}

int sleep_shared(std::atomic<std::uint32_t>& word, std::uint32_t expected, sleep how) {
  errno_guard keep;
  // A futex wait without a deadline is restarted after handlers that ask for it, like read(2); one
  // with a deadline never is.
  constexpr timespec kNever{INT_MAX, 0};
  constexpr timespec kDoubt{0, 50'000'000};
  const timespec* most = how == sleep::sound ? nullptr : how == sleep::doubting ? &kDoubt : &kNever;
  const long result = cancellable_call(kFutex, reinterpret_cast<long>(&word), FUTEX_WAIT,
                                       static_cast<long>(expected), reinterpret_cast<long>(most));
  return result != 0 && errno == EINTR ? EINTR : 0;
}

void wake_shared(std::atomic<std::uint32_t>& word) noexcept {
  errno_guard keep;
  syscall(kFutex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

std::int64_t coarse_wall() noexcept {
  timespec t{};
  clock_gettime(CLOCK_REALTIME_COARSE, &t);
  return t.tv_sec * std::int64_t{1000000000} + t.tv_nsec;
}

std::uint32_t this_cpu() noexcept {
#ifdef RSEQ_SIG
  // libc has told the kernel where to write it down.
  if (__rseq_size != 0) {
    const auto* const self = reinterpret_cast<const struct rseq*>(
        static_cast<const char*>(__builtin_thread_pointer()) + __rseq_offset);
    const std::uint32_t cpu = *const_cast<const volatile std::uint32_t*>(&self->cpu_id);
    if (static_cast<std::int32_t>(cpu) >= 0) return cpu;
  }
#endif
  return static_cast<std::uint32_t>(sched_getcpu());
}

std::size_t physical_memory() noexcept {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<std::size_t>(pages) * static_cast<std::size_t>(size)
                               : 0;
}

void raise_sigpipe() noexcept {
  errno_guard keep;
  pthread_kill(pthread_self(), SIGPIPE);
}

void raise_sigio(int owner) noexcept {
  errno_guard keep;
  if (owner != 0) kill(owner, SIGIO);
}

int make_kernel_pipe(int fds[2], int flags) noexcept {
  errno_guard keep;
  return error_of(static_cast<int>(syscall(SYS_pipe2, fds, flags)));
}

bool is_nonblocking(int fd) noexcept {
  errno_guard keep;
  const long flags = syscall(SYS_fcntl, fd, F_GETFL);
  return flags >= 0 && (flags & O_NONBLOCK) != 0;
}

int keep_alive(int fd) noexcept {
  errno_guard keep;
  const int copy = static_cast<int>(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0));
  return copy >= 0 ? copy : -errno;
}

int other_side(int fd, bool writing) noexcept {
  errno_guard keep;
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const int made = static_cast<int>(syscall(
      SYS_openat, AT_FDCWD, path, (writing ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_CLOEXEC));
  return made >= 0 ? made : -errno;
}

int kernel_poll(pollfd* fds, std::size_t n, const timespec* timeout,
                const sigset_t* mask) noexcept {
  errno_guard keep;
  timespec rest = timeout != nullptr ? *timeout : timespec{};
  const long ready = syscall(kPpoll, fds, n, timeout != nullptr ? &rest : nullptr, mask, 8);
  return ready >= 0 ? static_cast<int>(ready) : -errno;
}

int await_poll(pollfd* fds, std::size_t n, const timespec* timeout, const sigset_t* mask) {
  errno_guard keep;
  timespec rest = timeout != nullptr ? *timeout : timespec{};
  const long ready = cancellable_call(kPpoll, reinterpret_cast<long>(fds), static_cast<long>(n),
                                      timeout != nullptr ? reinterpret_cast<long>(&rest) : 0L,
                                      reinterpret_cast<long>(mask), 8);
  return ready >= 0 ? static_cast<int>(ready) : -errno;
}

namespace {
constexpr timespec kNoTime{0, 0};
}  // namespace

bool hung_up(int fd) noexcept {
  pollfd p{fd, 0, 0};
  return kernel_poll(&p, 1, &kNoTime, nullptr) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

bool is_nameless_pipe(int fd) noexcept {
  struct statfs fs {};
  return fstatfs(fd, &fs) == 0 && fs.f_type == PIPEFS_MAGIC;
}

void shorten_kernel_pipe(int fd) noexcept {
  errno_guard keep;
  syscall(SYS_fcntl, fd, F_SETPIPE_SZ, 4096);
}

namespace {

bool allows(int fd, short what) noexcept {
  pollfd p{fd, what, 0};
  return kernel_poll(&p, 1, &kNoTime, nullptr) == 1 && (p.revents & (what | POLLERR)) == what;
}

// The ends may block: each call asks first, and RWF_NOWAIT settles it between processes. Before Linux
// 6.4 no pipe knows it, and later none that was opened by a path; a filter may lack the call.
long move_without_waiting(int fd, const iovec& part, bool writing) noexcept {
  const long call = writing ? SYS_pwritev2 : SYS_preadv2;
  const long moved = syscall(call, fd, &part, 1, -1L, -1L, RWF_NOWAIT);
  if (moved >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return moved;
  const int own = is_nonblocking(fd) ? fd : other_side(fd, writing);
  if (own < 0) return -1;
  const long result = syscall(writing ? SYS_writev : SYS_readv, own, &part, 1);
  if (own != fd) syscall(SYS_close, own);
  return result;
}

}  // namespace

bool leave_token(int writing_end) noexcept {
  errno_guard keep;
  char token = 0;
  return allows(writing_end, POLLOUT) && move_without_waiting(writing_end, {&token, 1}, true) == 1;
}

bool take_tokens(int reading_end) noexcept {
  errno_guard keep;
  char tokens[64];
  return allows(reading_end, POLLIN) &&
         move_without_waiting(reading_end, {tokens, sizeof tokens}, false) > 0;
}

void widen_kernel_pipe(int fd) noexcept {
  errno_guard keep;
  syscall(SYS_fcntl, fd, F_SETPIPE_SZ, 128 * 1024);
}

void put_into_kernel_pipe(int writing_end, const void* bytes, std::size_t n) noexcept {
  errno_guard keep;
  syscall(SYS_write, writing_end, bytes, n);
}

bool survives_exec(int fd) noexcept {
  errno_guard keep;
  const long flags = syscall(SYS_fcntl, fd, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

int kernel_stat(int fd, struct stat& out) noexcept {
  errno_guard keep;
#if defined(SYS_newfstatat)
  return error_of(static_cast<int>(syscall(SYS_newfstatat, fd, "", &out, AT_EMPTY_PATH)));
#else
  // Where times have two sizes: the one call that knows of one.
  struct statx found {};
  if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &found) != 0) return errno;
  const auto time = [](const struct statx_timestamp& t) {
    return timespec{static_cast<time_t>(t.tv_sec), static_cast<long>(t.tv_nsec)};
  };
  out = {};
  out.st_dev = makedev(found.stx_dev_major, found.stx_dev_minor);
  out.st_rdev = makedev(found.stx_rdev_major, found.stx_rdev_minor);
  out.st_ino = static_cast<ino_t>(found.stx_ino);
  out.st_mode = found.stx_mode;
  out.st_nlink = found.stx_nlink;
  out.st_uid = found.stx_uid;
  out.st_gid = found.stx_gid;
  out.st_size = static_cast<off_t>(found.stx_size);
  out.st_blksize = static_cast<blksize_t>(found.stx_blksize);
  out.st_blocks = static_cast<blkcnt_t>(found.stx_blocks);
  out.st_atim = time(found.stx_atime);
  out.st_mtim = time(found.stx_mtime);
  out.st_ctim = time(found.stx_ctime);
  return 0;
#endif
}

long kernel_control(int fd, int command, void* argument) noexcept {
  errno_guard keep;
  const long result = syscall(kFcntl, fd, command, argument);
  return result >= 0 ? result : -errno;
}

int make_fifo(const char* path, mode_t mode) noexcept {
  errno_guard keep;
  return error_of(
      static_cast<int>(syscall(SYS_mknodat, AT_FDCWD, path, S_IFIFO | (mode & 07777), 0)));
}

int open_path(const char* path, int flags) {
  errno_guard keep;
  const long made = cancellable_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), flags);
  return made >= 0 ? static_cast<int>(made) : -errno;
}

long kernel_read(int fd, const iovec* parts, int count) {
  errno_guard keep;
  const long n = cancellable_call(SYS_readv, fd, reinterpret_cast<long>(parts), count);
  return n >= 0 ? n : -errno;
}

long kernel_write(int fd, const iovec* parts, int count) {
  errno_guard keep;
  const long n = cancellable_call(SYS_writev, fd, reinterpret_cast<long>(parts), count);
  return n >= 0 ? n : -errno;
}

long kernel_ioctl(int fd, unsigned long request, void* argument) noexcept {
  errno_guard keep;
  const long result = syscall(SYS_ioctl, fd, request, argument);
  return result >= 0 ? result : -errno;
}

namespace {

struct orders {
  int set;
  hangup_watch::report tell;
};

// The set's number is all the thread works with: a child of fork, which has no such thread, makes a
// set of its own.
void* serve(void* given) {
  const orders mine = *static_cast<orders*>(given);
  delete static_cast<orders*>(given);
  for (;;) {
    epoll_event e{};
    const int n = epoll_wait(mine.set, &e, 1, -1);
    if (n == 1) mine.tell(e.data.u64);
    if (n < 0 && errno != EINTR) return nullptr;
  }
}

}  // namespace

int hangup_watch::start(report tell) noexcept {
  const int set = epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) return -errno;
  int expected = -1;
  if (!set_.compare_exchange_strong(expected, set)) {
    syscall(SYS_close, set);
    return expected;
  }
  auto* given = new (std::nothrow) orders{set, tell};
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = given != nullptr ? pthread_create(&thread, nullptr, serve, given) : ENOMEM;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) {
    pthread_detach(thread);
    return set;
  }
  delete given;
  set_.store(-1);
  syscall(SYS_close, set);
  return -error;
}

int hangup_watch::watch(int fd, std::uint64_t name, report tell) noexcept {
  errno_guard keep;
  int set = set_.load();
  if (set < 0) set = start(tell);
  if (set < 0) return -set;
  epoll_event e{};
  e.events = EPOLLONESHOT;  // the two that are always reported are all we want
  e.data.u64 = name;
  if (syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, fd, &e) == 0) return 0;
  return errno == EEXIST
             ? error_of(static_cast<int>(syscall(SYS_epoll_ctl, set, EPOLL_CTL_MOD, fd, &e)))
             : errno;
}

void hangup_watch::forget(int fd) noexcept {
  errno_guard keep;
  const int set = set_.load();
  if (set >= 0) syscall(SYS_epoll_ctl, set, EPOLL_CTL_DEL, fd, nullptr);
}

void hangup_watch::reset_after_fork() noexcept {
  const int set = set_.exchange(-1);
  errno_guard keep;
  if (set >= 0) syscall(SYS_close, set);
}

}  // namespace quay::host
