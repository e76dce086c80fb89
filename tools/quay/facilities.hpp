// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the running kernel offers, found by asking for it and not by its version number: a
// sandbox may refuse what the version has.
#pragma once

#include <string>
#include <vector>

namespace quay::tool {

struct facility {
  std::string name;
  std::string use;  // what it gives to a program
  bool found = false;
  bool needed = false;  // quay does not work without it
  std::string reason;   // why not, where it was not found
};

std::vector<facility> probe_facilities();

struct kernel_release {
  std::string text;  // "6.1.0-18-amd64"
  bool new_enough = false;
};
inline constexpr const char* kOldestKernel = "5.11";
kernel_release probe_kernel();

}  // namespace quay::tool
