// SPDX-License-Identifier: BSD-2-Clause
//
// What: see duration.hpp.
#include "duration.hpp"

#include <fmt/format.h>
#include <sys/event.h>

#include <array>
#include <charconv>
#include <utility>

namespace quay::tool {

namespace {

constexpr double kLongest = 365.0 * 86400 * 1e9;
constexpr std::array<std::pair<std::string_view, double>, 6> kUnits = {
    {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}};

}  // namespace

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  for (const auto& [name, factor] : kUnits) {
    if (unit != name) continue;
    const double length = number * factor;
    if (!(length >= 1 && length <= kLongest)) return std::nullopt;
    return std::chrono::nanoseconds(static_cast<long>(length));
  }
  return std::nullopt;
}

timer_value to_timer_value(std::chrono::nanoseconds length) {
  const long ns = length.count();
  if (ns % 1'000'000 == 0) return {ns / 1'000'000, 0};
  if (ns % 1'000 == 0) return {ns / 1'000, NOTE_USECONDS};
  return {ns, NOTE_NSECONDS};
}

std::string check_duration(const std::string& text) {
  if (parse_duration(text)) return {};
  return fmt::format("\"{}\" is not a length of time such as 250ms, 1.5s or 2m", text);
}

}  // namespace quay::tool
