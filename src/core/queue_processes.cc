// SPDX-License-Identifier: BSD-2-Clause
//
// What: the queue's half that watches processes: the end of one through a descriptor of its own,
//       forks and execs of all through one source of process events; both in a set of their own,
//       made when first needed.
// Invariants: a process's records are taken in before its end is: what it did comes before that.
// Ownership: a note owns its process's descriptor; the queue owns the source of events while
//            followers_ notes need it.
// Locking: everything here runs under the queue's mutex.
#include <cerrno>

#include "core/queue.hpp"

namespace quay::core {

int queue::demand_processes_locked() noexcept {
  if (processes_ >= 0) return 0;
  const int set = env_.os.set_create(true);
  if (set < 0) return -set;
  const int error = env_.os.set_add(base_set_locked(), set, EPOLLIN, kProcesses);
  if (error != 0) {
    env_.os.discard(set);
    return error;
  }
  processes_ = set;
  return 0;
}

int queue::watch_end_locked(slot_index i, int process) noexcept {
  if (const int error = demand_processes_locked(); error != 0) return error;
  const token name{i, at(i).generation, kOfNote};
  return env_.os.set_add(processes_, process, EPOLLIN | EPOLLET, name.pack());
}

void queue::unwatch_end_locked(int process) noexcept {
  // In a child of fork there is no set any more: it was the parent's.
  if (processes_ >= 0) env_.os.set_remove(processes_, process);
  env_.os.discard(process);
}

void queue::take_processes_locked() noexcept {
  epoll_event reports[64];
  int n = 64;
  while (n == 64) {
    n = env_.os.set_wait(processes_, reports, 64, 0);
    take_process_events_locked();  // may end notes that are reported, too
    for (int k = 0; k < n; ++k) {
      const token name = token::unpack(reports[k].data.u64);
      if (env_.notes.find(name.index, name.generation) != nullptr)
        on_process_end_locked(name.index);
    }
  }
}

int queue::follow_processes_locked() noexcept {
  if (process_events_ < 0) {
    if (const int error = demand_processes_locked(); error != 0) return error;
    const int fd = env_.os.process_events_open();
    if (fd < 0) return -fd;
    const int error = env_.os.set_add(processes_, fd, EPOLLIN, kProcessEvents);
    if (error != 0) {
      env_.os.process_events_close(fd);
      return error;
    }
    process_events_ = fd;
  }
  ++followers_;
  return 0;
}

void queue::unfollow_processes_locked() noexcept {
  if (--followers_ > 0 || process_events_ < 0) return;
  env_.os.process_events_close(process_events_);
  process_events_ = -1;
}

void queue::take_process_events_locked() noexcept {
  process_event events[64];
  while (process_events_ >= 0) {  // the last follower may go while its events are handed out
    const int n = env_.os.process_events_read(process_events_, events, 64);
    for (int k = 0; k < n; ++k) on_process_event_locked(events[k]);
    if (n == 0) return;
  }
}

}  // namespace quay::core
