// SPDX-License-Identifier: BSD-2-Clause
//
// What: the frame of every benchmark program: options, alternating runs, statistics, result lines.
// Contract: each case runs in a process of its own, so that no case inherits the heap, the
//   descriptors or the learned state of another; a watchdog ends it should it hang. Subject and
//   baseline take turns in short slices within that process; a repetition is one slice of each (who
//   goes first changes every time) and gives one ratio; the verdict is the median of those ratios.
//   Half of the repetitions run after building both sides anew in the other order, so that neither
//   owns the luckier memory. A case prints one JSON object per row on standard output, nothing else
//   goes there.
// Invariants:
//   1. `ratio` is subject / baseline of the measured part only; smaller is better.
//   2. With --smoke, --calibrate, or without a target, `met` is null: no verdict.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "system.hpp"

namespace quay::bench {

struct options {
  bool smoke = false;      // tiny sizes, no verdict
  bool calibrate = false;  // the baseline on both sides: shows the noise of the method
  bool extra = false;      // also the comparisons that carry no promise
  int repetitions = 0;     // 0: the case's own number
};

// Collects what one slice measured.
class slice {
 public:
  // `ns` spent on `operations` operations of the measured part.
  void add(std::int64_t ns, std::size_t operations) {
    measured_ += ns;
    operations_ += operations;
    batches_.push_back(static_cast<double>(ns) / static_cast<double>(operations));
  }
  // The rest of the round (the producer), shown beside the measured part.
  void add_rest(std::int64_t ns) { rest_ += ns; }

  double per_operation() const { return measured_ / static_cast<double>(operations_); }
  double whole_per_operation() const {
    return (measured_ + rest_) / static_cast<double>(operations_);
  }
  bool has_rest() const { return rest_ > 0; }
  const std::vector<double>& batches() const { return batches_; }

 private:
  double measured_ = 0;
  double rest_ = 0;
  std::size_t operations_ = 0;
  std::vector<double> batches_;
};

// So many operations at least, timed by the batch; more until the slice has taken that long, so that
// what the other side left in the caches is not half of what is measured.
struct batch_sizes {
  int batches;
  int per_batch;
  std::int64_t least_ns = 1'000'000;
};

template <typename Operation>
void run_batches(batch_sizes size, slice& out, Operation operation) {
  std::int64_t spent = 0;
  for (int i = 0; i < size.batches || spent < size.least_ns; ++i) {
    const std::int64_t start = now_ns();
    for (int j = 0; j < size.per_batch; ++j) operation();
    const std::int64_t took = now_ns() - start;
    out.add(took, static_cast<std::size_t>(size.per_batch));
    spent += took;
  }
}

using variant = std::function<void(slice&)>;
using variant_factory = std::function<variant()>;

struct comparison {
  std::string name;
  std::string subject;
  std::string baseline;
  std::optional<double> target;
  std::string note;
  int repetitions = 100;
  variant_factory ours;
  variant_factory base;
};

// A figure held against a fixed budget instead of a mechanism.
struct budgeted {
  std::string name;
  std::string subject;
  std::string unit;
  double value;
  double budget;
  std::string note;
};

class context {
 public:
  context(options opts, int output) : options_(opts), output_(output) {}

  bool smoke() const { return options_.smoke; }
  bool extra() const { return options_.extra; }
  // How many baselines exist at a time: what is scarce must suffice for all of them.
  std::size_t baselines() const { return options_.calibrate ? 2 : 1; }
  // The case's size: `full`, or `tiny` with --smoke.
  template <typename T>
  T sized(T full, T tiny) const {
    return options_.smoke ? tiny : full;
  }

  void compare(const comparison& what);
  void report(const budgeted& what);
  // A case that this machine cannot run: a row that says why, without figures.
  void skip(const std::string& name, const std::string& why);

 private:
  void print(const std::string& line);

  options options_;
  int output_;
};

struct bench_case {
  std::string name;
  std::function<void(context&)> run;
  bool extra = false;  // runs only with --extra
};

// Parses the options, runs the chosen cases and returns the exit status: non-zero when a case
// failed, zero whatever the verdicts.
int bench_main(int argc, char** argv, const std::string& promise,
               const std::vector<bench_case>& cases);

}  // namespace quay::bench
