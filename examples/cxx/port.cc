// SPDX-License-Identifier: BSD-2-Clause
//
// What: an event port the C++ way: a descriptor, a file by its name, a timer, another process's word, an alert.
// Shows: port, readiness, watched_file, path_change, port_timer, port_event::visit.
#include <sys/wait.h>
#include <unistd.h>
#include <quay/port.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

using namespace std::chrono_literals;

namespace {

void tell(quay::port& p) {
  std::array<quay::port_event, 4> room;
  for (const quay::port_event& e : p.wait(room)) {
    e.visit(
        [](const quay::port_fd_event& f) {
          std::printf("descriptor: %s\n", f.ready(quay::readiness::in) ? "in" : "?");
        },
        [](const quay::port_file_event& f) {
          std::printf("file: %s\n", f.has(quay::path_change::modified) ? "modified" : "removed");
        },
        [](const quay::port_timer_event& t) { std::printf("timer: %s\n", t.user<const char>()); },
        [](const quay::port_user_event& u) { std::printf("sent: %d\n", u.events()); },
        [](const quay::port_alert_event& a) { std::printf("alert: %d\n", a.events()); },
        [](const auto&) {});
  }
}

}  // namespace

int main() {
  quay::port p;

  std::array<int, 2> ends;
  if (::pipe(ends.data()) != 0 || ::write(ends[1], "x", 1) != 1) return 1;
  p.associate(ends[0], quay::readiness::in);
  tell(p);

  std::string name = "/tmp/quay-port-XXXXXX";
  const quay::descriptor file(::mkstemp(name.data()));
  const quay::watched_file watched(name);
  p.associate(watched, quay::path_change::modified);
  if (::write(file.get(), "x", 1) != 1) return 1;
  tell(p);
  p.associate(watched, quay::path_change::modified);  // an association is for one event
  ::unlink(name.c_str());
  tell(p);

  char tea[] = "tea";
  quay::port_timer timer(p, tea);
  timer.expire_after(5ms);
  tell(p);

  const pid_t other = ::fork();  // the child has the same port
  if (other == 0) {
    p.send(7);
    ::_exit(0);
  }
  tell(p);
  ::waitpid(other, nullptr, 0);

  p.send(8);
  p.alert(1);
  tell(p);
  p.clear_alert();
  tell(p);
  return 0;
}
