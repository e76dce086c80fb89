// SPDX-License-Identifier: BSD-2-Clause
//
// What: mounting in tests, in a process with mounts of its own, so that nothing outside is touched.
// Contract: where nothing can be mounted the test is skipped.
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

#include "child.hpp"

namespace quay::test {

inline constexpr int kCannotMount = 77;
inline constexpr int kFailed = 1;

// Runs `body(directory)` in a process that may mount; skips the test where there is none.
inline void with_mounts(const std::function<bool(const std::string&)>& body) {
  const temporary_directory directory;
  child c([&](const std::function<void()>&) {
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      return kCannotMount;
    }
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return kCannotMount;
    const std::string where = directory.path();
    if (::mount("probe", where.c_str(), "tmpfs", 0, nullptr) != 0) return kCannotMount;
    ::umount(where.c_str());
    return body(where) && !testing::Test::HasFailure() ? 0 : kFailed;
  });
  const int status = c.wait();
  if (WEXITSTATUS(status) == kCannotMount) GTEST_SKIP() << "nothing can be mounted here";
  EXPECT_EQ(status, 0);
}

inline bool mount_at(const std::string& where) {
  return ::mount("quay", where.c_str(), "tmpfs", 0, nullptr) == 0;
}

// Does the kernel number mounts so that no number comes again (listmount, Linux 6.8)?
inline bool mounts_have_numbers() {
  constexpr long kListmount = 458;
  return ::syscall(kListmount, nullptr, nullptr, 0, 0) != 0 && errno == EFAULT;
}

}  // namespace quay::test
