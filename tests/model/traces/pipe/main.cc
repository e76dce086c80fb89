// SPDX-License-Identifier: BSD-2-Clause
//
// What: pipe_trace_replay FILE...: performs recorded sequences of FreeBSD's own pipe code on this
// library and compares what each call returns and what can be seen after each step.
// Contract: the files' first lines describe the format. Every other line is a sequence, with the
// other outcomes that the kernel's code has under other schedules; any of them will do. Where the
// trace marks a known gap of the kernel's, what is listed at `excused` is accepted beside it. Exit
// status 0 iff every sequence agrees.
#include <fmt/format.h>
#include <quay/quay.h>
#include <stdio.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "stage.hpp"

namespace quay::traces {
namespace {

using nlohmann::json;

// One way the sequence may go: what is expected after each step.
struct course {
  std::vector<json> expected;
  json state = json::object();  // keys that are left out when they did not change
  bool open = true;
};

std::vector<course> courses_of(const json& sequence) {
  std::vector<course> out(1);
  for (const json& step : sequence.at("steps")) out[0].expected.push_back(step[1]);
  const auto others = sequence.find("alts");
  if (others == sequence.end()) return out;
  for (const json& other : *others) {
    course c;
    const auto at = other.at("at").get<long>();
    c.expected.assign(out[0].expected.begin(), out[0].expected.begin() + at);
    for (const json& o : other.at("o")) c.expected.push_back(o);
    out.push_back(c);
  }
  return out;
}

bool has_gap(const json& expected, const char* kind) {
  const auto gaps = expected.find("gap");
  return gaps != expected.end() && std::any_of(gaps->begin(), gaps->end(), [kind](const json& gap) {
           return gap.get<std::string>().rfind(kind, 0) == 0;
         });
}

// excused: an EVFILT_WRITE event on end e where the kernel forgets to look again (A0.8w:e).
bool excused(const json& expected, const std::string& note) {
  return note.back() == 'w' &&
         has_gap(expected, ("A0.8w:" + note.substr(0, note.size() - 1)).c_str());
}

json sorted(json list) {
  std::sort(list.begin(), list.end());
  return list;
}

json without_excused(const json& events, const json& expected) {
  json out = json::array();
  for (const json& e : events) {
    if (!excused(expected, e[0])) out.push_back(e);
  }
  return sorted(out);
}

// The first difference in words; empty when there is none.
std::string difference(const json& expected, const json& state, const json& got, bool edges) {
  const auto differ = [](const char* what, const json& a, const json& b) {
    return a == b ? std::string() : fmt::format("{}: expected {} got {}", what, a.dump(), b.dump());
  };
  std::string d = differ("result", expected.value("m", json()), got.at("m"));
  if (d.empty()) {
    d = differ("calls that returned", sorted(expected.value("r", json::array())),
               sorted(got.at("r")));
  }
  if (d.empty()) d = differ("bytes held", state.value("f", json::array()), got.at("f"));
  if (d.empty() && got.contains("p")) d = differ("poll", state.value("p", json()), got.at("p"));
  if (d.empty() && got.contains("k")) {
    const json& events =
        edges ? expected.value("k", json::array()) : state.value("k", json::array());
    d = differ("events", without_excused(events, expected), without_excused(got.at("k"), expected));
  }
  if (d.empty() && got.contains("a") && state.contains("a")) {
    d = differ("pipekva", state.at("a"), got.at("a"));
  }
  if (!got.contains("z")) return d;
  for (const auto& [end, size] : got.at("z").items()) {
    if (d.empty() && !size.is_null()) d = differ("size", state.at("z")[std::stoul(end)], size);
  }
  return d;
}

constexpr std::chrono::seconds kPatience{10};

// Plays one sequence; returns the first difference.
std::string play(const json& constants, const json& sequence) {
  std::vector<course> courses = courses_of(sequence);
  stage here(constants, sequence.at("cfg"), sequence.at("id"));
  const json& steps = sequence.at("steps");
  for (size_t i = 0; i < steps.size(); ++i) {
    const json& action = steps[i][0];
    json got = {{"m", here.perform(action, static_cast<long>(i))}, {"r", json::array()}};
    json edges_seen = json::array();
    bool gap = false;
    for (course& c : courses) {
      if (!c.open) continue;
      for (const char* key : {"f", "p", "z", "a", "k"}) {
        if (c.expected[i].contains(key)) c.state[key] = c.expected[i][key];
      }
      gap = gap || has_gap(c.expected[i], "A0.5") || has_gap(c.expected[i], "A0.8t");
    }
    // A thread may come to rest, only to be woken: what is expected gets time to come true.
    const auto give_up = std::chrono::steady_clock::now() + (gap ? kPatience / 20 : kPatience);
    std::string first;
    for (bool agreed = false; !agreed;) {
      here.settle();
      for (const json& r : here.returned()) got["r"].push_back(r);
      got.update(here.look(action));
      if (here.edges() && got.contains("k")) {
        for (const json& e : got["k"]) {
          std::erase_if(edges_seen.get_ref<json::array_t&>(),
                        [&](const json& old) { return old[0] == e[0]; });
          edges_seen.push_back(e);
        }
        got["k"] = edges_seen;
      }
      first.clear();
      for (const course& c : courses) {
        if (!c.open) continue;
        const std::string d = difference(c.expected[i], c.state, got, here.edges());
        if (first.empty()) first = d;
        agreed = agreed || d.empty();
      }
      if (!agreed && std::chrono::steady_clock::now() > give_up) {
        // The kernel's threads sleep on where ours go on: nothing after that can be compared.
        if (gap) return {};
        return fmt::format("step {} {}: {}", i, action.dump(), first);
      }
      if (!agreed) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    for (course& c : courses) {
      c.open = c.open && difference(c.expected[i], c.state, got, here.edges()).empty();
    }
  }
  return {};
}

bool replay(const std::string& path) {
  const std::string command = "gzip -dc '" + path + "'";
  FILE* in = popen(command.c_str(), "r");
  if (in == nullptr) throw std::runtime_error("cannot read " + path);
  std::string text;
  char chunk[65536];
  for (size_t n; (n = fread(chunk, 1, sizeof chunk, in)) > 0;) text.append(chunk, n);
  if (pclose(in) != 0) throw std::runtime_error("cannot unpack " + path);
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  const json constants = json::parse(line).at("constants");
  int all = 0;
  int agreeing = 0;
  while (std::getline(lines, line)) {
    const json sequence = json::parse(line);
    ++all;
    std::string d = play(constants, sequence);
    // Every pipe is closed, and every call has returned.
    if (const long left = quay_tunable_get("pipekva"); d.empty() && left != 0)
      d = fmt::format("at its end: {} bytes are not given back", left);
    if (d.empty()) {
      ++agreeing;
    } else {
      fmt::print("  sequence {}, {}\n", sequence.at("id").get<long>(), d);
    }
  }
  fmt::print("{}: {} of {} sequences agree\n", path, agreeing, all);
  return agreeing == all && all > 0;
}

}  // namespace
}  // namespace quay::traces

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: pipe_trace_replay FILE.jsonl.gz...\n");
    return 2;
  }
  quay::traces::install_handlers();
  // Threads that are going to sleep shall do so at once.
  quay_tunable_set("spin_us", 0);
  bool good = true;
  for (int i = 1; i < argc; ++i) good = quay::traces::replay(argv[i]) && good;
  return good ? 0 : 1;
}
