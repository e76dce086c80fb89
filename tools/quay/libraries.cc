// SPDX-License-Identifier: BSD-2-Clause
//
// What: see libraries.hpp.
#include "libraries.hpp"

#include <errno.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cstdio>

namespace quay::tool {

std::filesystem::path tool_folder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

std::string find_library(const char* name) {
  std::error_code error;
  const std::filesystem::path here = tool_folder();
  for (const char* folder : {"../lib", QUAY_LIB_FROM_BIN, QUAY_LIB_FROM_BIN "/quay"}) {
    const auto path = (here / folder / name).lexically_normal();
    if (std::filesystem::exists(path, error)) return path;
  }
  return name;
}

void become(const std::vector<std::string>& words, const char* command,
            std::initializer_list<const char*> libraries) {
  std::string preload;
  for (const char* each : libraries) {
    preload += (preload.empty() ? "" : ":") + find_library(each);
  }
  if (const char* more = getenv("LD_PRELOAD"); more != nullptr && *more != '\0') {
    preload += std::string(":") + more;
  }
  setenv("LD_PRELOAD", preload.c_str(), 1);
  setenv("QUAY_RUN", "1", 1);
  std::vector<char*> arguments;
  for (const std::string& each : words) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  const int error = errno;
  fmt::print(stderr, "quay {}: {}: {}\n", command, words[0], strerror(error));
  _exit(error == ENOENT ? 127 : 126);
}

}  // namespace quay::tool
