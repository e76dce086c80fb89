// SPDX-License-Identifier: BSD-2-Clause
//
// What: port_trace_replay, which performs recorded operation sequences of illumos' own port code on
//       this library and compares every answer.
// Contract: exit status 0 iff every sequence of every file matches; public headers only. Sequences
//           with threads depend on real time: they get further attempts, each slower.
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "../trace.hpp"
#include "play.hpp"

namespace {

constexpr int kAttempts = 6;

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

struct tally {
  int all = 0;
  int matching = 0;
  int skipped = 0;
};

// Plays the sequences whose number leaves `share` when divided by `shares`.
tally replay_share(const std::vector<nlohmann::json>& sequences, size_t share, size_t shares,
                   const std::string& left_out) {
  tally count;
  for (size_t n = share; n < sequences.size(); n += shares) {
    const auto& sequence = sequences[n];
    if (!left_out.empty() && has_operation(sequence, left_out)) {
      ++count.skipped;
      continue;
    }
    quay::traces::port::verdict v;
    const int attempts = depends_on_time(sequence) ? kAttempts : 1;
    for (int attempt = 0; attempt < attempts; ++attempt) {
      v = quay::traces::port::play(sequence, 1 << attempt);
      if (v.matches) break;
    }
    ++count.all;
    count.matching += v.matches;
    if (!v.matches) fmt::print("  sequence {}: {}\n", sequence.at("seq").dump(), v.why);
  }
  ::fflush(stdout);
  return count;
}

// Sequences are mostly spent asleep: several processes play them side by side.
tally replay_side_by_side(const std::vector<nlohmann::json>& sequences, size_t jobs,
                          const std::string& left_out) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("cannot make a pipe");
  for (size_t job = 0; job < jobs; ++job) {
    if (::fork() != 0) continue;
    const tally mine = replay_share(sequences, job, jobs, left_out);
    ::_exit(::write(ends[1], &mine, sizeof mine) == sizeof mine ? 0 : 1);
  }
  ::close(ends[1]);
  tally sum;
  // One that dies reports nothing: its sequences are missing then.
  for (tally each; ::read(ends[0], &each, sizeof each) == sizeof each;) {
    sum.all += each.all;
    sum.matching += each.matching;
    sum.skipped += each.skipped;
  }
  ::close(ends[0]);
  while (::wait(nullptr) > 0) {
  }
  return sum;
}

bool replay(const std::string& path, int only, size_t jobs, const std::string& left_out) {
  std::istringstream lines(quay::traces::read_whole_file(path));
  std::vector<nlohmann::json> sequences;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    auto sequence = nlohmann::json::parse(line);
    if (only < 0 || sequence.at("seq") == only) sequences.push_back(std::move(sequence));
  }
  const tally count = replay_side_by_side(sequences, jobs, left_out);
  const int wanted = static_cast<int>(sequences.size()) - count.skipped;
  fmt::print("{}: {} of {} sequences match\n", path.substr(path.rfind('/') + 1), count.matching,
             wanted);
  if (count.skipped > 0) {
    fmt::print("  left out: {} sequences with {}\n", count.skipped, left_out);
  }
  ::fflush(stdout);
  return count.matching == wanted && count.all > 0;
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
  size_t jobs = 8;
  app.add_option("--jobs", jobs, "sequences that are played side by side")
      ->check(CLI::Range(1, 64));
  CLI11_PARSE(app, argc, argv);
  ::signal(SIGPIPE, SIG_IGN);
  bool all_match = true;
  for (const std::string& path : files) all_match &= replay(path, only, jobs, left_out);
  return all_match ? 0 : 1;
}
