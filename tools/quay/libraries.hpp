// SPDX-License-Identifier: BSD-2-Clause
//
// What: where the shared libraries are that the tool preloads into other programs.
#pragma once

#include <string>

namespace quay::tool {

inline constexpr const char* kLibrary = "libquay.so.0";
inline constexpr const char* kHooksLibrary = "libquay-hooks.so.0";

// Beside the tool, as built or as installed; otherwise the bare name, which the loader's own search
// finds or does not.
std::string find_library(const char* name);

}  // namespace quay::tool
