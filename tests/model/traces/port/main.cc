// SPDX-License-Identifier: BSD-2-Clause
//
// What: port_trace_replay, which performs recorded operation sequences of illumos' own port code on
//       this library and compares every answer.
// Contract: exit status 0 iff every sequence of every file matches; public headers only. Sequences
//           with threads depend on real time: they get further attempts, each slower.
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <sstream>

#include "../trace.hpp"
#include "play.hpp"

namespace {

constexpr int kAttempts = 4;

bool depends_on_time(const nlohmann::json& sequence) {
  for (const auto& step : sequence.at("steps")) {
    if (step.at("op") == "start" || step.at("op") == "advance") return true;
  }
  return false;
}

bool has_operation(const nlohmann::json& sequence, const std::string& op) {
  for (const auto& step : sequence.at("steps")) {
    if (step.at("op") == op) return true;
  }
  return false;
}

bool replay(const std::string& path, int only, const std::string& left_out) {
  std::istringstream lines(quay::traces::read_whole_file(path));
  size_t all = 0;
  size_t matching = 0;
  size_t skipped = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    const auto sequence = nlohmann::json::parse(line);
    if (only >= 0 && sequence.at("seq") != only) continue;
    if (!left_out.empty() && has_operation(sequence, left_out)) {
      ++skipped;
      continue;
    }
    quay::traces::port::verdict v;
    const int attempts = depends_on_time(sequence) ? kAttempts : 1;
    for (int attempt = 0; attempt < attempts; ++attempt) {
      v = quay::traces::port::play(sequence, 1 << attempt);
      if (v.matches) break;
    }
    ++all;
    matching += v.matches;
    if (!v.matches) fmt::print("  sequence {}: {}\n", sequence.at("seq").dump(), v.why);
  }
  fmt::print("{}: {} of {} sequences match\n", path.substr(path.rfind('/') + 1), matching, all);
  if (skipped > 0) fmt::print("  left out: {} sequences with {}\n", skipped, left_out);
  ::fflush(stdout);
  return matching == all && all > 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Performs recorded event port sequences on this library and compares the answers."};
  std::vector<std::string> files;
  int only = -1;
  app.add_option("FILE", files, "traces, .jsonl or .jsonl.gz")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--seq", only, "only the sequence of this number");
  std::string left_out;
  app.add_option("--leave-out", left_out, "no sequence with this operation");
  CLI11_PARSE(app, argc, argv);
  ::signal(SIGPIPE, SIG_IGN);
  bool all_match = true;
  for (const std::string& path : files) all_match &= replay(path, only, left_out);
  return all_match ? 0 : 1;
}
