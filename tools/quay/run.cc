// SPDX-License-Identifier: BSD-2-Clause
//
// What: `quay run`: a program, and whatever it starts, with both libraries preloaded.
// Contract: the tool becomes the program: its exit status is the program's, 127 when it cannot be
//           found, 126 when it cannot be started. QUAY_RUN in the environment tells the hooks to
//           hand the libraries down also to programs that are given another environment; QUAY_PIPES,
//           of --pipes, that pipe() gives quay's pipes.
#include <errno.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "command.hpp"
#include "libraries.hpp"

namespace quay::tool {

namespace {

[[noreturn]] void become(const std::vector<std::string>& words, bool pipes) {
  std::string preload = find_library(kHooksLibrary) + ":" + find_library(kLibrary);
  if (const char* more = getenv("LD_PRELOAD"); more != nullptr && *more != '\0') {
    preload += std::string(":") + more;
  }
  setenv("LD_PRELOAD", preload.c_str(), 1);
  setenv("QUAY_RUN", "1", 1);
  if (pipes) setenv("QUAY_PIPES", "1", 1);
  std::vector<char*> arguments;
  for (const std::string& each : words) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  const int error = errno;
  fmt::print(stderr, "quay run: {}: {}\n", words[0], strerror(error));
  _exit(error == ENOENT ? 127 : 126);
}

}  // namespace

void add_run(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("run",
                                     "Run a program, and what it starts, with the libraries "
                                     "preloaded: run [--pipes] [--] PROGRAM [ARGUMENT...]");
  auto pipes = std::make_shared<bool>(false);
  sub->add_flag("--pipes", *pipes, "pipe() and pipe2() give quay's pipes");
  sub->footer("Exit status: the program's; 126 it cannot be started, 127 it cannot be found.");
  sub->prefix_command();
  sub->callback([sub, pipes] {
    if (sub->remaining_size() == 0) throw CLI::RequiredError("PROGRAM");
    become(sub->remaining(), *pipes);
  });
}

}  // namespace quay::tool
