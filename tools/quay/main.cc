// SPDX-License-Identifier: BSD-2-Clause
//
// What: bin/quay: finds the subcommand, turns what it throws into a message and an exit status.
#include <fmt/format.h>
#include <string.h>

#include <cstdio>
#include <exception>
#include <vector>

#include "command.hpp"

namespace quay::tool {

failure system_failure(const std::string& what, int error) {
  return failure(fmt::format("{}: {} ({})", what, strerror(error), strerrorname_np(error)));
}

namespace {

// CLI11 takes no word after "--" for the start of another program's.
void drop_separator(std::vector<char*>& words) {
  if (words.size() < 3 || (strcmp(words[1], "run") != 0 && strcmp(words[1], "trace") != 0)) return;
  for (std::size_t i = 2; i < words.size() && words[i][0] == '-'; ++i) {
    if (strcmp(words[i], "--") == 0) {
      words.erase(words.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
    if (strcmp(words[i], "-o") == 0 || strcmp(words[i], "--output") == 0) ++i;
  }
}

int run(int argc, char** argv) {
  CLI::App app("See what kqueue sees, and what this system gives quay to work with.", "quay");
  app.set_version_flag("--version", "quay " QUAY_VERSION);
  app.require_subcommand(1);
  app.footer(kExitHelp);
  app.failure_message(CLI::FailureMessage::simple);
  int status = kDone;
  add_watch(app, status);
  add_doctor(app, status);
  add_run(app);
  add_trace(app, status);
  add_stat(app, status);
  std::vector<char*> words(argv, argv + argc);
  drop_separator(words);
  try {
    app.parse(static_cast<int>(words.size()), words.data());
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  return status;
}

}  // namespace
}  // namespace quay::tool

int main(int argc, char** argv) {
  try {
    return quay::tool::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "quay: {}\n", error.what());
    return quay::tool::kFailed;
  }
}
