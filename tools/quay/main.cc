// SPDX-License-Identifier: BSD-2-Clause
//
// What: bin/quay: finds the subcommand, turns what it throws into a message and an exit status.
#include <fmt/format.h>
#include <string.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "command.hpp"

namespace quay::tool {

failure system_failure(const std::string& what, int error) {
  return failure(fmt::format("{}: {} ({})", what, strerror(error), strerrorname_np(error)));
}

std::string check_count(const std::string& text) {
  const bool digits =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return isdigit(c); });
  if (digits && text.find_first_not_of('0') != std::string::npos && text.size() < 10) return "";
  return fmt::format("\"{}\" is not a whole number, 1 or more", text);
}

std::vector<std::string> program_words(const CLI::App& sub) {
  std::vector<std::string> words = sub.remaining();
  if (words.empty()) throw CLI::RequiredError("PROGRAM");
  if (words[0].starts_with('-')) {
    throw CLI::ValidationError(
        fmt::format("there is no option {0}; a program of that name is ./{0}", words[0]));
  }
  return words;
}

namespace {

// What is wrong, and where to read what would be right.
std::string explain(const CLI::App* app, const CLI::Error& error) {
  const auto chosen = app->get_subcommands();
  if (!chosen.empty()) {
    const std::string name = chosen.front()->get_name();
    return fmt::format("quay {0}: {1}\n`quay {0} --help` says what there is.\n", name,
                       error.what());
  }
  std::string known;
  for (const CLI::App* each :
       app->get_subcommands([](const CLI::App* a) { return !a->get_group().empty(); })) {
    known += " " + each->get_name();
  }
  const auto words = app->remaining();
  return fmt::format("quay: {}; there are{}\n`quay --help` says what they do.\n",
                     words.empty() ? "a command is missing" : words[0] + " is no command", known);
}

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
  app.failure_message(explain);
  int status = kDone;
  add_watch(app, status);
  add_doctor(app, status);
  add_run(app);
  add_trace(app, status);
  add_stat(app, status);
  add_bench(app, status);
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
