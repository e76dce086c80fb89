// SPDX-License-Identifier: BSD-2-Clause
//
// What: several threads take work from one queue; who has a connection has it alone.
// Shows: dispatched(), enable(), user().latched(), one queue in many threads.
#include <unistd.h>
#include <quay/kqueue.hpp>

#include <array>
#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

int main() {
  constexpr int kSources = 8;
  constexpr int kBytes = 100;
  constexpr std::uintptr_t kDone = 1;

  quay::kqueue q;
  q.add(quay::user(kDone).latched());  // once triggered it ends every thread
  std::vector<std::array<int, 2>> sources(kSources);
  for (auto& ends : sources) {
    if (::pipe(ends.data()) != 0) return 1;
    q.add(quay::readable(ends[0]).dispatched());
  }

  std::atomic<int> left{kSources * kBytes};
  std::atomic<bool> shared{false};
  std::vector<std::atomic<int>> holders(1024);
  const auto work = [&] {
    std::array<quay::event, 1> room;
    for (bool on = true; on;) {
      for (const quay::event& e : q.wait(room)) {
        e.visit(
            [&](const quay::readable_event& r) {
              auto& holder = holders[static_cast<std::size_t>(r.fd())];
              if (holder++ != 0) shared = true;
              char byte = 0;
              if (::read(r.fd(), &byte, 1) == 1 && --left == 0) q.trigger(kDone);
              --holder;
              q.enable(quay::readable(r.fd()).dispatched());
            },
            [&](const quay::user_event&) { on = false; }, [](const auto&) {});
      }
    }
  };
  {
    std::vector<std::jthread> crew;
    for (int i = 0; i < 3; ++i) crew.emplace_back(work);
    for (int n = 0; n < kBytes; ++n) {
      for (auto& ends : sources) {
        if (::write(ends[1], "x", 1) != 1) return 1;
      }
    }
  }
  std::printf("left %d, two threads on one source: %s\n", left.load(), shared ? "yes" : "never");
  return 0;
}
