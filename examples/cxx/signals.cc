// SPDX-License-Identifier: BSD-2-Clause
//
// What: signals in two ways: counted by a queue, which takes nothing from anybody; and read from a descriptor.
// Shows: signal, signal_event, signal_fd, signal_set, blocked_signals, taken_signal.
#include <unistd.h>
#include <quay/kqueue.hpp>
#include <quay/signal_fd.hpp>

#include <array>
#include <csignal>
#include <cstdio>

int main() {
  quay::kqueue q;
  std::array<quay::event, 4> room;

  std::signal(SIGHUP, [](int) {});  // handled, and counted
  q.add(quay::signal(SIGHUP));
  std::raise(SIGHUP);
  std::raise(SIGHUP);
  for (const quay::event& e : q.wait(room)) {
    e.visit(
        [](const quay::signal_event& s) {
          std::printf("SIGHUP: %s, %ld times\n", s.signal_number() == SIGHUP ? "yes" : "no",
                      static_cast<long>(s.count()));
        },
        [](const auto&) {});
  }

  const quay::signal_set orders = {SIGUSR1, SIGTERM};
  const quay::blocked_signals guard(orders);  // they stay pending until they are read
  quay::signal_fd incoming(orders, true);
  q.add(quay::readable(incoming));
  std::raise(SIGUSR1);
  std::raise(SIGTERM);
  for (const quay::event& e : q.wait(room)) {
    e.visit(
        [&](const quay::readable_event&) {
          std::array<quay::taken_signal, 4> taken;
          for (const quay::taken_signal& s : incoming.read(taken)) {
            std::printf("read: %s from %s\n", s.number() == SIGTERM ? "SIGTERM" : "SIGUSR1",
                        s.sender() == ::getpid() ? "myself" : "another");
          }
        },
        [](const auto&) {});
  }
  return 0;
}
