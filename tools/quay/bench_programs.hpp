// SPDX-License-Identifier: BSD-2-Clause
//
// What: the installed or built benchmark programs: where they are, and how one is run.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace quay::tool {

struct bench_program {
  std::string name;  // "level" of bench_level
  std::filesystem::path path;
};

// By name. Throws failure, which says where they were looked for, when there are none.
std::vector<bench_program> find_bench_programs();

// Runs one and gives each line that it prints to `take`; its standard error is the tool's. The exit status, 128 and the
// signal's number if it was killed.
int run_bench_program(const bench_program& program, const std::vector<std::string>& options,
                      const std::function<void(const std::string&)>& take);

}  // namespace quay::tool
