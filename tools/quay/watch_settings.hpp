// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the command line asks `quay watch` for.
#pragma once

#include <string>
#include <vector>

namespace quay::tool {

struct watch_settings {
  std::vector<std::string> read, write, except, empty, timer, after, user, file, access, process,
      follow;
  std::string dialect = "freebsd", length;
  unsigned long count = 0;
  bool json = false, level = false, drain = false, mounts = false, port = false;
};

// `quay watch --port`: the same with an event port. Throws CLI::ValidationError for what a port has no
// source for.
int watch_with_port(const watch_settings& s);

}  // namespace quay::tool
