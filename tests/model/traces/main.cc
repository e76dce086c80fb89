// SPDX-License-Identifier: BSD-2-Clause
//
// What: trace_replay, which performs recorded operation sequences of the BSD kernels' own kqueue
// code on this library and compares every answer of kevent().
// Contract: exit status 0 iff every sequence of every file matches; public headers only.
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "runner.hpp"
#include "trace.hpp"

namespace quay::traces {
namespace {

struct kind_of_divergence {
  int count = 0;
  report first;
};

void print_kinds(const std::vector<report>& reports, size_t limit) {
  std::map<std::string, kind_of_divergence> kinds;
  for (const report& r : reports) {
    if (r.outcome == verdict::match) continue;
    kind_of_divergence& kind =
        kinds[(r.outcome == verdict::unplayable ? "cannot be played: " : "") + r.what.kind];
    if (kind.count++ == 0) kind.first = r;
  }
  std::vector<std::pair<std::string, kind_of_divergence>> sorted(kinds.begin(), kinds.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.count > b.second.count; });
  for (size_t i = 0; i < sorted.size() && i < limit; ++i) {
    const auto& [text, kind] = sorted[i];
    fmt::print("  {:4}  {}\n        first in {} at op {}\n", kind.count, text, kind.first.id,
               kind.first.operation_index);
    if (!kind.first.what.expected.empty()) {
      fmt::print("        expected {}\n        got      {}\n", kind.first.what.expected,
                 kind.first.what.got);
    }
  }
  if (sorted.size() > limit)
    fmt::print("  and {} more kinds; --kinds shows more\n", sorted.size() - limit);
}

bool print_summary(const std::string& path, const std::vector<report>& reports, size_t kinds) {
  size_t matching = 0;
  long calls = 0;
  long calls_matching = 0;
  std::map<int, std::pair<int, int>> tiers;
  for (const report& r : reports) {
    const bool matches = r.outcome == verdict::match;
    matching += matches;
    calls += r.calls;
    calls_matching += r.calls_matching;
    auto& [good, all] = tiers[r.tier];
    good += matches;
    ++all;
  }
  fmt::print("{}: {} of {} sequences match", path.substr(path.rfind('/') + 1), matching,
             reports.size());
  for (const auto& [tier, counts] : tiers)
    fmt::print(", tier {} {}/{}", tier, counts.first, counts.second);
  fmt::print("; {} of {} kevent() calls\n", calls_matching, calls);
  print_kinds(reports, kinds);
  return matching == reports.size();
}

void raise_descriptor_limit() {
  rlimit limit;
  constexpr rlim_t kEnough = 1024;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kEnough) return;
  limit.rlim_cur = std::min(limit.rlim_max, kEnough);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char** argv) {
  CLI::App app{
      "Performs recorded kqueue operation sequences on this library and compares the answers."};
  std::vector<std::string> files;
  std::vector<std::string> ids;
  options how;
  size_t kinds = 12;
  int tier = 0;
  bool in_process = false;
  app.add_option("FILE", files, "traces, .jsonl or .jsonl.gz")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--id", ids, "only this sequence, with every operation shown (may be repeated)");
  app.add_option("--tier", tier, "only sequences of this tier")->check(CLI::Range(1, 3));
  app.add_option("-j,--jobs", how.jobs,
                 "sequences under way at once (default: 1, or 8 where they mostly sleep)");
  app.add_option("--kinds", kinds, "kinds of divergence shown for a file")->capture_default_str();
  app.add_option("--stretch", how.stretch, "multiply all times, for a slow machine")
      ->check(CLI::PositiveNumber);
  app.add_option("--time-limit", how.time_limit_s, "seconds for one sequence")
      ->capture_default_str();
  app.add_flag("--no-fork", in_process, "play in this process, for debuggers and sanitizers");
  CLI11_PARSE(app, argc, argv);

  how.fork = !in_process;
  how.narrate = !ids.empty();
  ::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  bool all_match = true;
  for (const std::string& path : files) {
    try {
      std::vector<sequence> script = read_trace_file(path);
      std::erase_if(script, [&](const sequence& s) {
        const bool wanted_id = ids.empty() || std::find(ids.begin(), ids.end(), s.id) != ids.end();
        return !wanted_id || (tier != 0 && s.tier != tier);
      });
      if (script.empty()) {
        fmt::print(stderr, "{}: no sequence is selected\n", path);
        all_match = false;
        continue;
      }
      all_match &= print_summary(path, run(script, how), kinds);
      ::fflush(stdout);
    } catch (const std::exception& e) {
      fmt::print(stderr, "{}: {}\n", path, e.what());
      all_match = false;
    }
  }
  return all_match ? 0 : 1;
}

}  // namespace
}  // namespace quay::traces

int main(int argc, char** argv) { return quay::traces::main(argc, argv); }
