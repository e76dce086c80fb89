// SPDX-License-Identifier: BSD-2-Clause
//
// What: the two order statistics that the benchmarks report.
// Contract: an empty sample has no median; callers never ask for one (asserted). Percentiles are
//   nearest-rank, so that every figure printed was really measured.

#pragma once

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <vector>

namespace quay::bench {

// The smallest value that at least `percent` % of the sample does not exceed.
inline double percentile(std::vector<double> sample, double percent) {
  assert(!sample.empty());
  const auto count = static_cast<double>(sample.size());
  const double wanted = std::ceil(percent / 100.0 * count);
  const auto rank = static_cast<std::size_t>(std::clamp(wanted, 1.0, count)) - 1;
  const auto nth = sample.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(sample.begin(), nth, sample.end());
  return *nth;
}

inline double median(const std::vector<double>& sample) { return percentile(sample, 50.0); }

}  // namespace quay::bench
