// SPDX-License-Identifier: BSD-2-Clause
//
// What: the first program with quay::kqueue: a descriptor, two timers and an event of its own in one loop.
// Shows: kqueue, readable, writable, after, every, user, event::visit, both forms of a call.
#include <unistd.h>
#include <quay/kqueue.hpp>

#include <array>
#include <cstdio>
#include <thread>

using namespace std::chrono_literals;

int main() {
  std::array<int, 2> ends;
  if (::pipe(ends.data()) != 0) return 1;

  quay::kqueue q;
  constexpr std::uintptr_t kAnswer = 1;
  const quay::every tick(20ms);
  q.apply({quay::readable(ends[0]), quay::user(kAnswer), quay::after(50ms).disabled(), tick});

  std::array<quay::event, 8> room;
  const std::array<quay::change, 1> once = {quay::writable(ends[1]).counted().once()};
  for (const quay::event& e : q.exchange(once, room, 5s)) {  // changes and a wait in one call
    e.visit(
        [](const quay::writable_event& w) {
          std::printf("write: room %s\n", w.room() > 0 ? "yes" : "no");
        },
        [](const auto&) {});
  }

  const std::jthread other([&] {
    q.trigger(kAnswer, 42);
    if (::write(ends[1], "some bytes", 10) != 10) std::perror("write");
    ::close(ends[1]);
  });

  for (bool open = true, ticked = false, answered = false; open || !ticked || !answered;) {
    for (const quay::event& e : q.wait(room, 5s)) {
      e.visit(
          [&](const quay::readable_event& r) {
            std::array<char, 64> text;
            const std::size_t bytes = r.bytes();
            if (bytes > 0 && ::read(r.fd(), text.data(), text.size()) > 0) {
              std::printf("read: %zu bytes\n", bytes);
            } else if (r.eof()) {
              std::printf("read: the end\n");
              q.remove(quay::readable(r.fd()));
              open = false;
            }
          },
          [&](const quay::user_event& u) {
            std::printf("user: %ld\n", static_cast<long>(u.value()));
            answered = true;
          },
          [&](const quay::timer_event& t) {
            if (!ticked) std::printf("timer: %s\n", t.id() == tick.id() ? "tick" : "another");
            ticked = true;
          },
          [](const quay::failed_change& f) {
            std::printf("failed: %s\n", f.error().message().c_str());
          },
          [](const auto&) {});
    }
  }

  std::error_code error;
  q.remove(quay::readable(ends[0]), error);
  std::printf("removed twice: %s\n", error.message().c_str());
  return 0;
}
