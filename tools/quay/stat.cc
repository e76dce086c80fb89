// SPDX-License-Identifier: BSD-2-Clause
//
// What: `quay stat`: the queues, ports, pipes and figures of a live process, or which processes have
//       any.
// Contract: the process is neither stopped nor asked: its catalogue (core/catalogue.hpp) is read from
//           its memory, as far as ptrace(2) lets the caller. Exit status 0 when there was something
//           to show, 1 when not, 2 for wrong usage.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <quay/quay.h>
#include <sys/event.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "command.hpp"
#include "duration.hpp"
#include "stat_view.hpp"

namespace quay::tool {

namespace {

struct settings {
  pid_t pid = 0;
  bool json = false, notes = false, watch = false;
  std::string every = "1s";
};

// A program's name, and a path, may be any bytes.
std::string as_json(const process_figures& p, int indent) {
  return to_json(p).dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::vector<pid_t> processes_with_catalogue() {
  std::vector<pid_t> found;
  for (const auto& each : std::filesystem::directory_iterator("/proc")) {
    const std::string name = each.path().filename();
    if (!std::all_of(name.begin(), name.end(), [](unsigned char c) { return isdigit(c); }))
      continue;
    const pid_t pid = std::stoi(name);
    if (has_catalogue(pid)) found.push_back(pid);
  }
  std::sort(found.begin(), found.end());
  return found;
}

// One line, or one JSON object, for each process.
int list_processes(bool json) {
  bool any = false;
  for (const pid_t pid : processes_with_catalogue()) {
    try {
      inventory all(pid);
      const process_figures p = examine(all, false);
      any = true;
      if (json) {
        fmt::print("{}\n", as_json(p, -1));
        continue;
      }
      std::string has;
      for (const process_figures::kind& k : p.kinds) {
        if (is_single(k.name)) continue;
        has += fmt::format("  {} {}", k.objects.size(), k.name);
      }
      fmt::print("{:>8}  {:<16}{}\n", p.pid, p.program, has);
    } catch (const failure&) {
      // Ended since, or may be listed but not read.
    }
  }
  if (!any && !json)
    fmt::print(stderr, "quay stat: no process that may be looked into uses quay\n");
  return any ? kDone : kFailed;
}

// Wakes every so often, until the process ends.
class beat {
 public:
  beat(pid_t pid, const std::string& period) : kq_(quay_kqueue(QUAY_DIALECT_FREEBSD, O_CLOEXEC)) {
    if (kq_ < 0) throw system_failure("cannot make a kqueue", errno);
    const timer_value value = to_timer_value(parse_duration(period).value());
    struct kevent changes[2];
    EV_SET(&changes[0], 1, EVFILT_TIMER, EV_ADD, value.fflags, value.data, nullptr);
    EV_SET(&changes[1], static_cast<uintptr_t>(pid), EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, nullptr);
    if (kevent(kq_, changes, 2, nullptr, 0, nullptr) < 0) throw system_failure("kevent", errno);
  }
  beat(const beat&) = delete;
  beat& operator=(const beat&) = delete;
  ~beat() { quay_close(kq_); }

  bool next() const {
    struct kevent event;
    int n = 0;
    do {
      n = kevent(kq_, nullptr, 0, &event, 1, nullptr);
    } while (n < 0 && errno == EINTR);
    return n == 1 && event.filter == EVFILT_TIMER;
  }

 private:
  int kq_;
};

void print(inventory& all, const settings& s, const palette& colours) {
  const process_figures p = examine(all, s.notes);
  if (s.json) {
    fmt::print("{}\n", as_json(p, s.watch ? -1 : 2));
  } else {
    fmt::print("{}", to_text(p, colours));
  }
  fflush(stdout);
}

int stat(const settings& s) {
  if (s.pid == 0) return list_processes(s.json);
  const palette colours;
  inventory all(s.pid);
  print(all, s, colours);
  if (!s.watch) return kDone;
  const beat time(s.pid, s.every);
  while (time.next()) {
    try {
      all.refresh();
    } catch (const failure&) {
      return kDone;  // ended, and the timer was first
    }
    if (!s.json) fmt::print("{}", isatty(STDOUT_FILENO) == 1 ? "\x1b[H\x1b[J" : "\n");
    print(all, s, colours);
  }
  return kDone;
}

}  // namespace

void add_stat(CLI::App& app, int& status) {
  auto s = std::make_shared<settings>();
  CLI::App* sub = app.add_subcommand(
      "stat", "Show the queues, ports, pipes and figures of a process, or who has any.");
  sub->footer(
      std::string(
          "The process is neither stopped nor slowed down; the kernel decides who may look\n"
          "(ptrace(2): its user, unless the system is stricter, and root).\n\n") +
      kExitHelp);
  sub->add_option("PID", s->pid, "The process; without it, every process is named that uses quay")
      ->check(check_count);
  sub->add_flag("-n,--notes", s->notes, "List what is registered in each kqueue");
  CLI::Option* watch =
      sub->add_flag("-w,--watch", s->watch, "Show it again and again, until it ends");
  watch->needs("PID");
  sub->add_option("--every", s->every, "How often")
      ->type_name("TIME")
      ->check(check_duration)
      ->capture_default_str()
      ->needs(watch);
  sub->add_flag("--json", s->json, "JSON: one object, or one on each line");
  sub->callback([s, &status] { status = stat(*s); });
}

}  // namespace quay::tool
