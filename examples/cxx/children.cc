// SPDX-License-Identifier: BSD-2-Clause
//
// What: runs commands side by side and tells how each ended, the slowest with a deadline.
// Shows: child, child_event, child_of, at, tag.
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <quay/kqueue.hpp>

#include <array>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

namespace {

struct job {
  const char* command;
  pid_t pid = -1;
};

bool start(job& j) {
  const char* const words[] = {"/bin/sh", "-c", j.command, nullptr};
  return ::posix_spawn(&j.pid, words[0], nullptr, nullptr, const_cast<char**>(words), environ) == 0;
}

}  // namespace

int main() {
  quay::kqueue q;
  std::array<job, 3> jobs = {{{"exit 0"}, {"exit 3"}, {"exec sleep 60"}}};
  for (job& j : jobs) {
    if (!start(j)) return 1;
    q.add(quay::child(j.pid).tag(&j));
  }
  q.add(quay::at(std::chrono::system_clock::now() + 200ms));

  // The same end once more, by a pidfd.
  const quay::descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, jobs[2].pid, 0)));
  q.add(quay::child_of(pidfd.get()));

  std::array<quay::event, 4> room;
  for (int ends = 0; ends < 4;) {
    for (const quay::event& e : q.wait(room)) {
      e.visit(
          [&](const quay::child_event& c) {
            ++ends;
            const job* const j = c.tag<job>();
            if (j == nullptr) {
              std::printf("pidfd: killed by %d\n", c.killed_by());
              return;
            }
            ::waitpid(j->pid, nullptr, 0);
            if (c.exited()) std::printf("%s: code %d\n", j->command, c.exit_code());
            if (c.killed()) std::printf("%s: killed by %d\n", j->command, c.killed_by());
          },
          [&](const quay::timer_event&) { ::kill(jobs[2].pid, SIGTERM); }, [](const auto&) {});
    }
  }
  return 0;
}
