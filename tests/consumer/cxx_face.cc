// SPDX-License-Identifier: BSD-2-Clause
//
// What: a stranger's program with the whole C++ face, by what `quay` alone gives.
#include <quay/kqueue.hpp>
#include <quay/pipe.hpp>
#include <quay/port.hpp>
#include <quay/scheduler.hpp>
#include <quay/signal_fd.hpp>

#include <array>

using namespace std::chrono_literals;

int main() {
  quay::port p;
  p.send(1);
  quay::kqueue q;
  q.apply({quay::readable(p), quay::after(1ms, 1)});
  bool port = false;
  bool timer = false;
  std::array<quay::event, 4> room;
  while (!port || !timer) {
    for (const quay::event& e : q.wait(room)) {
      e.visit([&](const quay::readable_event&) { port = true; },
              [&](const quay::timer_event&) { timer = true; }, [](const auto&) {});
    }
  }
  quay::scheduler s;
  bool ran = false;
  s.spawn([](quay::scheduler& on, bool& flag) -> quay::task<> {
    co_await on.turn();
    flag = true;
  }(s, ran));
  s.run();
  return ran ? 0 : 1;
}
