// SPDX-License-Identifier: BSD-2-Clause
//
// What: the system calls of the aio engine that need no ring: transfers, questions about a
//       descriptor, signals, sleeping on a word, threads that no signal handler runs in.
// Contract: results are never negative, failures are -errno; the caller's errno is untouched.
#pragma once

#include <signal.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace quay::host {

enum class transfer : bool { in, out };

// At `offset`, or where a stream stands; blocks, O_NONBLOCK or not.
long move(transfer way, int fd, const iovec* parts, int count, std::int64_t offset) noexcept;
// The same, if that is possible at once: otherwise -EAGAIN; -EOPNOTSUPP: the file cannot tell;
// -ESPIPE: the descriptor is a stream.
long move_now(transfer way, int fd, const iovec* parts, int count, std::int64_t offset) noexcept;
// fsync, or fdatasync.
long flush(int fd, bool data_only) noexcept;

int open_flags(int fd) noexcept;  // as F_GETFL
bool is_seekable(int fd) noexcept;

// What POSIX asks of the end of a request: si_code SI_ASYNCIO. `thread` 0: the process.
void send_aio_signal(int number, sigval value, int thread) noexcept;

// Sleeps while `word` is `expected`, until `deadline` (monotonic ns, INT64_MAX: none) or a signal.
// Returns 0, -EAGAIN (the word differs), -EINTR or -ETIMEDOUT.
int sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t expected,
             std::int64_t deadline) noexcept;
void wake_one(std::atomic<std::uint32_t>& word) noexcept;
void wake_all(std::atomic<std::uint32_t>& word) noexcept;

// Starts a detached thread in which all signals are blocked. Returns an errno.
int start_thread(void* (*run)(void*), void* argument) noexcept;

}  // namespace quay::host
