// SPDX-License-Identifier: BSD-2-Clause
//
// What: is there an order of overlapping calls, each at one moment between its begin and its end, in which one thread alone
//       would have got the same results?
// Contract: Wing and Gong's search with remembered dead ends. A specification is a copyable state with
//             bool apply(const Call&);   performs the call; false when its result cannot be
//             std::string key() const;   tells states apart
// Invariants: the clock is one counter for all threads, so call A precedes call B iff A.end < B.begin.
#pragma once

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

namespace quay::model {

template <typename Call>
struct timed {
  Call call;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

template <typename Call, typename State>
class linearizer {
 public:
  explicit linearizer(const std::vector<timed<Call>>& history) : history_(history) {}
  bool possible(const State& start) {
    dead_.clear();
    return search(0, start);
  }

 private:
  bool search(std::uint64_t done, const State& state) {
    if (done == (std::uint64_t{1} << history_.size()) - 1) return true;
    if (!dead_.insert(std::to_string(done) + ":" + state.key()).second) return false;
    std::uint64_t first_end = ~std::uint64_t{0};
    for (std::size_t i = 0; i < history_.size(); ++i)
      if (!(done >> i & 1)) first_end = std::min(first_end, history_[i].end);
    for (std::size_t i = 0; i < history_.size(); ++i) {
      // Only a call that began before every pending one had ended may come next.
      if ((done >> i & 1) || history_[i].begin > first_end) continue;
      State next = state;
      if (next.apply(history_[i].call) && search(done | std::uint64_t{1} << i, next)) return true;
    }
    return false;
  }

  const std::vector<timed<Call>>& history_;
  std::unordered_set<std::string> dead_;
};

// Rounds of a few calls by a few threads; `perform` makes call number `index` of thread `thread` and says what came of it.
// `begin_round` runs alone before a round and `check` alone after it.
template <typename Call>
class crew {
 public:
  using performer = std::function<Call(int round, int thread, int index)>;

  crew(int threads, int calls) : threads_(threads), calls_(calls) {}

  void run(int rounds, const performer& perform,
           const std::function<bool(const std::vector<timed<Call>>&)>& check) {
    std::vector<std::vector<timed<Call>>> parts(static_cast<std::size_t>(threads_));
    std::barrier meeting(threads_ + 1);
    std::atomic<std::uint64_t> clock{0};
    std::atomic<bool> over{false};
    std::vector<std::thread> crew;
    for (int t = 0; t < threads_; ++t) {
      crew.emplace_back([&, t] {
        for (int round = 0;; ++round) {
          meeting.arrive_and_wait();
          if (over) return;
          auto& part = parts[static_cast<std::size_t>(t)];
          part.clear();
          for (int index = 0; index < calls_; ++index) {
            timed<Call> step;
            step.begin = clock++;
            step.call = perform(round, t, index);
            step.end = clock++;
            part.push_back(step);
          }
          meeting.arrive_and_wait();
        }
      });
    }
    for (int round = 0; round < rounds && !over; ++round) {
      meeting.arrive_and_wait();
      meeting.arrive_and_wait();
      std::vector<timed<Call>> history;
      for (const auto& part : parts) history.insert(history.end(), part.begin(), part.end());
      if (!check(history)) break;
    }
    over = true;
    meeting.arrive_and_wait();
    for (std::thread& t : crew) t.join();
  }

 private:
  const int threads_;
  const int calls_;
};

}  // namespace quay::model
