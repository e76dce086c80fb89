// SPDX-License-Identifier: BSD-2-Clause
//
// What: `quay run`: a program, and whatever it starts, with both libraries preloaded.
// Contract: the tool becomes the program: its exit status is the program's, 127 when it cannot be
//           found, 126 when it cannot be started. QUAY_RUN in the environment tells the hooks to
//           hand the libraries down also to programs that are given another environment; QUAY_PIPES,
//           of --pipes, that pipe() gives quay's pipes.
#include <stdlib.h>

#include <memory>

#include "command.hpp"
#include "libraries.hpp"

namespace quay::tool {

void add_run(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("run",
                                     "Run a program, and what it starts, with the libraries "
                                     "preloaded: run [--pipes] [--] PROGRAM [ARGUMENT...]");
  auto pipes = std::make_shared<bool>(false);
  sub->add_flag("--pipes", *pipes, "pipe() and pipe2() give quay's pipes");
  sub->footer("Exit status: the program's; 126 it cannot be started, 127 it cannot be found.");
  sub->prefix_command();
  sub->callback([sub, pipes] {
    const std::vector<std::string> words = program_words(*sub);
    if (*pipes) setenv("QUAY_PIPES", "1", 1);
    become(words, "run", {kHooksLibrary, kLibrary});
  });
}

}  // namespace quay::tool
