// SPDX-License-Identifier: BSD-2-Clause
//
// What: lengths of time as people write them: 250ms, 1.5s, 2m; and as EVFILT_TIMER takes them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace quay::tool {

// A number and one of ns, us, ms, s, m, h. Empty for anything else, for less than 1 ns and for more
// than a year.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

// data and fflags of an EVFILT_TIMER change. Milliseconds, the unit every system knows, wherever
// they are exact.
struct timer_value {
  long data;
  unsigned fflags;
};
timer_value to_timer_value(std::chrono::nanoseconds length);

// For CLI11's checks: empty when it is a duration, otherwise what is wrong.
std::string check_duration(const std::string& text);

}  // namespace quay::tool
