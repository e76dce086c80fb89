// SPDX-License-Identifier: BSD-2-Clause
//
// What: `quay watch`: registers what the command line names, prints each event with all its fields.
// Contract: ends after --count events, after --for, by SIGINT or SIGTERM, or when nothing more can
// come. Exit status 0 when there was an event, 1 when there was none or something could not be
// watched, 2 for wrong usage. Invariants: udata of what the user named is its number on the command
// line, from 1; 0 is the tool's own.
#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <quay/quay.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command.hpp"
#include "duration.hpp"
#include "event_view.hpp"
#include "terminal.hpp"
#include "triggers.hpp"
#include "watch_settings.hpp"
#include "watched.hpp"

namespace quay::tool {

namespace {

using clock = std::chrono::steady_clock;

using settings = watch_settings;

const std::map<std::string, int> kDialects = {{"freebsd", QUAY_DIALECT_FREEBSD},
                                              {"netbsd", QUAY_DIALECT_NETBSD},
                                              {"dragonfly", QUAY_DIALECT_DRAGONFLY},
                                              {"openbsd", QUAY_DIALECT_OPENBSD}};

// A signal becomes a byte in a pipe that the queue watches: no moment at which it could be missed.
class stop_pipe {
 public:
  stop_pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) throw system_failure("pipe", errno);
    read_end_ = ends[0];
    write_end_ = ends[1];
    struct sigaction action = {};
    action.sa_handler = [](int) {
      const int saved = errno;
      [[maybe_unused]] const ssize_t ignored = write(write_end_, "", 1);
      errno = saved;
    };
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
  }
  stop_pipe(const stop_pipe&) = delete;
  stop_pipe& operator=(const stop_pipe&) = delete;
  ~stop_pipe() {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    close(read_end_);
    close(write_end_);
  }
  int fd() const { return read_end_; }

 private:
  int read_end_ = -1;
  inline static int write_end_ = -1;  // read by the handler
};

class queue {
 public:
  explicit queue(int dialect) : fd_(quay_kqueue(dialect, O_CLOEXEC)) {
    if (fd_ < 0) throw system_failure("cannot make a kqueue", errno);
  }
  queue(const queue&) = delete;
  queue& operator=(const queue&) = delete;
  ~queue() { quay_close(fd_); }
  int fd() const { return fd_; }

  void add(const struct kevent& change, const std::string& what) const {
    if (kevent(fd_, &change, 1, nullptr, 0, nullptr) < 0)
      throw system_failure("cannot watch " + what, errno);
  }

 private:
  int fd_;
};

std::vector<watched> make_watched(const settings& s) {
  std::vector<watched> all;
  for (const auto& target : s.read) all.push_back(watch_descriptor("--read", EVFILT_READ, target));
  for (const auto& target : s.write)
    all.push_back(watch_descriptor("--write", EVFILT_WRITE, target));
  for (const auto& target : s.except)
    all.push_back(watch_descriptor("--except", EVFILT_EXCEPT, target));
  for (const auto& target : s.empty)
    all.push_back(watch_descriptor("--empty", EVFILT_EMPTY, target));
  if (s.level) {
    for (watched& each : all) each.change.flags &= static_cast<unsigned short>(~EV_CLEAR);
  }
  for (const auto& path : s.file) all.push_back(watch_file("--file", path, false));
  for (const auto& path : s.access) all.push_back(watch_file("--access", path, true));
  for (const auto& pid : s.process) all.push_back(watch_process("--process", pid, false));
  for (const auto& pid : s.follow) all.push_back(watch_process("--follow", pid, true));
  if (s.mounts) all.push_back(watch_mounts("--mounts"));
  unsigned timers = 0;
  for (const auto& length : s.timer) all.push_back(watch_timer("--timer", length, ++timers, false));
  for (const auto& length : s.after) all.push_back(watch_timer("--after", length, ++timers, true));
  for (const auto& text : s.user) all.push_back(watch_user("--user", text));
  uintptr_t number = 0;
  for (watched& each : all) {
    each.change.udata = reinterpret_cast<void*>(++number);
    each.drain = s.drain && each.change.filter == EVFILT_READ;
    if (each.change.filter == EVFILT_EXCEPT) each.change.fflags = NOTE_OOB;
  }
  return all;
}

