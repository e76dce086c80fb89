// SPDX-License-Identifier: BSD-2-Clause
//
// What: see triggers.hpp.
#include "triggers.hpp"

#include <fmt/format.h>
#include <string.h>
#include <sys/event.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

namespace quay::tool {

triggers::triggers(int kq, std::vector<plan> plans) : kq_(kq), plans_(std::move(plans)) {
  if (!plans_.empty()) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void triggers::run(const std::stop_token& stop) {
  using clock = std::chrono::steady_clock;
  struct state {
    const plan* of;
    unsigned count;
    clock::time_point next;
  };
  std::vector<state> states;
  for (const plan& each : plans_) states.push_back({&each, 0, clock::now() + each.period});
  std::unique_lock lock(mutex_);
  while (!states.empty()) {
    auto first = std::min_element(states.begin(), states.end(),
                                  [](const state& a, const state& b) { return a.next < b.next; });
    waiting_.wait_until(lock, stop, first->next, [] { return false; });
    if (stop.stop_requested()) return;
    ++first->count;
    struct kevent change;
    EV_SET(&change, first->of->ident, EVFILT_USER, 0,
           NOTE_TRIGGER | NOTE_FFCOPY | (first->count & NOTE_FFLAGSMASK), first->count,
           first->of->udata);
    if (kevent(kq_, &change, 1, nullptr, 0, nullptr) < 0) {
      fmt::print(stderr, "quay: cannot trigger user event {}: {}\n", first->of->ident,
                 strerror(errno));
      return;
    }
    if (first->of->period.count() == 0) {
      states.erase(first);
    } else {
      first->next += first->of->period;
    }
  }
}

}  // namespace quay::tool
