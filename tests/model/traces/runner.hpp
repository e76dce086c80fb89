// SPDX-License-Identifier: BSD-2-Clause
//
// What: plays many sequences, each in a process of its own, some at once, again when the machine
// was late.
// Ownership: a child hands its report over through a pipe as one JSON text and exits; the runner
// reaps it.
#pragma once

#include <vector>

#include "player.hpp"
#include "trace.hpp"

namespace quay::traces {

struct options {
  int jobs = 0;  // 0: one, or more where sequences mostly sleep
  bool fork = true;
  bool narrate = false;
  int stretch = 1;
  int time_limit_s = 20;
};

// One report per sequence, in the order of `script`.
std::vector<report> run(const std::vector<sequence>& script, const options& how);

}  // namespace quay::traces
