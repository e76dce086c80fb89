// SPDX-License-Identifier: BSD-2-Clause
//
// What: the processes of a sequence and the comparison; see play.hpp.
#include "play.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "actor.hpp"

namespace quay::traces::port {
namespace {

constexpr int kMostProcesses = 4;
constexpr int kPatienceMs = 20000;
constexpr size_t kMessage = 1 << 17;

double now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

void sleep_until_ms(double when) {
  const auto ns = static_cast<int64_t>(when * 1e6);
  const timespec t{ns / 1000000000, ns % 1000000000};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == EINTR) {
  }
}

// --- the processes --------------------------------------------------------------------------------

// Wires exist before the first fork, so that every process has its own end wherever it was forked.
struct wires {
  std::array<std::array<int, 2>, kMostProcesses> pair;
  wires() {
    for (auto& p : pair) {
      if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p.data()) != 0) {
        throw std::runtime_error("cannot make a socket");
      }
      const int room = static_cast<int>(kMessage);
      for (const int end : p) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    }
  }
  ~wires() {
    for (const auto& p : pair) ::syscall(SYS_close, p[0]);
  }
};

int place_of(const json& name) { return name.get<std::string>().at(0) - 'A'; }

[[noreturn]] void serve(actor& me, const wires& w, int place) {
  static char buffer[kMessage];
  for (;;) {
    const ssize_t n = ::recv(w.pair[static_cast<size_t>(place)][1], buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(0);
    const json step = json::parse(std::string(buffer, static_cast<size_t>(n)));
    json answer;
    try {
      if (step.at("op") == "settle") {
        answer["answer"] = me.settle();
      } else if (step.at("op") == "fork") {
        const pid_t child = ::fork();
        if (child == 0) {
          place = place_of(step.at("child"));
          me.become_child();
          continue;
        }
        answer["answer"] = nullptr;
      } else {
        answer["answer"] = me.perform(step);
      }
    } catch (const std::exception& e) {
      answer["failure"] = e.what();
    }
    const std::string text = answer.dump();
    ::send(w.pair[static_cast<size_t>(place)][1], text.data(), text.size(), MSG_NOSIGNAL);
  }
}

class cast {
 public:
  explicit cast(double stretch) {
    leader_ = ::fork();
    if (leader_ != 0) {
      for (const auto& p : wires_.pair) ::syscall(SYS_close, p[1]);
      return;
    }
    ::setpgid(0, 0);
    struct sigaction on_signal {};
    on_signal.sa_handler = [](int) {};
    on_signal.sa_flags = SA_RESTART;
    ::sigaction(SIGUSR1, &on_signal, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    actor first(stretch);
    serve(first, wires_, 0);
  }
  ~cast() {
    ::setpgid(leader_, leader_);
    ::kill(-leader_, SIGKILL);
    ::kill(leader_, SIGKILL);
    ::waitpid(leader_, nullptr, 0);
  }
  cast(const cast&) = delete;
  cast& operator=(const cast&) = delete;

  json ask(int place, const json& step) {
    const int wire = wires_.pair[static_cast<size_t>(place)][0];
    const std::string text = step.dump();
    ::send(wire, text.data(), text.size(), MSG_NOSIGNAL);
    pollfd p{wire, POLLIN, 0};
    if (::poll(&p, 1, kPatienceMs) != 1) throw std::runtime_error("did not return: " + text);
    const ssize_t n = ::recv(wire, buffer_.data(), buffer_.size(), 0);
    if (n <= 0) throw std::runtime_error("died in: " + text);
    const json answer = json::parse(std::string(buffer_.data(), static_cast<size_t>(n)));
    if (answer.contains("failure"))
      throw std::runtime_error(answer.at("failure").get<std::string>());
    return answer.at("answer");
  }

 private:
  wires wires_;
  pid_t leader_ = -1;
  std::string buffer_ = std::string(kMessage, '\0');
};

// --- the time -------------------------------------------------------------------------------------

// The trace's time and the real one. They run together only while a thread waits for a deadline:
// of time that passes without one, nothing in a port can tell.
class trace_clock {
 public:
  explicit trace_clock(double stretch) : stretch_(stretch) {}

  void started(const std::string& thread, const json& timeout) {
    if (!timeout.is_number()) return;
    if (deadlines_.empty()) zero_ = now_ms() - now_ * stretch_;
    deadlines_[thread] = now_ + timeout.get<double>();
  }
  void returned(const std::string& thread) { deadlines_.erase(thread); }
  void advance(double ms) {
    now_ += ms;
    double until = 0;
    for (const auto& [thread, deadline] : deadlines_) until = std::max(until, deadline + kLateMs);
    if (until > 0) sleep_until_ms(zero_ + std::min(until, now_) * stretch_);
  }

 private:
  static constexpr double kLateMs = 15;  // that a thread may need after its deadline

  const double stretch_;
  double now_ = 0;   // of the trace
  double zero_ = 0;  // the real time of the trace's beginning
  std::map<std::string, double> deadlines_;
};

// --- the comparison -------------------------------------------------------------------------------

bool same(const json& expected, const json& got) {
  if (expected.is_null()) return true;
  json plain = expected;
  if (plain.is_object()) plain.erase("alt");
  if (plain == got) return true;
  if (!expected.is_object() || !expected.contains("alt")) return false;
  for (const json& other : expected.at("alt")) {
    if (other.at("res") == got) return true;
  }
  return false;
}

bool same_world(const json& result, const json& done, const json& got, const json& got_done) {
  if (!same(result, got) || done.size() != got_done.size()) return false;
  for (const auto& [name, expected] : done.items()) {
    if (!got_done.contains(name) || !same(expected, got_done.at(name))) return false;
  }
  return true;
}

class comparison {
 public:
  // Empty, or what was expected.
  std::string check(const json& step, const json& got, const json& got_done) {
    const json result = step.value("res", json());
    const json done = step.value("done", json::object());
    const json doc = step.value("doc", json::object());
    const bool as_kernel = kernel_ && same_world(result, done, got, got_done);
    const bool as_documented =
        documented_ && same_world(doc.value("res", result), doc.value("done", done), got, got_done);
    if (!as_kernel && !as_documented)
      return json{{"res", result}, {"done", done}, {"doc", doc}}.dump();
    if (step.value("div", false)) {
      kernel_ = as_kernel;
      documented_ = as_documented;
    }
    if (step.value("sync", false)) kernel_ = documented_ = true;
    return {};
  }

 private:
  bool kernel_ = true;
  bool documented_ = true;
};

}  // namespace

verdict play(const json& sequence, double stretch) {
  size_t number = 0;
  try {
    cast processes(stretch);
    comparison compare;
    std::map<std::string, int> asleep;  // started thread -> its process
    size_t alive = 1;
    trace_clock time(stretch);
    if (sequence.contains("limit")) {
      processes.ask(0, {{"op", "limit"}, {"n", sequence.at("limit")}});
    }
    for (const json& step : sequence.at("steps")) {
      ++number;
      const auto op = step.at("op").get<std::string>();
      const int place = step.contains("by") ? place_of(step.at("by")) : 0;
      json got;
      if (op == "advance") {
        time.advance(step.at("ms"));
      } else {
        if (op == "start") {
          asleep[step.at("thr")] = place;
          time.started(step.at("thr"), step.at("timeout"));
        }
        got = processes.ask(place, step);
        if (op == "fork") ++alive;
      }
      json done = json::object();
      // A thread that returns may let one of another process return.
      for (size_t round = 0; round < alive && !asleep.empty(); ++round) {
        std::set<int> places;
        for (const auto& [name, where] : asleep) places.insert(where);
        for (const int where : places) {
          const json answer = processes.ask(where, {{"op", "settle"}});
          for (const auto& [name, result] : answer.items()) {
            done[name] = result;
            asleep.erase(name);
            time.returned(name);
          }
        }
      }
      const std::string expected = compare.check(step, got, done);
      if (expected.empty()) continue;
      return {false, "step " + std::to_string(number) + " " + step.dump() + "\n    expected " +
                         expected + "\n    got      " + json{{"res", got}, {"done", done}}.dump()};
    }
  } catch (const std::exception& e) {
    return {false, "step " + std::to_string(number) + ": " + e.what()};
  }
  return {};
}

}  // namespace quay::traces::port
