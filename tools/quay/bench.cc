// SPDX-License-Identifier: BSD-2-Clause
//
// What: `quay bench`: every promise of speed, measured on this machine against the raw mechanism; a table, and with
//       --report a folder with the figures, two plots and a page.
// Contract: exit status 0 when all programs ran, whether or not promises were kept; 1 when one failed or there are none, and
//           then no report is written; 2 for wrong usage.
#include <errno.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "bench_programs.hpp"
#include "bench_results.hpp"
#include "bench_views.hpp"
#include "command.hpp"

namespace quay::tool {

namespace {

struct settings {
  std::vector<std::string> names;
  std::string report, from, revision = "quay " QUAY_VERSION;
  unsigned repetitions = 0, rounds = 1;
  bool list = false, smoke = false, extra = false, json = false;
};

std::vector<bench_program> chosen_programs(const settings& s) {
  std::vector<bench_program> all = find_bench_programs();
  if (s.names.empty()) return all;
  std::string known;
  for (const bench_program& each : all) known += " " + each.name;
  std::vector<bench_program> chosen;
  for (const std::string& name : s.names) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const bench_program& each) { return each.name == name; });
    if (found == all.end()) {
      throw CLI::ValidationError("PROGRAM",
                                 fmt::format("there is no {}; there are{}", name, known));
    }
    chosen.push_back(*found);
  }
  return chosen;
}

int list(const settings& s) {
  int status = kDone;
  for (const bench_program& each : chosen_programs(s)) {
    fmt::print("{}\n", each.name);
    std::fflush(stdout);
    const auto print = [](const std::string& line) { fmt::print("  {}\n", line); };
    std::vector<std::string> options = {"--list"};
    if (s.extra) options.emplace_back("--extra");
    if (run_bench_program(each, options, print) != 0) status = kFailed;
  }
  return status;
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) throw system_failure(path, errno);
}

// Before anything is measured: an hour later is too late to find out.
void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw system_failure(path, error.value());
  if (access(path.c_str(), W_OK) != 0) throw system_failure(path, errno);
}

void write_report(const bench_results& results, const std::filesystem::path& folder) {
  write_file(folder / "results.jsonl", results.lines());
  write_file(folder / "table.md", to_markdown(results));
  write_file(folder / "ratios.svg", ratio_plot(results));
  write_file(folder / "times.svg", time_plot(results));
  write_file(folder / "index.html", to_page(results));
  fmt::print(stderr, "quay bench: report in {}\n", (folder / "index.html").string());
}

void print(const bench_results& results, const settings& s) {
  fmt::print("{}", s.json ? results.lines() : to_terminal(results, palette()));
}

// Whether it is a program of ours that can run: one that cannot is better found out now than in an hour.
void try_out(const bench_program& program) {
  const auto ignore = [](const std::string&) {};
  if (run_bench_program(program, {"--list"}, ignore) == 0) return;
  throw failure(
      fmt::format("bench: {} does not name its cases: it is broken, or left from another version",
                  program.path.string()));
}

bench_results measure(const settings& s, std::string& failed) {
  const std::vector<bench_program> programs = chosen_programs(s);
  for (const bench_program& each : programs) try_out(each);
  std::vector<std::string> options;
  if (s.smoke) options.emplace_back("--smoke");
  if (s.extra) options.emplace_back("--extra");
  if (s.repetitions > 0)
    options.insert(options.end(), {"--repetitions", fmt::to_string(s.repetitions)});
  bench_results results = bench_results::here(s.revision);
  std::vector<std::vector<std::string>> rounds(s.rounds);
  const std::size_t runs = programs.size() * rounds.size();
  for (std::size_t i = 0; i < runs; ++i) {
    const bench_program& program = programs[i % programs.size()];
    fmt::print(stderr, "[{}/{}] {}\n", i + 1, runs, program.name);
    const auto take = [&](const std::string& line) { rounds[i / programs.size()].push_back(line); };
    if (run_bench_program(program, options, take) != 0) failed += " " + program.name;
  }
  results.add_middle(rounds);
  return results;
}

int bench(const settings& s) {
  if (s.list) return list(s);
  if (!s.report.empty()) make_folder(s.report);
  std::string failed;
  const bench_results results =
      s.from.empty() ? measure(s, failed) : bench_results::from_file(s.from);
  print(results, s);
  if (!failed.empty()) {
    throw failure(fmt::format("bench: failed:{}{}", failed,
                              s.report.empty() ? "" : "; no report is written"));
  }
  if (!s.report.empty()) write_report(results, s.report);
  return kDone;
}

}  // namespace

void add_bench(CLI::App& app, int& status) {
  auto s = std::make_shared<settings>();
  CLI::App* sub = app.add_subcommand(
      "bench", "Measure quay against the raw mechanisms of this machine, and draw it.");
  sub->footer(
      std::string(
          "Without PROGRAM all run, which takes some minutes; nothing else should run meanwhile.\n"
          "A missed promise is shown and is no failure.\n\n") +
      kExitHelp);
  sub->add_option("PROGRAM", s->names, "Only these; --list names them");
  CLI::Option* listing =
      sub->add_flag("-l,--list", s->list, "Name the programs and their cases, measure nothing");
  sub->add_option("--report", s->report,
                  "Write results.jsonl, table.md, ratios.svg, times.svg and index.html here")
      ->type_name("DIR")
      ->excludes(listing);
  CLI::Option* smoke =
      sub->add_flag("--smoke", s->smoke, "Only see that all run: tiny sizes, no verdicts");
  sub->add_flag("--extra", s->extra, "Also the comparisons that carry no promise");
  CLI::Option* repetitions =
      sub->add_option("--repetitions", s->repetitions,
                      "How often each case is repeated, if not as often as it wants")
          ->type_name("N")
          ->check(CLI::Range(2, 100'000))
          ->excludes(smoke);
  sub->add_option("--rounds", s->rounds,
                  "Run all so often; of each case the round of the middle ratio counts")
      ->type_name("N")
      ->check(CLI::Range(1, 100))
      ->capture_default_str()
      ->excludes(listing);
  sub->add_option("--from", s->from, "Measure nothing: the results.jsonl of an earlier report")
      ->type_name("FILE")
      ->check(CLI::ExistingFile)
      ->excludes(listing)
      ->excludes("PROGRAM")
      ->excludes(smoke)
      ->excludes(repetitions);
  sub->add_option("--revision", s->revision, "What the report says was measured")
      ->type_name("TEXT")
      ->capture_default_str();
  sub->add_flag("--json", s->json, "The results as JSON lines, no table")->excludes(listing);
  sub->callback([s, &status] { status = bench(*s); });
}

}  // namespace quay::tool
