// SPDX-License-Identifier: BSD-2-Clause
//
// What: the shared libraries that the tool preloads into other programs: where they are, and how it
// becomes such a program.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <string>
#include <vector>

namespace quay::tool {

inline constexpr const char* kLibrary = "libquay.so.0";
inline constexpr const char* kHooksLibrary = "libquay-hooks.so.0";
inline constexpr const char* kTraceLibrary = "libquay-trace.so";

// Where the tool itself lies: everything that comes with it is found from there.
std::filesystem::path tool_folder();

// Beside the tool, as built or as installed; otherwise the bare name, which the loader's own search
// finds or does not.
std::string find_library(const char* name);

// Becomes a program that has these preloaded, in this order. Ends the process with 127 when the
// program cannot be found and with 126 when it cannot be started; `command` is who says so.
[[noreturn]] void become(const std::vector<std::string>& words, const char* command,
                         std::initializer_list<const char*> libraries);

}  // namespace quay::tool
