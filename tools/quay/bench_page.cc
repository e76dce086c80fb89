// SPDX-License-Identifier: BSD-2-Clause
//
// What: results as one HTML page: machine, both plots, table. Nothing is loaded from elsewhere, there is no script.
#include <fmt/format.h>

#include "bench_views.hpp"

namespace quay::tool {

namespace {

constexpr const char* kStyle =
    "body { max-width: 72em; margin: 2em auto; padding: 0 1em; font: 15px/1.5 sans-serif; color: "
    "#222; background: #fff }\n"
    "h1 { font-size: 1.6em } h2 { margin-top: 2em; font-size: 1.2em }\n"
    "svg { max-width: 100%; height: auto }\n"
    "table { border-collapse: collapse; font-size: 13px }\n"
    "th, td { padding: .25em .7em; border-bottom: 1px solid #ddd; text-align: left; "
    "vertical-align: top }\n"
    "td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }\n"
    "td.kept { color: #2b7a41 } td.missed { color: #a83a26; font-weight: bold }\n";

std::string cell(const char* kind, const std::string& text) {
  return fmt::format("<td class=\"{}\">{}</td>", kind, escaped(text));
}

const char* class_of(const bench_row& row) {
  if (!row.met) return "";
  return *row.met ? "kept" : "missed";
}

}  // namespace

std::string to_page(const bench_results& results) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>quay: benchmarks</title>\n"
      "<style>\n{}</style>\n</head>\n<body>\n<h1>quay: benchmarks</h1>\n<table>\n",
      kStyle);
  for (const auto& [what, value] : results.machine()) {
    out += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", escaped(what), escaped(value));
  }
  out += fmt::format("</table>\n<p>{}</p>\n<p><strong>{}</strong></p>\n", kMethod,
                     summary_text(results));
  out += "<h2>Ratios</h2>\n" + ratio_plot(results) + "<h2>Times</h2>\n" + time_plot(results);
  out +=
      "<h2>Figures</h2>\n<table>\n<tr><th>case</th><th>subject</th><th>raw "
      "mechanism</th><th>unit</th>"
      "<th>raw median</th><th>our median</th><th>our "
      "p99</th><th>ratio</th><th>promise</th><th>kept</th></tr>\n";
  std::string notes;
  for (const bench_row& row : results.rows()) {
    out += "<tr>" + cell("", row.name) + cell("", row.subject) + cell("", row.baseline) +
           cell("", row.unit) + cell("number", time_text(row.base)) +
           cell("number", time_text(row.ours)) + cell("number", time_text(row.p99)) +
           cell("number", ratio_text(row.ratio)) + cell("number", target_text(row)) +
           cell(class_of(row), verdict_text(row)) + "</tr>\n";
    if (!row.note.empty())
      notes += fmt::format("<li>{}: {}</li>\n", escaped(row.name), escaped(row.note));
  }
  out += "</table>\n";
  if (!notes.empty()) out += "<h2>Notes</h2>\n<ul>\n" + notes + "</ul>\n";
  return out + "</body>\n</html>\n";
}

}  // namespace quay::tool
