// SPDX-License-Identifier: BSD-2-Clause
//
// What: holds the answer of one kevent() against the recorded one.
// Contract: everything is compared (order only where the sequence says so), except `data` that
// Linux counts otherwise; the reader has already marked those entries.
#pragma once

#include <string>
#include <vector>

#include "trace.hpp"

namespace quay::traces {

// What a call gave: `events` are filled only up to a result that is positive.
struct answer {
  long result = 0;
  int error = 0;
  std::vector<entry> events;
};

// Empty `kind` means equal. `kind` is worded so that the same mistake in two sequences has the same
// text.
struct difference {
  std::string kind;
  std::string expected;
  std::string got;
};

std::string describe(const entry& e);
std::string describe(const answer& a);

difference compare(const operation& op, bool strict_order, const answer& got);

}  // namespace quay::traces
