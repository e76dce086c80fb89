// SPDX-License-Identifier: BSD-2-Clause
//
// What: children of a test: code that runs in one, and what its descriptors are.
// Contract: a child says what went wrong by its exit status, the number of the statement of
//           in_child()'s code that was false; assertions of GoogleTest belong to the parent.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "objects.hpp"

namespace quay::test {

inline int status_of_child(pid_t pid) {
  int status = 0;
  checked(::waitpid(pid, &status, 0), "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// The line of a condition that did not hold, modulo what an exit status can say.
#define QUAY_CHILD_CHECK(condition) \
  if (!(condition)) return __LINE__ % 120 + 1

// Runs `code` in a forked child. 0: every check held. Where other threads use the heap meanwhile,
// `code` may not: a sanitizer's may be locked by a thread that the child has not got.
template <typename Code>
int in_child(Code code) {
  const pid_t pid = checked(::fork(), "fork");
  if (pid == 0) ::_exit(code());
  return status_of_child(pid);
}

inline size_t count_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

inline long resident_kilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtol(line.c_str() + 6, nullptr, 10);
  }
  return -1;
}

}  // namespace quay::test
