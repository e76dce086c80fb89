// SPDX-License-Identifier: BSD-2-Clause
//
// What: results as SVG: one line a row, a logarithmic axis below each other's names.
// Invariants: 1. Nothing is drawn outside of the axis: it spans every value that is shown.
//             2. Colour never says anything alone: verdicts are also words at the end of the line.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>

#include "bench_views.hpp"

namespace quay::tool {

namespace {

constexpr double kLeft = 230, kRight = 740, kWidth = 900;
constexpr double kTop = 78, kRowHeight = 19, kKindGap = 7, kBottom = 30;
constexpr const char* kKept = "#3f8f55";
constexpr const char* kMissed = "#c0503c";
constexpr const char* kUnjudged = "#7487a0";

class chart {
 public:
  chart(const std::string& title, const std::string& legend) {
    body_ = fmt::format("<text x=\"12\" y=\"26\" font-size=\"16\">{}</text>\n{}", escaped(title),
                        legend);
  }

  // Values that the axis must reach; all before the first row.
  void span(std::initializer_list<std::optional<double>> values) {
    for (const auto& value : values) {
      if (!value || *value <= 0) continue;
      low_ = std::min(low_, *value);
      high_ = std::max(high_, *value);
    }
  }

  double x(double value) const {
    const double part = std::log(value / low_) / std::log(high_ / low_);
    return kLeft + std::clamp(part, 0.0, 1.0) * (kRight - kLeft);
  }

  // Begins a row; the middle of its line.
  double begin_row(const bench_row& row) {
    if (!kind_.empty() && kind_ != row.kind()) y_ += kKindGap;
    kind_ = row.kind();
    y_ += kRowHeight;
    const double middle = y_ - kRowHeight / 2;
    body_ += fmt::format(
        "<g><title>{}: {}, against {}</title><text x=\"{}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>\n",
        escaped(row.name), escaped(row.subject), escaped(row.baseline), kLeft - 10, middle + 4,
        escaped(row.name));
    return middle;
  }
  void bar(double from, double to, double middle, const char* colour) {
    body_ += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"11\" fill=\"{}\"/>\n",
        std::min(x(from), x(to)), middle - 5.5, std::abs(x(to) - x(from)), colour);
  }
  void line(double from, double to, double middle) {
    body_ +=
        fmt::format("<path d=\"M{:.1f} {:.1f}H{:.1f}\" stroke=\"#333\" stroke-opacity=\".6\"/>\n",
                    x(from), middle, x(to));
  }
  void mark(double at, double middle) {
    body_ += fmt::format("<path d=\"M{:.1f} {:.1f}v15\" stroke=\"#111\" stroke-width=\"2\"/>\n",
                         x(at), middle - 7.5);
  }
  void dot(double at, double middle, const char* fill) {
    body_ +=
        fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\" stroke=\"#555\"/>\n",
                    x(at), middle, fill);
  }
  void end_row(const std::string& words, double middle) {
    body_ += fmt::format("<text x=\"{}\" y=\"{:.1f}\">{}</text></g>\n", kRight + 12, middle + 4,
                         escaped(words));
  }

  // The whole picture. `unit` follows the numbers of the axis.
  std::string finish(const char* unit) const {
    const double height = y_ + kBottom;
    const bool crowded = high_ / low_ > 1000;
    std::string axis;
    for (double decade = std::pow(10, std::floor(std::log10(low_))); decade <= high_;
         decade *= 10) {
      for (const double step : {1.0, 2.0, 5.0}) {
        const double value = decade * step;
        if (value < low_ * 0.999 || value > high_ * 1.001) continue;
        axis += fmt::format("<path d=\"M{:.1f} {}V{}\" stroke=\"#ddd\"/>\n", x(value), kTop - 4,
                            y_ + 4);
        if (crowded && step != 1.0) continue;
        axis += fmt::format(
            "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{:g}{}</text>\n",
            x(value), y_ + 20, value, unit);
      }
    }
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
        "height=\"{1}\" "
        "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" "
        "fill=\"white\"/>\n{2}{3}</svg>\n",
        kWidth, height, axis, body_);
  }

 private:
  double low_ = std::numeric_limits<double>::max();
  double high_ = 0;
  double y_ = kTop;
  std::string kind_;
  std::string body_;
};

std::string legend_entry(double x, const char* colour, const char* words) {
  return fmt::format(
      "<rect x=\"{}\" y=\"42\" width=\"18\" height=\"11\" fill=\"{}\"/><text x=\"{}\" "
      "y=\"52\">{}</text>\n",
      x, colour, x + 24, words);
}

const char* colour_of(const bench_row& row) {
  if (!row.met) return kUnjudged;
  return *row.met ? kKept : kMissed;
}

}  // namespace

std::string ratio_plot(const bench_results& results) {
  chart picture("Time against the raw Linux mechanism (1): left is faster, right is slower",
                legend_entry(12, kKept, "promise kept") + legend_entry(130, kMissed, "missed") +
                    legend_entry(210, kUnjudged, "no promise") +
                    "<path d=\"M310 40v15\" stroke=\"#111\" stroke-width=\"2\"/><text x=\"318\" "
                    "y=\"52\">the promise</text>"
                    "<path d=\"M410 47.5h24\" stroke=\"#333\"/><text x=\"440\" y=\"52\">the middle "
                    "half of all repetitions</text>\n");
  picture.span({0.5, 2.0});
  for (const bench_row& row : results.rows()) {
    picture.span({row.ratio, row.target, row.quarter, row.three_quarters});
  }
  for (const bench_row& row : results.rows()) {
    if (!row.ratio) continue;
    const double middle = picture.begin_row(row);
    picture.bar(1, *row.ratio, middle, colour_of(row));
    if (row.quarter && row.three_quarters) picture.line(*row.quarter, *row.three_quarters, middle);
    if (row.target) picture.mark(*row.target, middle);
    const std::string promise = row.target ? fmt::format(" (≤ {})", target_text(row)) : "";
    picture.end_row(ratio_text(row.ratio) + promise + (row.met && !*row.met ? " missed" : ""),
                    middle);
  }
  return picture.finish("");
}

std::string time_plot(const bench_results& results) {
  chart picture("Time per operation",
                "<circle cx=\"20\" cy=\"48\" r=\"4\" fill=\"white\" stroke=\"#555\"/><text "
                "x=\"32\" y=\"52\">raw mechanism</text>"
                "<circle cx=\"150\" cy=\"48\" r=\"4\" fill=\"#2f6fb0\" stroke=\"#555\"/><text "
                "x=\"162\" y=\"52\">quay</text>\n");
  const auto shown = [](const bench_row& row) { return row.unit == "ns" && row.ours && row.base; };
  picture.span({10.0, 1000.0});
  for (const bench_row& row : results.rows()) {
    if (shown(row)) picture.span({row.ours, row.base});
  }
  for (const bench_row& row : results.rows()) {
    if (!shown(row)) continue;
    const double middle = picture.begin_row(row);
    picture.line(*row.base, *row.ours, middle);
    picture.dot(*row.base, middle, "white");
    picture.dot(*row.ours, middle, "#2f6fb0");
    picture.end_row(fmt::format("{} / {} ns", time_text(row.ours), time_text(row.base)), middle);
  }
  return picture.finish(" ns");
}

}  // namespace quay::tool
