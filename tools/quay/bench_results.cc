// SPDX-License-Identifier: BSD-2-Clause
//
// What: see bench_results.hpp.
#include "bench_results.hpp"

#include <errno.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "failure.hpp"

namespace quay::tool {

namespace {

using json = nlohmann::ordered_json;

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

std::string kernel() {
  utsname names;
  if (uname(&names) != 0) return "unknown kernel";
  return fmt::format("{} {} {}", names.sysname, names.release, names.machine);
}

constexpr const char* kCompiler =
#if defined(__clang__)
    "Clang " __clang_version__;
#else
    "GCC " __VERSION__;
#endif

std::string today() {
  const time_t now = time(nullptr);
  tm parts;
  std::array<char, 16> text;
  strftime(text.data(), text.size(), "%Y-%m-%d", gmtime_r(&now, &parts));
  return text.data();
}

std::string text_of(const json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_string() ? found->get<std::string>() : "";
}

template <typename T>
std::optional<T> value_of(const json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end() || found->is_null()) return std::nullopt;
  return found->get<T>();
}

bench_row to_row(const json& from) {
  bench_row row;
  row.name = from.at("case");
  row.subject = text_of(from, "subject");
  row.baseline = text_of(from, "baseline");
  row.unit = text_of(from, "unit");
  row.note = text_of(from, "note");
  row.ours = value_of<double>(from, "ours_median");
  row.base = value_of<double>(from, "base_median");
  row.p99 = value_of<double>(from, "p99");
  row.ratio = value_of<double>(from, "ratio");
  row.quarter = value_of<double>(from, "ratio_p25");
  row.three_quarters = value_of<double>(from, "ratio_p75");
  row.target = value_of<double>(from, "target");
  row.whole_ratio = value_of<double>(from, "whole_ratio");
  row.met = value_of<bool>(from, "met");
  return row;
}

}  // namespace

bench_results bench_results::here(const std::string& revision) {
  json machine;
  machine["processor"] =
      fmt::format("{}, {} cores", processor(), std::thread::hardware_concurrency());
  machine["kernel"] = kernel();
  machine["compiler"] = kCompiler;
  machine["revision"] = revision;
  machine["date"] = today();
  bench_results results;
  results.add(json{{"machine", machine}}.dump());
  return results;
}

bench_results bench_results::from_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw system_failure(path, errno);
  bench_results results;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) results.add(line);
  }
  if (results.rows_.empty()) throw failure(path + ": holds no results");
  return results;
}

void bench_results::add(const std::string& line) {
  try {
    const json parsed = json::parse(line);
    if (const auto machine = parsed.find("machine"); machine != parsed.end()) {
      machine_.clear();
      for (const auto& [key, value] : machine->items()) machine_.emplace_back(key, value);
    } else {
      rows_.push_back(to_row(parsed));
    }
  } catch (const json::exception&) {
    throw failure("not a benchmark's result: " + line);
  }
  lines_ += line + "\n";
}

void bench_results::add_middle(const std::vector<std::vector<std::string>>& rounds) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<json>> readings;
  for (const auto& round : rounds) {
    for (const std::string& line : round) {
      json row = json::parse(line, nullptr, false);
      const std::string name = row.is_object() ? text_of(row, "case") : "";
      if (name.empty()) throw failure("not a benchmark's result: " + line);
      auto& of_case = readings[name];
      if (of_case.empty()) names.push_back(name);
      of_case.push_back(std::move(row));
    }
  }
  for (const std::string& name : names) {
    std::vector<json>& of_case = readings[name];
    const auto ratio = [](const json& row) { return value_of<double>(row, "ratio").value_or(0); };
    std::stable_sort(of_case.begin(), of_case.end(),
                     [&](const json& a, const json& b) { return ratio(a) < ratio(b); });
    json& middle = of_case[of_case.size() / 2];
    if (of_case.size() > 1) {
      json all = json::array();
      for (const json& row : of_case) all.push_back(row["ratio"]);
      middle["round_ratios"] = std::move(all);
    }
    add(middle.dump());
  }
}

std::pair<std::size_t, std::size_t> bench_results::verdicts() const {
  std::size_t met = 0;
  std::size_t all = 0;
  for (const bench_row& row : rows_) {
    if (!row.met) continue;
    ++all;
    if (*row.met) ++met;
  }
  return {met, all};
}

}  // namespace quay::tool
