// SPDX-License-Identifier: BSD-2-Clause
//
// What: what was measured, where and on what: the content of a results.jsonl, from which every table and picture is made.
// Contract: one JSON object a line: {"machine": {...}}, then a row of a benchmark program's each (bench/support/harness.hpp).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace quay::tool {

struct bench_row {
  std::string name, subject, baseline, unit, note;
  std::optional<double> ours, base, p99, ratio, quarter, three_quarters, target, whole_ratio;
  std::optional<bool> met;

  // "timer" of "timer.churn.1k.rearm": rows of a kind stand together.
  std::string kind() const { return name.substr(0, name.find('.')); }
};

class bench_results {
 public:
  using facts = std::vector<std::pair<std::string, std::string>>;

  // A run on this machine that begins now; `revision` says of what.
  static bench_results here(const std::string& revision);
  // Throws failure for a file that cannot be read or holds something else.
  static bench_results from_file(const std::string& path);

  // Takes one line; throws failure when it is none of ours.
  void add(const std::string& line);
  // Takes the lines of several rounds: of each case that of the middle ratio, the worse one of two, with all of them.
  void add_middle(const std::vector<std::vector<std::string>>& rounds);

  const facts& machine() const { return machine_; }
  const std::vector<bench_row>& rows() const { return rows_; }
  // All lines, as they were read.
  const std::string& lines() const { return lines_; }
  // How many promises were kept, and how many were put to the test.
  std::pair<std::size_t, std::size_t> verdicts() const;

 private:
  facts machine_;
  std::vector<bench_row> rows_;
  std::string lines_;
};

}  // namespace quay::tool
