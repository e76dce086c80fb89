// SPDX-License-Identifier: BSD-2-Clause
//
// What: signalfd as illumos has it, on the kernel's: the same records, other rules.
// Contract: semantics/pipes-signalfd.md B1-B7; seed illumos-signalfd.c.
// Invariants:
//   1. The kernel's file holds the whole state, its mask: duplicates, children and unaware programs
//      see one object. What is ours is that a number follows these rules (the descriptor table).
//   2. What a read takes is told to the signal engine: the posting is over.
// Locking: none.
#pragma once

#include <csignal>

#include "core/descriptors.hpp"
#include "core/host.hpp"

namespace quay::signalfd {

class system final : public core::descriptor_owner {
 public:
  system(core::host& os, core::descriptor_table& descriptors, bool hooked) noexcept
      : os_(os), descriptors_(descriptors), hooked_(hooked) {
    descriptors.enroll(*this);
  }
  system(const system&) = delete;
  system& operator=(const system&) = delete;

  // Makes one (fd -1; then flags are SFD_CLOEXEC and SFD_NONBLOCK) or replaces the mask of one.
  // Returns the descriptor or -errno.
  int set(int fd, const sigset_t* mask, int flags) noexcept;

  long read(int fd, const iovec* parts, int count) override;
  long write(int fd, const iovec* parts, int count) noexcept override;
  int stat(int fd, struct stat& out) noexcept override;
  int ioctl(int fd, unsigned long request, void* argument) noexcept override;
  int fcntl(int fd, int command, void* argument) noexcept override;
  int poll(int fd, short events) noexcept override;
  bool observe(int fd, bool writing, core::observation& out) noexcept override;

  void closing(int fd) noexcept override;
  void closed(int) noexcept override {}
  void duplicated(int from, int to) noexcept override;
  // A child reads its own signals through the same file: nothing to forget.
  void before_fork() noexcept override {}
  void after_fork_in_parent() noexcept override {}
  void after_fork_in_child() noexcept override {}

 private:
  bool still_one(int fd) noexcept;

  core::host& os_;
  core::descriptor_table& descriptors_;
  const bool hooked_;
};

}  // namespace quay::signalfd
