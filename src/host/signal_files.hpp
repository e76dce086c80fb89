// SPDX-License-Identifier: BSD-2-Clause
//
// What: the kernel's signalfd, as src/signalfd needs it.
// Contract: results or -errno; the caller's errno is not touched.
#pragma once

#include <sys/uio.h>

#include <cstdint>

namespace quay::host {

// Makes one (fd -1) or replaces the mask of one; `mask` is the 64 bits of the kernel, at any
// address. Returns its descriptor or -errno.
int signal_file_set(int fd, const void* mask, int flags) noexcept;
// The mask that all holders of the file share; false: no signalfd.
bool signal_file_mask(int fd, std::uint64_t& signals) noexcept;
bool signal_file_readable(int fd) noexcept;
// Reads; meanwhile the calling thread blocks `blocked` too, so that no handler and no disposition
// takes what the reader waits for. A point of cancellation.
long signal_file_read(int fd, const iovec* parts, int count, std::uint64_t blocked);
// What is blocked and pending for the calling thread.
std::uint64_t pending_signals() noexcept;

}  // namespace quay::host
