// SPDX-License-Identifier: BSD-2-Clause
//
// What: the forms in which results are shown. Each is a whole text or file; none needs another file or a network.
#pragma once

#include <string>

#include "bench_results.hpp"
#include "terminal.hpp"

namespace quay::tool {

// For the terminal, aligned, with the count of kept promises.
std::string to_terminal(const bench_results& results, const palette& colours);

// For docs/bench/table.md.
std::string to_markdown(const bench_results& results);

// SVG: each row's ratio, from the raw mechanism (1) to the left, with the promise marked.
std::string ratio_plot(const bench_results& results);

// SVG: each row's two medians, in nanoseconds.
std::string time_plot(const bench_results& results);

// HTML with both plots and the table inside.
std::string to_page(const bench_results& results);

// The figures as all of them print them: three significant digits are what the method is good for.
std::string time_text(const std::optional<double>& value);
std::string ratio_text(const std::optional<double>& value);
std::string target_text(const bench_row& row);
std::string verdict_text(const bench_row& row);
std::string summary_text(const bench_results& results);
// `text` as it may stand in XML and HTML.
std::string escaped(const std::string& text);

inline constexpr const char* kMethod =
    "Times per operation, medians. Subject and raw mechanism take turns in slices of about a "
    "millisecond within one "
    "process; the ratio is the median of the slices' ratios. Smaller is better.";

}  // namespace quay::tool
