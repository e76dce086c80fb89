// SPDX-License-Identifier: BSD-2-Clause
//
// What: turns the result lines of the benchmark programs into the table for the terminal, the
//   Markdown table with the machine's description, and the data for the picture.
// Contract: reads JSON lines from a file; prints the table on standard output; --markdown and
//   --bars name files to write.

#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

using json = nlohmann::json;

std::string figure(const json& value, int digits) {
  if (!value.is_number()) return "-";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value.get<double>());
  return text;
}

// Three significant digits are what the method is good for.
std::string ratio_text(const json& value) {
  if (!value.is_number()) return "-";
  return figure(value, value.get<double>() < 0.1 ? 4 : 2);
}

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : "-";
}

std::string met_text(const json& row) {
  if (row["met"].is_boolean()) return row["met"].get<bool>() ? "yes" : "NO";
  return "-";
}

std::vector<json> read_rows(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::vector<json> rows;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) rows.push_back(json::parse(line));
  }
  return rows;
}

using table = std::vector<std::vector<std::string>>;

table terminal_table(const std::vector<json>& rows) {
  table cells{{"case", "unit", "baseline", "ours", "p99", "ratio", "target", "met"}};
  for (const json& row : rows) {
    cells.push_back({text_of(row["case"]), text_of(row["unit"]), figure(row["base_median"], 1),
                     figure(row["ours_median"], 1), figure(row["p99"], 1), ratio_text(row["ratio"]),
                     figure(row["target"], 2), met_text(row)});
  }
  return cells;
}

void print_aligned(const table& cells) {
  std::vector<std::size_t> widths(cells.front().size());
  for (const auto& row : cells) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : cells) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const int width = static_cast<int>(widths[i]);
      std::printf(i == 0 ? "%-*s" : "  %*s", width, row[i].c_str());
    }
    std::putchar('\n');
  }
}

void print_summary(const std::vector<json>& rows) {
  const auto count = [&](bool met) {
    return std::count_if(rows.begin(), rows.end(), [&](const json& row) {
      return row["met"].is_boolean() && row["met"].get<bool>() == met;
    });
  };
  const auto met = count(true);
  const auto missed = count(false);
  if (met + missed == 0) {
    std::puts("\nno verdicts in this run");
    return;
  }
  std::printf("\n%td of %td targets met\n", met, met + missed);
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const auto colon = line.find(':');
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown processor";
}

std::string compiler() {
#if defined(__clang__)
  return std::string("Clang ") + __clang_version__;
#else
  return std::string("GCC ") + __VERSION__;
#endif
}

std::string kernel() {
  utsname names;
  if (uname(&names) != 0) return "unknown kernel";
  return std::string(names.sysname) + " " + names.release + " " + names.machine;
}

void write_markdown(const std::vector<json>& rows, const std::string& path,
                    const std::string& revision) {
  std::ofstream out(path);
  out << "# Benchmark results\n\n"
      << "| machine | |\n|---|---|\n"
      << "| processor | " << cpu_model() << ", " << std::thread::hardware_concurrency()
      << " cores |\n"
      << "| kernel | " << kernel() << " |\n"
      << "| compiler | " << compiler() << " |\n";
  if (!revision.empty()) out << "| revision | " << revision << " |\n";
  out << "\nTime per event, medians; the ratio is the median of the ratios of alternating "
         "repetitions; smaller is better.\nHow this was measured: [README.md](README.md).\n\n"
      << "| case | subject | baseline | unit | baseline median | our median | our p99 | ratio | "
         "target | met | whole-round ratio |\n|---|---|---|---|---|---|---|---|---|---|---|\n";
  for (const json& row : rows) {
    const std::string target = row["target"].is_number() ? "≤ " + figure(row["target"], 2) : "-";
    out << "| " << text_of(row["case"]) << " | " << text_of(row["subject"]) << " | "
        << text_of(row["baseline"]) << " | " << text_of(row["unit"]) << " | "
        << figure(row["base_median"], 1) << " | " << figure(row["ours_median"], 1) << " | "
        << figure(row["p99"], 1) << " | " << ratio_text(row["ratio"]) << " | " << target << " | "
        << met_text(row) << " | " << ratio_text(row.value("whole_ratio", json())) << " |\n";
  }
  std::string notes;
  for (const json& row : rows) {
    if (row.contains("note")) {
      notes += "- " + text_of(row["case"]) + ": " + text_of(row["note"]) + "\n";
    }
  }
  if (!notes.empty()) out << "\nNotes\n\n" << notes;
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

// One bar a line: case, ratio / target, and whether it is within.
void write_bars(const std::vector<json>& rows, const std::string& path) {
  std::ofstream out(path);
  for (const json& row : rows) {
    if (!row["met"].is_boolean()) continue;
    const double relative = row["ratio"].get<double>() / row["target"].get<double>();
    out << '"' << text_of(row["case"]) << "\" " << relative << ' '
        << (row["met"].get<bool>() ? 1 : 0) << '\n';
  }
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace

int main(int argc, char** argv) {
  std::string results;
  std::string markdown;
  std::string bars;
  std::string revision;
  CLI::App app("Tables and picture data from the benchmarks' result lines");
  app.add_option("results", results, "File with JSON lines")->required();
  app.add_option("--markdown", markdown, "Write the Markdown table here");
  app.add_option("--bars", bars, "Write the picture's data here");
  app.add_option("--revision", revision, "The revision that was measured");
  CLI11_PARSE(app, argc, argv);
  try {
    const std::vector<json> rows = read_rows(results);
    print_aligned(terminal_table(rows));
    print_summary(rows);
    if (!markdown.empty()) write_markdown(rows, markdown, revision);
    if (!bars.empty()) write_bars(rows, bars);
    return 0;
  } catch (const std::exception& problem) {
    std::cerr << "bench_report: " << problem.what() << '\n';
    return 1;
  }
}
