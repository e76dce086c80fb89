// SPDX-License-Identifier: BSD-2-Clause
//
// What: a bounded model checker.
// Invariants: every interleaving of the given threads is visited; a state is a value, so none is visited twice.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace quay::test {

// Visits all states from `start`. "" or how the first bad one is reached. `next` gives a state's successors with what
// was done; `bad` says what is wrong with a state, told whether it is a last one.
template <typename State>
struct step {
  std::string what;
  State to;
};

template <typename State>
std::string check(const State& start,
                  const std::function<std::vector<step<State>>(const State&)>& next,
                  const std::function<std::string(const State&, bool last)>& bad,
                  std::size_t* visited) {
  struct origin {
    State from;
    std::string what;
  };
  std::map<State, origin> seen{{start, {start, ""}}};
  std::deque<State> open{start};
  std::string found;
  while (!open.empty() && found.empty()) {
    const State s = open.front();
    open.pop_front();
    const auto steps = next(s);
    if (const std::string wrong = bad(s, steps.empty()); !wrong.empty()) {
      for (State at = s; at != start; at = seen.at(at).from)
        found.insert(0, seen.at(at).what + "; ");
      found += wrong;
    }
    for (const auto& n : steps)
      if (seen.emplace(n.to, origin{s, n.what}).second) open.push_back(n.to);
  }
  *visited = seen.size();
  return found;
}

}  // namespace quay::test
