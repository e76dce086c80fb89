// SPDX-License-Identifier: BSD-2-Clause
//
// What: the self-test of the hooks library: whose close() does a program get in which libquay-hooks
//       is preloaded, does libquay say that it hears of every close, and does it act on it?
// Contract: the answer is the dynamic loader's: the tool starts itself once more with LD_PRELOAD and
//           looks there.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace quay::tool {

struct hook_report {
  bool hooked_here = false;  // this process: false, the tool runs without the hooks
  std::string library;       // the file that was preloaded; empty: none was found
  // The preloaded process: libquay says so, and close() is the hooks library's.
  bool hooked = false;
  // There a registration went with its descriptor.
  bool close_is_heard = false;
  bool dup2_is_heard = false;
  std::string close_from;  // the file close() came from there
  std::string problem;     // what went wrong, if something did
};

hook_report test_hooks();

// The preloaded process: prints the file close() comes from and what libquay says.
void add_hook_probe(CLI::App& app);

}  // namespace quay::tool
