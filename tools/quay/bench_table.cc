// SPDX-License-Identifier: BSD-2-Clause
//
// What: results as text: the terminal's table and the Markdown one, and how a figure is written.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "bench_views.hpp"

namespace quay::tool {

std::string time_text(const std::optional<double>& value) {
  return value ? fmt::format("{:.1f}", *value) : "-";
}

std::string ratio_text(const std::optional<double>& value) {
  if (!value) return "-";
  return *value < 0.1 ? fmt::format("{:.4f}", *value) : fmt::format("{:.2f}", *value);
}

std::string target_text(const bench_row& row) {
  return row.target ? fmt::format("{:.3g}", *row.target) : "-";
}

std::string verdict_text(const bench_row& row) {
  if (!row.met) return "-";
  return *row.met ? "yes" : "NO";
}

std::string summary_text(const bench_results& results) {
  const auto [met, all] = results.verdicts();
  return all == 0 ? "no verdicts in this run" : fmt::format("{} of {} targets met", met, all);
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string to_terminal(const bench_results& results, const palette& colours) {
  constexpr std::size_t kColumns = 8;
  using cells = std::array<std::string, kColumns>;
  std::vector<cells> lines = {
      {"case", "unit", "baseline", "ours", "p99", "ratio", "target", "met"}};
  for (const bench_row& row : results.rows()) {
    lines.push_back({row.name, row.unit, time_text(row.base), time_text(row.ours),
                     time_text(row.p99), ratio_text(row.ratio), target_text(row),
                     verdict_text(row)});
  }
  std::array<std::size_t, kColumns> widths{};
  for (const cells& line : lines) {
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string out;
  for (const cells& line : lines) {
    std::string text = fmt::format("{:<{}}", line[0], widths[0]);
    for (std::size_t i = 1; i < kColumns; ++i) text += fmt::format("  {:>{}}", line[i], widths[i]);
    if (&line == &lines.front()) text = colours.bold(text);
    if (line.back() == "NO") text = colours.red(text);
    out += text + "\n";
  }
  for (const bench_row& row : results.rows()) {
    if (!row.ratio && !row.note.empty()) out += fmt::format("{}: {}\n", row.name, row.note);
  }
  return out + "\n" + summary_text(results) + "\n";
}

std::string to_markdown(const bench_results& results) {
  std::string out = "# Benchmark results\n\n| machine | |\n|---|---|\n";
  for (const auto& [what, value] : results.machine())
    out += fmt::format("| {} | {} |\n", what, value);
  out += fmt::format(
      "\n{}\nHow this was measured: [README.md](README.md). {}.\n\n"
      "| case | subject | baseline | unit | baseline median | our median | our p99 | ratio | "
      "target | met | "
      "whole-round ratio |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
      kMethod, summary_text(results));
  std::string notes;
  for (const bench_row& row : results.rows()) {
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", row.name,
                       row.subject, row.baseline, row.unit, time_text(row.base),
                       time_text(row.ours), time_text(row.p99), ratio_text(row.ratio),
                       row.target ? "≤ " + target_text(row) : "-", verdict_text(row),
                       ratio_text(row.whole_ratio));
    if (!row.note.empty()) notes += fmt::format("- {}: {}\n", row.name, row.note);
  }
  if (!notes.empty()) out += "\nNotes\n\n" + notes;
  return out;
}

}  // namespace quay::tool
