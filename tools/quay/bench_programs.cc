// SPDX-License-Identifier: BSD-2-Clause
//
// What: see bench_programs.hpp.
#include "bench_programs.hpp"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <system_error>

#include "failure.hpp"
#include "libraries.hpp"

namespace quay::tool {

namespace {

constexpr std::string_view kPrefix = "bench_";

// The programs load the libraries that belong to this tool, wherever the two were put.
void show_libraries() {
  const std::filesystem::path library = find_library(kLibrary);
  if (!library.has_parent_path()) return;
  const char* more = getenv("LD_LIBRARY_PATH");
  const bool any = more != nullptr && *more != '\0';
  const std::string path = library.parent_path().string() + (any ? std::string(":") + more : "");
  setenv("LD_LIBRARY_PATH", path.c_str(), 1);
}

}  // namespace

std::vector<bench_program> find_bench_programs() {
  const std::filesystem::path places[] = {
      (tool_folder() / "../bench").lexically_normal(),
      (tool_folder() / QUAY_LIBEXEC_FROM_BIN / "quay/bench").lexically_normal()};
  std::vector<bench_program> found;
  for (const std::filesystem::path& place : places) {
    std::error_code error;
    for (const auto& each : std::filesystem::directory_iterator(place, error)) {
      const std::string name = each.path().filename();
      if (name.starts_with(kPrefix) && access(each.path().c_str(), X_OK) == 0 &&
          each.is_regular_file(error)) {
        found.push_back({name.substr(kPrefix.size()), each.path()});
      }
    }
    if (!found.empty()) break;
  }
  if (found.empty()) {
    throw failure(fmt::format(
        "bench: the benchmark programs are not in {} and not in {}.\n"
        "Debian has them in the package quay-bench; a build makes them unless QUAY_BENCH is off.",
        places[0].string(), places[1].string()));
  }
  std::sort(found.begin(), found.end(),
            [](const bench_program& a, const bench_program& b) { return a.name < b.name; });
  return found;
}

int run_bench_program(const bench_program& program, const std::vector<std::string>& options,
                      const std::function<void(const std::string&)>& take) {
  show_libraries();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) throw system_failure("pipe", errno);
  const std::unique_ptr<FILE, int (*)(FILE*)> output(fdopen(ends[0], "r"), fclose);
  std::vector<char*> words = {const_cast<char*>(program.path.c_str())};
  for (const std::string& each : options) words.push_back(const_cast<char*>(each.c_str()));
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = -1;
  const int error = posix_spawn(&child, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (error != 0) throw system_failure(program.path, error);
  char* line = nullptr;
  std::size_t room = 0;
  while (getline(&line, &room, output.get()) > 0) {
    std::string text = line;
    if (text.ends_with('\n')) text.pop_back();
    if (!text.empty()) take(text);
  }
  free(line);
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw system_failure("waitpid", errno);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace quay::tool
