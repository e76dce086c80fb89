// SPDX-License-Identifier: BSD-2-Clause
//
// What: the processes around the player.
#include "runner.hpp"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <exception>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace quay::traces {
namespace {

using nlohmann::json;

constexpr int kJobsOfTimedFiles = 8;
constexpr int kAttempts = 8;
constexpr int kReportPipe = 290;  // out of the way of the numbers a sequence uses

// Late calls are played again, slower from the third time on.
int stretch_of_attempt(const options& how, int attempt) {
  return how.stretch << std::max(0, (attempt - 1) / 2);
}

report play_here(const sequence& script, const options& how, int attempt) {
  try {
    return player(script, stretch_of_attempt(how, attempt), how.narrate).play();
  } catch (const std::exception& e) {
    report out;
    out.id = script.id;
    out.tier = script.tier;
    out.outcome = verdict::diverges;
    out.what.kind = e.what();
    return out;
  }
}

bool worth_another_attempt(const report& r, int attempt) {
  return r.outcome != verdict::match && r.late && attempt + 1 < kAttempts;
}

std::string serialize(const report& r) {
  return json{{"outcome", static_cast<int>(r.outcome)},
              {"op", r.operation_index},
              {"calls", r.calls},
              {"matching", r.calls_matching},
              {"late", r.late},
              {"kind", r.what.kind},
              {"expected", r.what.expected},
              {"got", r.what.got}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

void deserialize(const std::string& text, report& r) {
  const json in = json::parse(text);
  r.outcome = static_cast<verdict>(in.at("outcome").get<int>());
  r.operation_index = in.at("op").get<long>();
  r.calls = in.at("calls").get<int>();
  r.calls_matching = in.at("matching").get<int>();
  r.late = in.at("late").get<bool>();
  r.what = {in.at("kind").get<std::string>(), in.at("expected").get<std::string>(),
            in.at("got").get<std::string>()};
}

struct child {
  size_t index = 0;
  int attempt = 0;
  pid_t pid = -1;
  int pipe = -1;
  std::string text;
};

[[noreturn]] void be_child(const sequence& script, const options& how, int attempt, int pipe) {
  ::alarm(static_cast<unsigned>(how.time_limit_s * stretch_of_attempt(how, attempt)));
  const bool moved = ::dup3(pipe, kReportPipe, O_CLOEXEC) == kReportPipe;
  ::close(pipe);
  const std::string text = serialize(play_here(script, how, attempt));
  ::fflush(stdout);
  size_t done = 0;
  while (moved && done < text.size()) {
    const ssize_t n = ::write(kReportPipe, text.data() + done, text.size() - done);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  ::_exit(0);
}

child start(const sequence& script, const options& how, size_t index, int attempt) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) throw std::runtime_error("cannot make a pipe");
  ::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("cannot fork");
  if (pid == 0) {
    ::close(ends[0]);
    be_child(script, how, attempt, ends[1]);
  }
  ::close(ends[1]);
  return {index, attempt, pid, ends[0], {}};
}

report finish(const child& c, const sequence& script) {
  ::close(c.pipe);
  int status = 0;
  ::waitpid(c.pid, &status, 0);
  report out;
  out.id = script.id;
  out.tier = script.tier;
  try {
    deserialize(c.text, out);
  } catch (const json::exception&) {
    out.outcome = verdict::diverges;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
      out.what.kind = "hangs";
    } else if (WIFSIGNALED(status)) {
      out.what.kind = fmt::format("is killed by signal {}", WTERMSIG(status));
    } else {
      out.what.kind = fmt::format("exits with status {}", WEXITSTATUS(status));
    }
  }
  return out;
}

// True at the end of the child's report.
bool read_some(child& c) {
  std::array<char, 4096> chunk;
  const ssize_t n = ::read(c.pipe, chunk.data(), chunk.size());
  if (n < 0 && errno == EINTR) return false;
  if (n <= 0) return true;
  c.text.append(chunk.data(), static_cast<size_t>(n));
  return false;
}

std::vector<report> run_forked(const std::vector<sequence>& script, const options& how) {
  const bool timed = !script.empty() && script.front().timed;
  const int jobs = how.jobs > 0 ? how.jobs : (timed ? kJobsOfTimedFiles : 1);
  std::vector<report> out(script.size());
  std::deque<std::pair<size_t, int>> waiting;
  for (size_t i = 0; i < script.size(); ++i) waiting.emplace_back(i, 0);
  std::vector<child> running;
  while (!waiting.empty() || !running.empty()) {
    while (!waiting.empty() && running.size() < static_cast<size_t>(jobs)) {
      const auto [index, attempt] = waiting.front();
      waiting.pop_front();
      running.push_back(start(script[index], how, index, attempt));
    }
    std::vector<pollfd> polled;
    for (const child& c : running) polled.push_back({c.pipe, POLLIN, 0});
    ::poll(polled.data(), polled.size(), -1);
    for (size_t i = running.size(); i-- > 0;) {
      if (polled[i].revents == 0 || !read_some(running[i])) continue;
      const report r = finish(running[i], script[running[i].index]);
      if (worth_another_attempt(r, running[i].attempt)) {
        waiting.emplace_back(running[i].index, running[i].attempt + 1);
      } else {
        out[running[i].index] = r;
      }
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return out;
}

std::vector<report> run_in_process(const std::vector<sequence>& script, const options& how) {
  std::vector<report> out;
  for (const sequence& s : script) {
    report r = play_here(s, how, 0);
    for (int attempt = 1; worth_another_attempt(r, attempt - 1); ++attempt)
      r = play_here(s, how, attempt);
    out.push_back(std::move(r));
  }
  return out;
}

}  // namespace

std::vector<report> run(const std::vector<sequence>& script, const options& how) {
  return how.fork ? run_forked(script, how) : run_in_process(script, how);
}

}  // namespace quay::traces