class printer {
 public:
  explicit printer(bool json) : json_(json), start_(clock::now()) {
    if (json_) return;
    fmt::print("{}\n", colours_.bold(fmt::format(kRow, "time", "filter", "ident", "flags", "fflags",
                                                 "data", "udata", "meaning")));
    fflush(stdout);
  }

  void operator()(const struct kevent& event, const watched& from) {
    const double seconds = std::chrono::duration<double>(clock::now() - start_).count();
    if (json_) {
      print_json(event, from, seconds);
    } else {
      print_row(event, from, seconds);
    }
    fflush(stdout);  // somebody may be reading along
  }

 private:
  static constexpr const char* kRow = "{:>9}  {:<6}  {:>5}  {:<17}  {:<9}  {:>6}  {:>5}  {}";

  // "CLEAR|EOF"; bits without a name as a number.
  static std::string joined(std::vector<std::string> names, size_t prefix, unsigned value) {
    for (std::string& name : names) name.erase(0, prefix);
    if (names.empty()) return value == 0 ? "-" : fmt::format("{:#x}", value);
    return fmt::format("{}", fmt::join(names, "|"));
  }

  void print_row(const struct kevent& event, const watched& from, double seconds) const {
    const std::string row = fmt::format(
        kRow, fmt::format("{:.6f}", seconds),
        filter_name(event.filter).substr(sizeof "EVFILT_" - 1), event.ident,
        joined(flag_names(event.flags), sizeof "EV_" - 1, event.flags),
        joined(fflag_names(event.filter, event.fflags), sizeof "NOTE_" - 1, event.fflags),
        event.data, fmt::format("{:#x}", reinterpret_cast<uintptr_t>(event.udata)), "");
    const std::string text = meaning(event, from.kind);
    const bool end = (event.flags & (EV_EOF | EV_ERROR)) != 0;
    fmt::print("{}{}  {}\n", row, end ? colours_.yellow(text) : colours_.green(text),
               colours_.dim("(" + from.source + ")"));
  }

  static void print_json(const struct kevent& event, const watched& from, double seconds) {
    const nlohmann::ordered_json line = {{"time", seconds},
                                         {"ident", event.ident},
                                         {"filter", filter_name(event.filter)},
                                         {"flags", flag_names(event.flags)},
                                         {"fflags", event.fflags},
                                         {"fflags_names", fflag_names(event.filter, event.fflags)},
                                         {"data", event.data},
                                         {"udata", reinterpret_cast<uintptr_t>(event.udata)},
                                         {"source", from.source},
                                         {"meaning", meaning(event, from.kind)}};
    fmt::print("{}\n", line.dump());
  }

  const bool json_;
  const clock::time_point start_;
  const palette colours_;
};

int watch(const settings& s) {
  if (s.port) return watch_with_port(s);
  std::vector<watched> all = make_watched(s);
  if (all.empty())
    throw CLI::ValidationError(
        "nothing to watch: name a descriptor, a file, a process, a timer or a user event");
  const stop_pipe stop;
  const queue kq(kDialects.at(s.dialect));
  struct kevent change;
  EV_SET(&change, stop.fd(), EVFILT_READ, EV_ADD, 0, 0, nullptr);
  kq.add(change, "for signals");
  std::vector<triggers::plan> plans;
  for (const watched& each : all) {
    kq.add(each.change, each.source);
    if (each.change.filter == EVFILT_USER)
      plans.push_back({each.change.ident, each.change.udata, each.trigger_period});
  }
  if (!s.length.empty()) {
    const timer_value value = to_timer_value(parse_duration(s.length).value());
    EV_SET(&change, UINTPTR_MAX, EVFILT_TIMER, EV_ADD | EV_ONESHOT, value.fflags, value.data,
           nullptr);
    kq.add(change, "the time of --for");
  }
  printer print(s.json);
  const triggers thread(kq.fd(), std::move(plans));

  std::vector<bool> finished(all.size());
  size_t unfinished = all.size();
  for (unsigned long seen = 0;;) {
    struct kevent event;
    const int n = kevent(kq.fd(), nullptr, 0, &event, 1, nullptr);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_failure("kevent", errno);
    const auto number = reinterpret_cast<uintptr_t>(event.udata);
    if (number == 0 || number > all.size()) return seen > 0 ? kDone : kFailed;
    const watched& from = all[number - 1];
    print(event, from);
    from.take_input(event);
    if (!finished[number - 1] && from.finished_by(event)) {
      finished[number - 1] = true;
      --unfinished;
    }
    if (++seen == s.count || unfinished == 0) return kDone;
  }
}

