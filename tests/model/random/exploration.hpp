// SPDX-License-Identifier: BSD-2-Clause
//
// What: random sequences of operations against the library and a model of it, and the shortest sequence on which the two
//       still differ.
// Contract: a trial is a class with
//   using operation = ...;                                       one step, a plain value that prints itself by `describe`
//   operation draw(dice&);                                       any step
//   std::string run(const std::vector<operation>&);              "" or the first difference; starts from nothing every time
//   std::vector<operation> simpler(const operation&);            steps that do less
// Every subsequence of a sequence must be one too: a step that makes no sense where it stands does nothing.
// Invariants: the seed alone decides every sequence; it is printed with what was found, and QUAY_MODEL_SEED repeats it.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "support/length.hpp"

namespace quay::model {

class dice {
 public:
  explicit dice(std::uint64_t seed) : engine_(seed) {}
  // 0 … sides - 1. Not uniform to the last bit, and the same everywhere.
  unsigned roll(unsigned sides) { return static_cast<unsigned>(engine_() >> 33) % sides; }
  bool chance(unsigned percent) { return roll(100) < percent; }
  template <typename T, std::size_t N>
  T pick(const T (&values)[N]) {
    return values[roll(static_cast<unsigned>(N))];
  }

 private:
  std::mt19937_64 engine_;
};

template <typename Trial>
class exploration {
 public:
  using operation = typename Trial::operation;
  using sequence = std::vector<operation>;

  exploration(Trial& trial, std::uint64_t seed) : trial_(trial), seed_(seed) {}

  // Sequences of up to `longest` steps until `wanted` steps have been made. "" or a report.
  std::string explore(std::uint64_t wanted, unsigned longest) {
    for (std::uint64_t done = 0, round = 0; done < wanted; ++round) {
      dice d(seed_ + round);
      sequence steps(1 + d.roll(longest));
      for (operation& step : steps) step = trial_.draw(d);
      done += steps.size();
      if (trial_.run(steps).empty()) continue;
      return report(shrink(std::move(steps)), seed_ + round);
    }
    return {};
  }

 private:
  // Leaves out ever smaller pieces, then makes single steps simpler, as long as any of it still fails.
  sequence shrink(sequence steps) {
    for (bool progress = true; progress;) {
      progress = false;
      for (std::size_t piece = steps.size(); piece > 0; piece /= 2) {
        for (std::size_t at = 0; at + piece <= steps.size();) {
          sequence shorter = steps;
          const auto first = shorter.begin() + static_cast<std::ptrdiff_t>(at);
          shorter.erase(first, first + static_cast<std::ptrdiff_t>(piece));
          if (fails(shorter)) {
            steps = std::move(shorter);
            progress = true;
          } else {
            ++at;
          }
        }
      }
      for (std::size_t at = 0; at < steps.size(); ++at) {
        for (const operation& step : trial_.simpler(steps[at])) {
          sequence other = steps;
          other[at] = step;
          if (!fails(other)) continue;
          steps = std::move(other);
          progress = true;
          break;
        }
      }
    }
    return steps;
  }

  bool fails(const sequence& steps) { return !steps.empty() && !trial_.run(steps).empty(); }

  std::string report(const sequence& steps, std::uint64_t seed) {
    std::string out = "QUAY_MODEL_SEED=" + std::to_string(seed) + ", shortened:\n";
    for (const operation& step : steps) out += "  " + describe(step) + "\n";
    return out + trial_.run(steps);
  }

  Trial& trial_;
  std::uint64_t seed_;
};

template <typename Trial>
std::string explore(Trial&& trial, std::uint64_t wanted, unsigned longest) {
  return exploration<std::remove_reference_t<Trial>>(trial, test::model_seed())
      .explore(wanted, longest);
}

}  // namespace quay::model
