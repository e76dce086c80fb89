// SPDX-License-Identifier: BSD-2-Clause
//
// What: see libraries.hpp.
#include "libraries.hpp"

#include <filesystem>

namespace quay::tool {

std::string find_library(const char* name) {
  std::error_code error;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* folder : {"../lib", QUAY_LIB_FROM_BIN}) {
    const auto path = (here / folder / name).lexically_normal();
    if (std::filesystem::exists(path, error)) return path;
  }
  return name;
}

}  // namespace quay::tool
