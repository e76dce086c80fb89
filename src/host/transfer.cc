// SPDX-License-Identifier: BSD-2-Clause
//
// What: the system calls of the aio engine that need no ring; see transfer.hpp.
#include "host/transfer.hpp"
#include "host/call_numbers.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "host/errno_guard.hpp"
#include "host/plain_calls.hpp"

namespace quay::host {
namespace {

// A thread of ours calls no user code: this much is plenty, sanitizers included.
constexpr std::size_t kStack = std::size_t{256} << 10;

long result_of(long value) noexcept { return value < 0 ? -errno : value; }

}  // namespace

long move(transfer way, int fd, const iovec* parts, int count, std::int64_t offset) noexcept {
  errno_guard keep;
  const bool in = way == transfer::in;
  for (;;) {
    long moved = result_of(in ? preadv(fd, parts, count, offset)  //
                              : pwritev(fd, parts, count, offset));
    if (moved == -ESPIPE)
      moved = result_of(in ? readv(fd, parts, count) : writev(fd, parts, count));
    if (moved != -EAGAIN) return moved;
    pollfd ready{fd, static_cast<short>(in ? POLLIN : POLLOUT), 0};
    poll(&ready, 1, -1);
  }
}

long move_now(transfer way, int fd, const iovec* parts, int count, std::int64_t offset) noexcept {
  errno_guard keep;
  const long moved =
      result_of(way == transfer::in ? plain::readv_at(fd, parts, count, offset, RWF_NOWAIT)
                                    : plain::writev_at(fd, parts, count, offset, RWF_NOWAIT));
  // Who translates or filters system calls may lack this one: then no file can tell.
  return moved == -ENOSYS ? -EOPNOTSUPP : moved;
}

long flush(int fd, bool data_only) noexcept {
  errno_guard keep;
  return result_of(data_only ? fdatasync(fd) : fsync(fd));
}

int open_flags(int fd) noexcept {
  errno_guard keep;
  return static_cast<int>(result_of(fcntl(fd, F_GETFL)));
}

bool is_seekable(int fd) noexcept {
  errno_guard keep;
  return lseek(fd, 0, SEEK_CUR) >= 0;
}

void send_aio_signal(int number, sigval value, int thread) noexcept {
  errno_guard keep;
  siginfo_t info{};
  info.si_signo = number;
  info.si_code = SI_ASYNCIO;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value = value;
  if (thread == 0) {
    syscall(SYS_rt_sigqueueinfo, info.si_pid, number, &info);
  } else {
    syscall(SYS_rt_tgsigqueueinfo, info.si_pid, thread, number, &info);
  }
}

int sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t expected,
             std::int64_t deadline) noexcept {
  errno_guard keep;
  constexpr std::int64_t kSecond = 1'000'000'000;
  const timespec until{static_cast<time_t>(deadline / kSecond),
                       static_cast<long>(deadline % kSecond)};
  // FUTEX_WAIT_BITSET, unlike FUTEX_WAIT, takes an absolute time, of the monotonic clock.
  return static_cast<int>(result_of(syscall(kFutex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected,
                                            deadline == INT64_MAX ? nullptr : &until, nullptr,
                                            FUTEX_BITSET_MATCH_ANY)));
}

void wake_one(std::atomic<std::uint32_t>& word) noexcept {
  errno_guard keep;
  syscall(kFutex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void wake_all(std::atomic<std::uint32_t>& word) noexcept {
  errno_guard keep;
  syscall(kFutex, &word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

int start_thread(void* (*run)(void*), void* argument) noexcept {
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error != 0) return error;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStack);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  error = pthread_create(&thread, &attributes, run, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return error;
}

}  // namespace quay::host
