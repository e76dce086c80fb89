// SPDX-License-Identifier: BSD-2-Clause
//
// What: `quay doctor`: what this system gives quay to work with, in plain words.
// Contract: exit status 0 when everything that quay needs is there, 1 when something is missing, 2
// for wrong usage.
#include <errno.h>
#include <fmt/format.h>
#include <quay/quay.h>
#include <sys/resource.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "command.hpp"
#include "facilities.hpp"
#include "hook_test.hpp"
#include "terminal.hpp"

namespace quay::tool {

namespace {

struct tunable {
  const char* name;
  const char* help;
};

// Those of <quay/quay.h>; one that this library does not know is left out.
constexpr tunable kTunables[] = {
    {"kq_calloutmax", "timers in all queues together"},
    {"kq_checkloop", "kept for its name"},
    {"so_error_in_fflags", "1: EV_EOF takes the socket's pending error into fflags"},
    {"spin_us", "longest watch before a waiter sleeps, in microseconds"},
};

// docs/differences.md, "Without the hooks", in short.
constexpr const char* kWithoutHooks[] = {
    "registrations of a closed descriptor go when the library next meets its number, not at the "
    "close",
    "threads that wait in a queue sleep on when it is closed by plain close(); quay_close() ends "
    "it",
    "a duplicate of a queue is recognised when it is used",
    "fstat, ioctl, fcntl, read, write and sendmsg see an epoll descriptor; quay_fstat() and its "
    "like do "
    "not",
    "every re-arming costs about one system call more",
};

struct report {
  kernel_release kernel;
  std::vector<facility> facilities;
  hook_report hooks;
  rlimit descriptors = {};
  std::vector<std::pair<const tunable*, long>> tunables;
  bool healthy = true;
};

report examine() {
  report r;
  r.kernel = probe_kernel();
  r.facilities = probe_facilities();
  r.hooks = test_hooks();
  getrlimit(RLIMIT_NOFILE, &r.descriptors);
  for (const tunable& each : kTunables) {
    errno = 0;
    const long value = quay_tunable_get(each.name);
    if (value != -1 || errno != ENOENT) r.tunables.emplace_back(&each, value);
  }
  r.healthy =
      r.kernel.new_enough && r.hooks.hooked && r.hooks.close_is_heard && r.hooks.dup2_is_heard;
  for (const facility& each : r.facilities) r.healthy = r.healthy && (each.found || !each.needed);
  return r;
}

nlohmann::ordered_json limit(rlim_t value) {
  if (value == RLIM_INFINITY) return "unlimited";
  return value;
}

std::string limit_text(rlim_t value) {
  return value == RLIM_INFINITY ? "unlimited" : std::to_string(value);
}

void print_json(const report& r) {
  nlohmann::ordered_json out;
  out["version"] = QUAY_VERSION;
  out["kernel"] = {
      {"release", r.kernel.text}, {"oldest", kOldestKernel}, {"new_enough", r.kernel.new_enough}};
  for (const facility& each : r.facilities) {
    nlohmann::ordered_json one = {
        {"name", each.name}, {"found", each.found}, {"needed", each.needed}};
    if (!each.found) one["reason"] = each.reason;
    out["facilities"].push_back(std::move(one));
  }
  out["hooks"] = {{"this_process", r.hooks.hooked_here},
                  {"library", r.hooks.library},
                  {"preloaded", r.hooks.hooked},
                  {"close_is_heard", r.hooks.close_is_heard},
                  {"dup2_is_heard", r.hooks.dup2_is_heard},
                  {"close_from", r.hooks.close_from}};
  if (!r.hooks.problem.empty()) out["hooks"]["problem"] = r.hooks.problem;
  out["hooks"]["without"] = kWithoutHooks;
  out["limits"]["RLIMIT_NOFILE"] = {{"soft", limit(r.descriptors.rlim_cur)},
                                    {"hard", limit(r.descriptors.rlim_max)}};
  for (const auto& [which, value] : r.tunables) out["tunables"][which->name] = value;
  out["healthy"] = r.healthy;
  fmt::print("{}\n", out.dump(2));
}

class text {
 public:
  void operator()(const report& r) const {
    heading("Kernel");
    line(r.kernel.new_enough, true, "Linux " + r.kernel.text,
         fmt::format("quay needs {} or newer", kOldestKernel));
    heading("What the kernel offers (found by trying)");
    for (const facility& each : r.facilities)
      line(each.found, each.needed, each.name,
           each.found ? each.use : fmt::format("{}; {}", each.use, each.reason));
    heading("Hooks");
    line(r.hooks.hooked, true, "preloaded",
         r.hooks.hooked
             ? fmt::format("with {} in front, closing a descriptor removes its registrations",
                           r.hooks.library)
             : r.hooks.problem);
    line(r.hooks.close_is_heard && r.hooks.dup2_is_heard, true, "self-test",
         "a registration ends with its descriptor, by close() and by dup2()");
    fmt::print("    {:<6}  {:<16}  {}\n", "", "this process",
               r.hooks.hooked_here
                   ? "hears of every close()"
                   : "runs without the hooks, as a program does that links only libquay");
    heading("What differs without the hooks (docs/differences.md says all)");
    for (const char* each : kWithoutHooks) fmt::print("    {}\n", each);
    heading("Limits");
    value("descriptors",
          fmt::format("{} open at once, can be raised to {} (RLIMIT_NOFILE)",
                      limit_text(r.descriptors.rlim_cur), limit_text(r.descriptors.rlim_max)));
    heading("Tunables (QUAY_TUNABLES=name=value,... sets them)");
    for (const auto& [which, number] : r.tunables)
      value(which->name, fmt::format("{:<8}  {}", number, which->help));
    fmt::print(
        "\n{}\n",
        r.healthy
            ? colours_.green("Everything quay needs is here.")
            : colours_.red("Something that quay needs is missing: see the lines marked \"no\"."));
  }

 private:
  void heading(const char* words) const { fmt::print("{}\n", colours_.bold(words)); }

  void line(bool found, bool needed, const std::string& name, const std::string& words) const {
    const std::string mark = fmt::format("{:<6}", found ? "yes" : needed ? "no" : "absent");
    fmt::print("    {}  {:<16}  {}\n",
               found    ? colours_.green(mark)
               : needed ? colours_.red(mark)
                        : colours_.yellow(mark),
               name, words);
  }

  static void value(const char* name, const std::string& words) {
    fmt::print("    {:<24}  {}\n", name, words);
  }

  const palette colours_;
};

}  // namespace

void add_doctor(CLI::App& app, int& status) {
  auto json = std::make_shared<bool>(false);
  CLI::App* sub = app.add_subcommand("doctor", "Say what this system gives quay to work with.");
  sub->footer("Exit status: 0 everything needed is there, 1 something is missing, 2 wrong usage.");
  sub->add_flag("--json", *json, "One JSON object");
  sub->callback([json, &status] {
    const report r = examine();
    if (*json) {
      print_json(r);
    } else {
      text{}(r);
    }
    status = r.healthy ? kDone : kFailed;
  });
  add_hook_probe(app);
}

}  // namespace quay::tool
