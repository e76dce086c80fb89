// SPDX-License-Identifier: BSD-2-Clause
//
// What: what a subcommand cannot do; main() prints it and exits with 1.
#pragma once

#include <stdexcept>
#include <string>

namespace quay::tool {

struct failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// "what: strerror (ENAME)"
[[nodiscard]] failure system_failure(const std::string& what, int error);

}  // namespace quay::tool
