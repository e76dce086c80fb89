// SPDX-License-Identifier: BSD-2-Clause
//
// What: what main() and the subcommands agree on.
// Contract: exit status 0 when the command did what it is for, 1 when it could not or found
// nothing, 2 for wrong usage. Ownership: CLI11 owns the options; a subcommand's callback owns
// everything else and leaves its result in `status`.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "failure.hpp"

namespace quay::tool {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

inline constexpr const char* kExitHelp =
    "Exit status: 0 done, 1 nothing seen or failed, 2 wrong usage.";

// For CLI11's checks: empty when it is a whole number, 1 or more, otherwise what is wrong.
std::string check_count(const std::string& text);

// PROGRAM [ARGUMENT...], what is left of the words of `run` or `trace`. Throws what CLI11 reports.
std::vector<std::string> program_words(const CLI::App& sub);

void add_watch(CLI::App& app, int& status);
void add_doctor(CLI::App& app, int& status);
void add_run(CLI::App& app);
void add_trace(CLI::App& app, int& status);
void add_stat(CLI::App& app, int& status);
void add_bench(CLI::App& app, int& status);

}  // namespace quay::tool
