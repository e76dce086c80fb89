// SPDX-License-Identifier: BSD-2-Clause
//
// What: `quay trace`: a program, and what it starts, with every call of the library's shown as it returns; or, with
//       -c, counted and summed up at the end.
// Contract: without -c the tool becomes the program, as `quay run` does. With it the tool waits for the program, passes
//           on SIGTERM and SIGHUP, and exits with its status, 128 and the signal's number if it was killed.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "../trace/ledger.hpp"
#include "command.hpp"
#include "libraries.hpp"

namespace quay::tool {

namespace {

using trace::kCallNames;
using trace::kCalls;
using trace::ledger;

struct settings {
  bool counts = false;
  std::string output;
};

volatile pid_t g_traced = -1;

void pass_on(int number) { kill(g_traced, number); }

int wait_for(pid_t pid) {
  g_traced = pid;
  struct sigaction forward {};
  forward.sa_handler = pass_on;
  for (const int number : {SIGTERM, SIGHUP}) sigaction(number, &forward, nullptr);
  for (const int number : {SIGINT, SIGQUIT}) signal(number, SIG_IGN);  // the terminal tells both
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) throw system_failure("waitpid", errno);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void print_summary(const ledger& all, const std::string& output) {
  std::vector<std::size_t> made;
  double total = 0;
  for (std::size_t i = 0; i < kCalls; ++i) {
    if (all.entries[i].calls == 0) continue;
    made.push_back(i);
    total += static_cast<double>(all.entries[i].nanoseconds);
  }
  std::sort(made.begin(), made.end(), [&all](std::size_t a, std::size_t b) {
    return all.entries[a].nanoseconds > all.entries[b].nanoseconds;
  });
  FILE* out = output.empty() ? stderr : fopen(output.c_str(), "we");
  if (out == nullptr) throw system_failure(output, errno);
  fmt::print(out, "{:>7} {:>11} {:>11} {:>10} {:>8}  {}\n", "% time", "seconds", "us/call", "calls",
             "errors", "call");
  for (const std::size_t i : made) {
    const ledger::entry& e = all.entries[i];
    const auto spent = static_cast<double>(e.nanoseconds);
    fmt::print(out, "{:7.2f} {:11.6f} {:11.2f} {:10} {:>8}  {}\n",
               total > 0 ? 100 * spent / total : 0, spent / 1e9,
               spent / 1e3 / static_cast<double>(e.calls), e.calls.load(),
               e.errors != 0 ? fmt::to_string(e.errors.load()) : "", kCallNames[i]);
  }
  if (out != stderr) fclose(out);
}

int count(const settings& s, const std::vector<std::string>& words) {
  const int memory = memfd_create("quay trace", 0);  // inherited on purpose
  if (memory < 0 || ftruncate(memory, sizeof(ledger)) != 0) throw system_failure("memfd", errno);
  void* base = mmap(nullptr, sizeof(ledger), PROT_READ, MAP_SHARED, memory, 0);
  if (base == MAP_FAILED) throw system_failure("mmap", errno);
  // A number that the program is not likely to want.
  const int number = fcntl(memory, F_DUPFD, 500);
  setenv(trace::kLedgerVariable, fmt::to_string(number >= 0 ? number : memory).c_str(), 1);
  if (number >= 0) close(memory);
  const pid_t pid = fork();
  if (pid < 0) throw system_failure("fork", errno);
  if (pid == 0) become(words, "trace", {kTraceLibrary, kHooksLibrary, kLibrary});
  const int status = wait_for(pid);
  print_summary(*static_cast<const ledger*>(base), s.output);
  return status;
}

int trace_program(const settings& s, const std::vector<std::string>& words) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  setenv(trace::kStartVariable, fmt::format("{}{:09}", now.tv_sec, now.tv_nsec).c_str(), 1);
  unsetenv(trace::kLedgerVariable);
  unsetenv(trace::kOutputVariable);
  if (s.counts) return count(s, words);
  if (!s.output.empty()) {
    const int fd = open(s.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) throw system_failure(s.output, errno);
    char* path = realpath(s.output.c_str(), nullptr);  // the program may change its directory
    setenv(trace::kOutputVariable, path != nullptr ? path : s.output.c_str(), 1);
    free(path);
  }
  become(words, "trace", {kTraceLibrary, kHooksLibrary, kLibrary});
}

}  // namespace

void add_trace(CLI::App& app, int& status) {
  auto s = std::make_shared<settings>();
  CLI::App* sub = app.add_subcommand(
      "trace",
      "Run a program and show its calls of kqueue, ports, signalfd and pipes: trace [-c] "
      "[-o FILE] [--] PROGRAM [ARGUMENT...]");
  sub->footer(
      "A line for each call, when it returns: [thread] seconds since the start, the call with its\n"
      "arguments, its result, <seconds it took>.\n\n"
      "Exit status: the program's; 126 it cannot be started, 127 it cannot be found.");
  sub->add_flag("-c,--counts", s->counts, "Only a summary at the end: calls, errors, time");
  sub->add_option("-o,--output", s->output, "Where it goes, instead of standard error")
      ->type_name("FILE");
  sub->prefix_command();
  sub->callback([s, sub, &status] { status = trace_program(*s, program_words(*sub)); });
}

}  // namespace quay::tool
