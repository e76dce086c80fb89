// SPDX-License-Identifier: BSD-2-Clause
//
// What: the alternation, the statistics of a row, and the process per case (see harness.hpp).

#include "harness.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>

#include "statistics.hpp"
#include "system.hpp"

namespace quay::bench {
namespace {

using json = nlohmann::ordered_json;

constexpr int kPasses = 2;

// A case that takes longer hangs: the alarm ends its process, which the parent reports.
constexpr unsigned kPatienceSeconds = 900;
constexpr unsigned kSmokePatienceSeconds = 60;

double rounded(double value, double unit) { return std::round(value / unit) * unit; }

json decimal(double value, int digits) {
  // Through text, so that 0.1 prints as 0.1.
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return json::parse(text);
}

// Everything that the repetitions of one comparison gather.
struct gathered {
  std::vector<double> ours, base, ratios, batches;
  std::vector<double> whole_ours, whole_base, whole_ratios;
};

void repeat_once(bool base_first, const variant& ours, const variant& base, gathered& all) {
  slice mine;
  slice theirs;
  if (base_first) base(theirs);
  ours(mine);
  if (!base_first) base(theirs);
  all.ours.push_back(mine.per_operation());
  all.base.push_back(theirs.per_operation());
  all.ratios.push_back(mine.per_operation() / theirs.per_operation());
  all.batches.insert(all.batches.end(), mine.batches().begin(), mine.batches().end());
  if (mine.has_rest() && theirs.has_rest()) {
    all.whole_ours.push_back(mine.whole_per_operation());
    all.whole_base.push_back(theirs.whole_per_operation());
    all.whole_ratios.push_back(mine.whole_per_operation() / theirs.whole_per_operation());
  }
}

gathered alternate(const variant_factory& make_ours, const variant_factory& make_base,
                   int repetitions) {
  gathered all;
  for (int pass = 0; pass < kPasses; ++pass) {
    variant ours;
    variant base;
    if (pass % 2 == 0) base = make_base();
    ours = make_ours();
    if (pass % 2 != 0) base = make_base();
    slice discarded;
    base(discarded);
    ours(discarded);
    const int count = std::max(1, repetitions / kPasses);
    for (int i = 0; i < count; ++i) repeat_once(i % 2 == 0, ours, base, all);
  }
  return all;
}

int run_case(const bench_case& what, const options& opts, int output) {
  try {
    context ctx(opts, output);
    what.run(ctx);
    return 0;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s: %s\n", what.name.c_str(), problem.what());
    return 1;
  }
}

// The child leaves by _exit: handlers and destructors of the parent's state are not its business.
int run_in_child(const bench_case& what, const options& opts) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    alarm(opts.smoke ? kSmokePatienceSeconds : kPatienceSeconds);
    _exit(run_case(what, opts, STDOUT_FILENO));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail("waitpid");
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  std::fprintf(stderr, "%s: ended by signal %d\n", what.name.c_str(), WTERMSIG(status));
  return 1;
}

// "a.b" chooses a.b and a.b.c, not a.bc.
bool chosen(const std::string& name, const std::vector<std::string>& wanted) {
  const auto covers = [&](const std::string& each) {
    return name == each || name.rfind(each + ".", 0) == 0;
  };
  return wanted.empty() || std::any_of(wanted.begin(), wanted.end(), covers);
}

}  // namespace

void context::print(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(output_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    fail("write of a result line");
  }
}

void context::compare(const comparison& what) {
  int repetitions = options_.repetitions > 0 ? options_.repetitions : what.repetitions;
  if (options_.smoke) repetitions = kPasses;
  const gathered all =
      alternate(options_.calibrate ? what.base : what.ours, what.base, repetitions);
  const double ratio = median(all.ratios);
  const bool verdict = what.target && !options_.smoke && !options_.calibrate;

  json row;
  row["case"] = what.name;
  row["subject"] = options_.calibrate ? what.baseline : what.subject;
  row["baseline"] = what.baseline;
  row["unit"] = "ns";
  row["ours_median"] = decimal(median(all.ours), 1);
  row["base_median"] = decimal(median(all.base), 1);
  row["p99"] = decimal(percentile(all.batches, 99), 1);
  row["ratio"] = decimal(ratio, 4);
  row["target"] = what.target ? json(*what.target) : json();
  row["met"] = verdict ? json(rounded(ratio, 0.0001) <= *what.target) : json();
  row["repetitions"] = all.ratios.size();
  row["ratio_p25"] = decimal(percentile(all.ratios, 25), 4);
  row["ratio_p75"] = decimal(percentile(all.ratios, 75), 4);
  if (!all.whole_ratios.empty()) {
    row["whole_ours"] = decimal(median(all.whole_ours), 1);
    row["whole_base"] = decimal(median(all.whole_base), 1);
    row["whole_ratio"] = decimal(median(all.whole_ratios), 4);
  }
  if (!what.note.empty()) row["note"] = what.note;
  if (options_.smoke) row["smoke"] = true;
  if (options_.calibrate) row["calibrate"] = true;
  print(row.dump());
}

void context::report(const budgeted& what) {
  const double ratio = what.value / what.budget;
  json row;
  row["case"] = what.name;
  row["subject"] = what.subject;
  row["baseline"] = "budget";
  row["unit"] = what.unit;
  row["ours_median"] = decimal(what.value, 1);
  row["base_median"] = decimal(what.budget, 1);
  row["p99"] = nullptr;
  row["ratio"] = decimal(ratio, 4);
  row["target"] = 1.0;
  row["met"] = options_.smoke ? json() : json(ratio <= 1.0);
  if (!what.note.empty()) row["note"] = what.note;
  if (options_.smoke) row["smoke"] = true;
  print(row.dump());
}

void context::skip(const std::string& name, const std::string& why) {
  json row;
  row["case"] = name;
  for (const char* key : {"subject", "baseline", "unit", "ours_median", "base_median", "p99",
                          "ratio", "target", "met"}) {
    row[key] = nullptr;
  }
  row["note"] = "skipped: " + why;
  print(row.dump());
}

int bench_main(int argc, char** argv, const std::string& promise,
               const std::vector<bench_case>& cases) {
  options opts;
  std::vector<std::string> wanted;
  bool list = false;
  CLI::App app(promise);
  app.add_flag("--smoke", opts.smoke, "Tiny sizes in less than a second; no verdict");
  app.add_flag("--calibrate", opts.calibrate,
               "Run the baseline on both sides: the ratio shows the noise of the method");
  app.add_flag("--extra", opts.extra, "Also the comparisons that carry no promise");
  app.add_flag("--list", list, "Name the cases and stop");
  app.add_option("--case", wanted, "Only this case and what its name begins (may be repeated)");
  app.add_option("--repetitions", opts.repetitions, "Repetitions per row")
      ->check(CLI::Range(2, 100'000));
  CLI11_PARSE(app, argc, argv);

  int status = 0;
  bool any = false;
  for (const bench_case& each : cases) {
    if (!chosen(each.name, wanted) || (each.extra && !opts.extra)) continue;
    any = true;
    if (list) {
      std::puts(each.name.c_str());
    } else if (run_in_child(each, opts) != 0) {
      status = 1;
    }
  }
  if (!any) {
    std::fputs("no such case\n", stderr);
    return 2;
  }
  return status;
}

}  // namespace quay::bench