std::string check_number_or_path(const std::string& target) {
  return target.empty() ? "a descriptor's number or a path is needed" : std::string();
}

}  // namespace

void add_watch(CLI::App& app, int& status) {
  auto s = std::make_shared<settings>();
  CLI::App* sub = app.add_subcommand(
      "watch",
      "Wait for descriptors, files, processes, mounts, timers and user events; print every event.");
  sub->footer(
      std::string("Descriptors are watched with EV_CLEAR: one event for each arrival.\n"
                  "Ends after --count or --for, by Ctrl-C, or when nothing more can come.\n\n"
                  "  quay watch --read - --timer 250ms --user 1@1s --for 3s\n\n") +
      kExitHelp);
  const auto targets = [&](const char* name, std::vector<std::string>& to, const char* help) {
    sub->add_option(name, to, help)
        ->type_name("FD|PATH|-")
        ->check(check_number_or_path)
        ->allow_extra_args(false);
  };
  targets("-r,--read", s->read, "Something to read, or connections to accept");
  targets("-w,--write", s->write, "Room to write");
  targets("--except", s->except, "Out-of-band data (dialects openbsd, dragonfly)");
  targets("--empty", s->empty, "Everything sent has left (dialects freebsd, netbsd)");
  const auto lengths = [&](const char* name, std::vector<std::string>& to, const char* help) {
    sub->add_option(name, to, help)
        ->type_name("TIME")
        ->check(check_duration)
        ->allow_extra_args(false);
  };
  lengths("-t,--timer", s->timer, "A timer that expires every TIME (250ms, 1.5s, 2m)");
  lengths("-a,--after", s->after, "A timer that expires once, after TIME");
  sub->add_option("-u,--user", s->user,
                  "A user event, triggered once or every PERIOD by another thread")
      ->type_name("IDENT[@PERIOD]")
      ->allow_extra_args(false);
  const auto paths = [&](const char* name, std::vector<std::string>& to, const char* help) {
    sub->add_option(name, to, help)->type_name("PATH")->allow_extra_args(false);
  };
  paths("-f,--file", s->file, "What happens to a file or directory");
  paths("--access", s->access, "The same, and who opens, reads and closes it");
  const auto processes = [&](const char* name, std::vector<std::string>& to, const char* help) {
    sub->add_option(name, to, help)->type_name("PID")->allow_extra_args(false);
  };
  processes("-p,--process", s->process, "The end of a process");
  processes("--follow", s->follow, "Its forks and execs too, and all of its descendants");
  sub->add_flag("--mounts", s->mounts, "What is mounted and unmounted");
  sub->add_option("-d,--dialect", s->dialect, "Whose kqueue it is")
      ->check(CLI::IsMember({"freebsd", "netbsd", "dragonfly", "openbsd"}))
      ->capture_default_str();
  sub->add_option("-n,--count", s->count, "End after N events")->type_name("N")->check(check_count);
  sub->add_option("--for", s->length, "End after TIME")->type_name("TIME")->check(check_duration);
  sub->add_flag("--level", s->level, "Level-triggered descriptors: an event as long as it holds");
  sub->add_flag("--drain", s->drain, "Read and throw away what arrives on --read");
  sub->add_flag("--port", s->port,
                "With an event port: -r, -w, -f, --access, -t, -a and -u, descriptors told once");
  sub->add_flag("--json", s->json, "One JSON object per event");
  sub->callback([s, &status] { status = watch(*s); });
}

}  // namespace quay::tool
