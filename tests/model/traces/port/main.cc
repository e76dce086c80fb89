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

constexpr int kAttempts = 8;

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
  int matching = 0;
  int skipped = 0;
};

// What a process tells of a sequence: its place in the list.
struct report {
  size_t place;
  bool skipped;
  bool matches;
};

quay::traces::port::verdict play_patiently(const nlohmann::json& sequence) {
  const int attempts = depends_on_time(sequence) ? kAttempts : 1;
  for (int attempt = 0;; ++attempt) {
    auto v = quay::traces::port::play(sequence, 1 << attempt);
    if (v.matches || attempt + 1 == attempts) return v;
  }
}

// Sequences are mostly spent asleep: several processes play them side by side, each those whose
// place leaves its own number when divided by `jobs`. On a busy machine they can be in each other's
// way: what did not match is played once more, alone.
tally replay_side_by_side(const std::vector<nlohmann::json>& sequences, size_t jobs,
                          const std::string& left_out) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("cannot make a pipe");
  for (size_t job = 0; job < jobs; ++job) {
    if (::fork() != 0) continue;
    for (size_t n = job; n < sequences.size(); n += jobs) {
      report r{n, !left_out.empty() && has_operation(sequences[n], left_out), false};
      if (!r.skipped) r.matches = play_patiently(sequences[n]).matches;
      if (::write(ends[1], &r, sizeof r) != sizeof r) ::_exit(1);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  tally count;
  std::vector<bool> done(sequences.size());  // one that dies reports nothing
  for (report r; ::read(ends[0], &r, sizeof r) == sizeof r;) {
    done[r.place] = r.skipped || r.matches;
    count.skipped += r.skipped;
    count.matching += r.matches;
  }
  ::close(ends[0]);
  while (::wait(nullptr) > 0) {
  }
  for (size_t n = 0; n < sequences.size(); ++n) {
    if (done[n]) continue;
    const quay::traces::port::verdict v = play_patiently(sequences[n]);
    count.matching += v.matches;
    if (!v.matches) fmt::print("  sequence {}: {}\n", sequences[n].at("seq").dump(), v.why);
  }
  return count;
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
  return count.matching == wanted && wanted > 0;
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
