// SPDX-License-Identifier: BSD-2-Clause
//
// What: what `quay stat` found in one process: gathered once, printed as text or as JSON.
// Contract: any kind of object that the library describes is shown, this tool knowing it or not; of
//           kqueues it knows how to find the notes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "inventory.hpp"
#include "terminal.hpp"

namespace quay::tool {

struct process_figures {
  struct kind {
    std::string name;
    std::vector<shown_object> objects;
  };
  pid_t pid;
  std::string program;
  std::vector<kind> kinds;  // but for those that are reached from others only
  // By the place of the kqueue among its kind; filled in when asked for.
  std::vector<std::vector<shown_object>> notes;
};

// Kinds of which a process has one: a list of names and figures rather than a table.
bool is_single(const std::string& kind);

process_figures examine(inventory& all, bool with_notes);

nlohmann::ordered_json to_json(const process_figures& p);
std::string to_text(const process_figures& p, const palette& colours);

}  // namespace quay::tool
