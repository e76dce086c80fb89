// SPDX-License-Identifier: BSD-2-Clause
//
// What: see hook_test.hpp.
// Invariants: the preloaded process asks the libquay that the loader brought in for the hooks
// library, found by name; the copy inside the tool belongs to no hooks.
#include "hook_test.hpp"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <quay/quay.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/event.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "command.hpp"
#include "libraries.hpp"

namespace quay::tool {

namespace {

constexpr const char* kProbe = "hook-probe";

template <typename Function>
Function find(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

std::string file_of(void* address) {
  Dl_info info = {};
  return address != nullptr && dladdr(address, &info) != 0 && info.dli_fname != nullptr
             ? info.dli_fname
             : "";
}

// The tool itself, with the library preloaded; what it printed. Throws failure.
std::string run_preloaded(const std::string& library) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) throw system_failure("pipe", errno);
  const std::string preload = "LD_PRELOAD=" + library;
  std::vector<char*> environment = {const_cast<char*>(preload.c_str())};
  for (char** each = environ; *each != nullptr; ++each) {
    if (strncmp(*each, "LD_PRELOAD=", 11) != 0) environment.push_back(*each);
  }
  environment.push_back(nullptr);
  std::string name = "quay";
  std::string probe = kProbe;
  std::array<char*, 3> arguments = {name.data(), probe.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = -1;
  const int error = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments.data(),
                                environment.data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string output;
  std::array<char, 4096> bytes;
  for (ssize_t n = 0; error == 0 && (n = read(ends[0], bytes.data(), bytes.size())) > 0;)
    output.append(bytes.data(), static_cast<size_t>(n));
  close(ends[0]);
  if (error != 0) throw system_failure("cannot start the tool once more", error);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0)
    throw failure(fmt::format("the preloaded process ended with wait status {:#x}", status));
  return output;
}

bool hooked_by(decltype(&quay_stats_get) get) {
  quay_stats stats = {};
  return get(&stats, sizeof stats) == 0 && stats.hooked != 0;
}

// Whether a registration is gone when its number comes back, closed or replaced meanwhile.
bool ends_with_descriptor(decltype(&kevent) call, int kq, bool replaced) {
  const int first = eventfd(0, EFD_CLOEXEC);
  const int spare = eventfd(0, EFD_CLOEXEC);
  struct kevent change;
  EV_SET(&change, first, EVFILT_READ, EV_ADD, 0, 0, nullptr);
  bool gone = first >= 0 && spare >= 0 && call(kq, &change, 1, nullptr, 0, nullptr) == 0;
  if (!replaced) close(first);
  gone = gone && dup2(spare, first) == first;
  EV_SET(&change, first, EVFILT_READ, EV_ENABLE, 0, 0, nullptr);
  gone = gone && call(kq, &change, 1, nullptr, 0, nullptr) == -1 && errno == ENOENT;
  close(first);
  close(spare);
  return gone;
}

void print_probe() {
  // The library decides at its first queue.
  const auto make = find<decltype(&quay_kqueue)>("quay_kqueue");
  const auto get = find<decltype(&quay_stats_get)>("quay_stats_get");
  const auto call = find<decltype(&kevent)>("kevent");
  const int kq = make != nullptr ? make(QUAY_DIALECT_FREEBSD, O_CLOEXEC) : -1;
  const bool whole = kq >= 0 && call != nullptr;
  const nlohmann::json found = {{"close_from", file_of(dlsym(RTLD_DEFAULT, "close"))},
                                {"hooked", kq >= 0 && get != nullptr && hooked_by(get)},
                                {"close_is_heard", whole && ends_with_descriptor(call, kq, false)},
                                {"dup2_is_heard", whole && ends_with_descriptor(call, kq, true)}};
  fmt::print("{}\n", found.dump());
}

}  // namespace

hook_report test_hooks() {
  hook_report report;
  const int kq = quay_kqueue(QUAY_DIALECT_FREEBSD, O_CLOEXEC);
  report.hooked_here = hooked_by(quay_stats_get);
  if (kq >= 0) quay_close(kq);
  report.library = find_library(kHooksLibrary);
  try {
    const auto found = nlohmann::json::parse(run_preloaded(report.library));
    report.close_from = found.at("close_from");
    report.hooked = found.at("hooked");
    report.close_is_heard = found.at("close_is_heard");
    report.dup2_is_heard = found.at("dup2_is_heard");
  } catch (const std::exception& error) {
    report.problem = error.what();
  }
  const std::string name = std::filesystem::path(report.close_from).filename();
  const bool ours = name.starts_with("libquay-hooks.");
  if (report.problem.empty() && !ours) {
    report.problem = fmt::format("{} could not be preloaded: close() is that of {}", report.library,
                                 report.close_from);
  } else if (report.problem.empty() && !report.hooked) {
    report.problem =
        fmt::format("close() is that of {}, but libquay does not hear of it", report.close_from);
  }
  report.hooked = report.hooked && ours;
  return report;
}

void add_hook_probe(CLI::App& app) {
  app.add_subcommand(kProbe, "What `quay doctor` starts with the hooks preloaded.")
      ->group("")
      ->callback(print_probe);
}

}  // namespace quay::tool
