// SPDX-License-Identifier: BSD-2-Clause
//
// What: the queue's half that watches files: one watcher for all of them, made when first needed.
// Invariants: what a watch asks for only grows while anybody holds it; a report that nobody wants
//             costs a look at the notes.
// Locking: everything here runs under the queue's mutex.
#include <cerrno>

#include "core/queue.hpp"

namespace quay::core {

int queue::demand_watcher_locked() noexcept {
  if (watcher_ >= 0) return 0;
  const int fd = env_.os.watcher_create();
  if (fd < 0) return -fd;
  const int error = env_.os.set_add(base_set_locked(), fd, EPOLLIN, kWatcher);
  if (error != 0) {
    env_.os.discard(fd);
    return error;
  }
  watcher_ = fd;
  return 0;
}

bool queue::watches_file_locked(slot_index i, std::uint32_t what) noexcept {
  const file_watches::number l = files_.find(interest_at(i).files, false);
  return l != 0 && (files_.at(l).what & what) == what;
}

int queue::watch_file_locked(slot_index i, std::uint32_t what, bool parent) noexcept {
  interest& it = interest_at(i);
  const file_watches::number known = files_.find(it.files, parent);
  // Where the parent is, may have changed: it is always asked for anew.
  if (known != 0 && !parent && (files_.at(known).what & what) == what) return 0;
  if (const int error = demand_watcher_locked(); error != 0) return error;
  const int watch = env_.os.watch_add(watcher_, it.descriptor, what, parent);
  if (watch < 0) return -watch;
  if (known != 0 && files_.at(known).watch == watch) {
    files_.at(known).what |= what;
    return 0;
  }
  if (known != 0) unlink_file_locked(it, known);
  if (files_.add(it.files, i, watch, what, parent)) return 0;
  bool anybody = false;
  files_.each(watch, [&](slot_index, bool) { anybody = true; });
  if (!anybody) env_.os.watch_remove(watcher_, watch);
  return ENOMEM;
}

void queue::unlink_file_locked(interest& it, file_watches::number l) noexcept {
  const std::int32_t watch = files_.at(l).watch;
  if (files_.remove(it.files, l)) env_.os.watch_remove(watcher_, watch);
}

void queue::rewatch_files_locked() noexcept {
  growable<file_watches::link> kept;
  std::size_t count = 0;
  each_interest_locked([&](slot_index i) QUAY_NO_ANALYSIS {
    file_watches::number& first = interest_at(i).files;
    for (file_watches::number l = first; l != 0; l = files_.at(l).next_of_interest) {
      if (kept.reserve(count + 1)) kept[count++] = files_.at(l);
    }
    first = 0;
  });
  files_.reset();
  for (std::size_t k = 0; k < count; ++k) {
    watch_file_locked(kept[k].interest, kept[k].what, kept[k].parent != 0);
  }
}

void queue::take_file_events_locked() noexcept {
  if (watcher_ < 0) return;
  file_event events[kFileEvents];
  while (const int n = env_.os.watcher_read(watcher_, events, kFileEvents)) {
    for (int k = 0; k < n; ++k) {
      files_.each(events[k].watch, [&](slot_index i, bool parent) QUAY_NO_ANALYSIS {
        on_file_event_locked(i, events[k].what, parent);
      });
    }
  }
}

}  // namespace quay::core
