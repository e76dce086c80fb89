// SPDX-License-Identifier: BSD-2-Clause
//
// What: a program of this tree, started by a test: its standard output can be read while it runs,
// its exit status after. Contract: programs are found beside the test's own folder of the build,
// ../examples and ../bin, unless the environment names another place (QUAY_EXAMPLES_DIR,
// QUAY_TOOL_DIR); reading gives up after kPatience. Ownership: a program that still runs when the
// object ends is killed and reaped.
#pragma once

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "descriptor.hpp"
#include "kqueue.hpp"
#include "objects.hpp"

namespace quay::test {

inline std::filesystem::path built(const char* variable, const char* folder, const char* name) {
  if (const char* set = ::getenv(variable); set != nullptr)
    return std::filesystem::path(set) / name;
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / folder /
         name;
}
inline std::filesystem::path example(const char* name) {
  return built("QUAY_EXAMPLES_DIR", "examples", name);
}
inline std::filesystem::path tool() { return built("QUAY_TOOL_DIR", "bin", "quay"); }

#define QUAY_SKIP_UNLESS_BUILT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << (path).string() << " is not built"

class program {
 public:
  // input: becomes standard input; -1: /dev/null.
  explicit program(const std::vector<std::string>& words, int input = -1) {
    int out[2];
    checked(::pipe2(out, O_CLOEXEC), "pipe2");
    output_ = unique_fd(out[0]);
    const unique_fd write_end(out[1]);
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (input >= 0) {
      posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    } else {
      posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    }
    posix_spawn_file_actions_adddup2(&actions, write_end, STDOUT_FILENO);
    const int error =
        ::posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::system_error(error, std::generic_category(), words[0]);
  }
  program(const program&) = delete;
  program& operator=(const program&) = delete;
  ~program() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  void send_signal(int number) const { checked(::kill(pid_, number), "kill"); }

  // The next line without its end; what is left when the program closed its output, or "" then.
  std::string read_line() {
    size_t end = 0;
    while ((end = text_.find('\n')) == std::string::npos && read_more()) {
    }
    std::string line = text_.substr(0, end);
    text_.erase(0, end == std::string::npos ? end : end + 1);
    return line;
  }

  std::string read_all() {
    while (read_more()) {
    }
    return std::exchange(text_, {});
  }

  // Waits for the end. The exit status, or -1 when it did not exit by itself.
  int exit_status() {
    text_ += read_all();  // so that it cannot wait for us; its end closes the output
    int status = 0;
    checked(::waitpid(pid_, &status, 0), "waitpid");
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  bool read_more() {
    pollfd wait = {output_, POLLIN, 0};
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience);
    if (checked(::poll(&wait, 1, static_cast<int>(patience.count())), "poll") == 0) {
      ADD_FAILURE() << "the program says nothing more and does not end";
      if (pid_ > 0) ::kill(pid_, SIGKILL);
      return false;
    }
    std::array<char, 4096> data;
    const ssize_t n = ::read(output_, data.data(), data.size());
    if (n > 0) text_.append(data.data(), static_cast<size_t>(n));
    return n > 0;
  }

  pid_t pid_ = -1;
  unique_fd output_;
  std::string text_;
};

}  // namespace quay::test
