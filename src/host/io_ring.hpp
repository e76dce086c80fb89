// SPDX-License-Identifier: BSD-2-Clause
//
// What: an io_uring of one thread, on the plain system calls.
// Contract: io_uring(7); needs what Linux 5.11 has (IORING_FEAT_NODROP, IORING_FEAT_EXT_ARG), and
//           says so by refusing to open where that is missing or forbidden.
// Ownership: owns its descriptor and mappings from open() to close().
// Locking: none. entry() and submit() by one thread at a time, wait() and take() by one thread at a
//          time. After fork the child may only close().
#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>

namespace quay::host {

class io_ring {
 public:
  struct result {
    std::uint64_t name;
    int value;  // what the system call would have returned, or -errno
  };

  io_ring() noexcept = default;
  io_ring(const io_ring&) = delete;
  io_ring& operator=(const io_ring&) = delete;

  // Returns an errno: ENOSYS, EPERM (both: forbidden for good), EMFILE, ENFILE, ENOMEM.
  int open() noexcept;
  // Leaves the number alone if it is a ring no more: the program has closed it.
  void close() noexcept;

  // An empty entry to fill in; goes to the kernel with the next submit(), or when the ring is full.
  // Null: the kernel takes none now.
  io_uring_sqe* entry(std::uint64_t name) noexcept;
  // 0 or -errno; -EBADF, -EOPNOTSUPP: the program has closed the descriptor.
  int submit() noexcept;
  // Takes back the last entry that the kernel has not seen; false: there is none.
  bool retract(std::uint64_t& name) noexcept;
  // Sleeps for a completion, up to `timeout` ns (-1: for ever). 0 or -errno, -ETIME among them.
  int wait(std::int64_t timeout) noexcept;
  // The next completion; false: there is none.
  bool take(result& out) noexcept;

 private:
  bool map(const io_uring_params& p) noexcept;
  int enter(unsigned submit, unsigned least, unsigned flags, std::int64_t timeout) noexcept;

  int fd_ = -1;
  void* rings_ = nullptr;  // both rings, in one mapping
  std::size_t rings_size_ = 0;
  io_uring_sqe* entries_ = nullptr;
  std::size_t entries_size_ = 0;
  unsigned filled_ = 0;  // entries not handed over yet
  unsigned *sq_head_ = nullptr, *sq_tail_ = nullptr, *sq_flags_ = nullptr;
  unsigned *cq_head_ = nullptr, *cq_tail_ = nullptr;
  unsigned sq_mask_ = 0, sq_size_ = 0, cq_mask_ = 0;
  io_uring_cqe* completions_ = nullptr;
};

}  // namespace quay::host
