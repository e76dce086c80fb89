// SPDX-License-Identifier: BSD-2-Clause
//
// What: named pipes: the kernel's, under the seed's rules.
// Contract: semantics/pipes-signalfd.md A7; docs/differences.md, "Pipes".
// Invariants: nothing is kept of a descriptor but whose it is. Bytes, readers, writers and the
//             generations of both are the kernel's, so that processes need not have met.
// Locking: none.
// Wakeups: the kernel's, for all processes. Within one, who moves bytes and a reader who comes back
//          also tell those notes on the same pipe that the kernel would not.
#pragma once

#include <atomic>

#include "core/descriptors.hpp"

namespace quay::pipe {

class named final : public core::descriptor_owner {
 public:
  explicit named(core::descriptor_table& descriptors) noexcept : descriptors_(descriptors) {
    descriptors_.enroll(*this);
  }
  named(const named&) = delete;
  named& operator=(const named&) = delete;

  // A descriptor or -errno. Of what is no named pipe, a descriptor that is none of ours.
  int open(const char* path, int flags);

  long read(int fd, const iovec* parts, int count) override;
  long write(int fd, const iovec* parts, int count) override;
  int stat(int, struct stat&) noexcept override { return kAskKernel; }
  int ioctl(int fd, unsigned long request, void* argument) noexcept override;
  int fcntl(int, int, void*) noexcept override { return kAskKernel; }
  int answer(int fd, core::file_call what) noexcept override;
  int poll(int fd, short events) noexcept override;
  bool observe(int fd, bool writing, core::observation& out) noexcept override;

  void closing(int fd) noexcept override { descriptors_.clear_owner(fd, *this); }
  void closed(int) noexcept override {}
  void duplicated(int, int to) noexcept override { take_in(to); }

  void before_fork() noexcept override {}
  void after_fork_in_parent() noexcept override {}
  void after_fork_in_child() noexcept override {}

 private:
  bool take_in(int fd) noexcept;
  // Every number of ours that is open on the file behind fd, until f says true of one.
  template <class F>
  bool any_of_its_file(int fd, F f) noexcept;
  void tell_notes(int fd) noexcept;
  bool leaves_widows(const char* path);

  core::descriptor_table& descriptors_;
  std::atomic<int> highest_{-1};       // no number above this one is ours
  std::atomic<bool> observed_{false};  // somebody has, or had, notes
};

}  // namespace quay::pipe
