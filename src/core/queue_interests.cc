// SPDX-License-Identifier: BSD-2-Clause
//
// What: the queue's half that keeps the kernel's interest set a cache of the notes: registering,
//       re-arming, lazy disarming, identity in unhooked processes, and taking in reports.
// Invariants: see queue.hpp 1 and 3; epoll_ctl is called only when the kernel could miss what is
//             wanted, or has reported what nobody wants.
// Locking: everything here runs under the queue's mutex.
#include <cerrno>
#include <utility>

#include "core/processor.hpp"
#include "core/queue.hpp"

namespace quay::core {

slot_index queue::interest_of_locked(int fd) const noexcept {
  if (fd < 0 || static_cast<std::size_t>(fd) >= descriptors_.capacity()) return kNil;
  return descriptors_[static_cast<std::size_t>(fd)];
}

slot_index queue::demand_interest_locked(int fd) noexcept {
  if (!descriptors_.reserve(static_cast<std::size_t>(fd) + 1)) return kNil;
  slot_index& place = descriptors_[static_cast<std::size_t>(fd)];
  if (place == kNil) {
    const slot_index i = env_.interests.allocate();
    if (i == kNil) return kNil;
    interest_at(i).begin(fd);
    place = i;
  } else if (at_rest(interest_at(place))) {
    interest_at(place).begin(fd);
  }
  return place;
}

bool queue::at_rest(const interest& it) noexcept {
  return it.first == kNil && (it.dir[kIn].armed | it.dir[kOut].armed | it.dir[kOther].armed) == 0;
}

void queue::rest_interest_locked(slot_index i) noexcept {
  interest& it = interest_at(i);
  for (std::uint32_t d = 0; d < kDirections; ++d) {
    if (it.dir[d].armed != 0) unregister_locked(i, static_cast<direction>(d));
  }
  while (it.files != 0) unlink_file_locked(it, it.files);
  env_.interests.rename(i);
}

void queue::drop_interest_locked(slot_index i) noexcept {
  rest_interest_locked(i);
  const interest& it = interest_at(i);
  descriptors_[static_cast<std::size_t>(it.descriptor)] = kNil;
  env_.interests.release(i);
}

int queue::make_set_locked(std::uint8_t s) noexcept {
  const int fd = env_.os.set_create(true);
  if (fd < 0) return -fd;
  const std::uint64_t name = kInnerSet + (static_cast<std::uint64_t>(s) << 40);
  const int error = env_.os.set_add(base_set_locked(), fd, EPOLLIN, name);
  if (error != 0) {
    env_.os.discard(fd);
    return error;
  }
  sets_[s] = fd;
  return 0;
}

// A closed number whose object lives on in a duplicate leaves a registration that no call can
// name any more. Only throwing the whole set away gets rid of it.
void queue::rebuild_set_locked(std::uint8_t s) noexcept {
  bump(env_.count.rebuilds);
  env_.os.discard(sets_[s]);
  sets_[s] = -1;
  if (make_set_locked(s) != 0) return;
  each_interest_locked([&](slot_index i) QUAY_NO_ANALYSIS {
    interest& it = interest_at(i);
    for (std::uint32_t d = 0; d < kDirections; ++d) {
      interest::registration& r = it.dir[d];
      if (r.armed == 0 || r.set != s) continue;
      const token name{i, it.generation, d};
      if (env_.os.set_add(sets_[s], it.descriptor, r.armed, name.pack()) != 0) {
        r.armed = 0;
        --registered_;
      }
    }
  });
}

void queue::reregister_locked() noexcept {
  disown_locked();
  bell_rung_ = tells_edges_ = watched_ = false;
  errands_ &= kRewire;
  registered_ = watching_ = 0;
  timer_armed_ = wall_timer_armed_ = kNever;
  if (env_.hooked) sets_[0] = public_;
  rewatch_files_locked();
  each_interest_locked([&](slot_index i) QUAY_NO_ANALYSIS {
    interest& it = interest_at(i);
    for (std::uint32_t d = 0; d < kDirections; ++d) {
      interest::registration& r = it.dir[d];
      const std::uint32_t bits = std::exchange(r.armed, 0);
      if (bits == 0 || (sets_[r.set] < 0 && make_set_locked(r.set) != 0)) continue;
      const token name{i, it.generation, d};
      if (env_.os.set_add(sets_[r.set], it.descriptor, bits, name.pack()) != 0) continue;
      r.armed = bits;
      ++registered_;
    }
    if (!env_.os.is_open(it.descriptor)) on_vanished_locked(i);
  });
}

int queue::arm_locked(slot_index i, direction d, bool evaluate) noexcept {
  interest& it = interest_at(i);
  if (!it.pollable) return EPERM;
  interest::registration& r = it.dir[d];
  mask wanted = wanted_locked(it, d);
  if (r.edge) wanted.edge = true;
  const std::uint32_t bits = epoll_bits(wanted);
  const token name{i, it.generation, d};

  if (r.armed != 0) {
    const bool stale = compare(r.armed, wanted) == rearm::modify;
    // An edge already consumed is raised again by touching the registration; a level needs no
    // touch: the kernel looks at it at every wait.
    const bool raise = evaluate && wanted.edge && wanted.events != 0;
    if (!stale && !raise) return 0;
    bump(env_.count.epoll_ctls);
    const int error = env_.os.set_modify(sets_[r.set], it.descriptor, bits, name.pack());
    if (error == 0) r.armed = bits;
    if (error != ENOENT) return error;
    r.armed = 0;  // closed and reused without our knowledge: register the new object
    --registered_;
  }

  // The first direction of a descriptor takes set 0; others take the next free one.
  std::uint8_t s = 0;
  for (bool taken = true; taken; s = static_cast<std::uint8_t>(taken ? s + 1 : s)) {
    taken = false;
    for (std::uint32_t o = 0; o < kDirections; ++o) {
      if (o != d && it.dir[o].armed != 0 && it.dir[o].set == s) taken = true;
    }
  }
  if (sets_[s] < 0) {
    // The set would take the number, if it is the lowest that is free.
    if (!env_.os.is_open(it.descriptor)) return EBADF;
    const int error = make_set_locked(s);
    if (error != 0) return error;
  }
  bump(env_.count.epoll_ctls);
  int error = env_.os.set_add(sets_[s], it.descriptor, bits, name.pack());
  if (error == EEXIST) error = env_.os.set_modify(sets_[s], it.descriptor, bits, name.pack());
  if (error == EPERM) it.pollable = false;
  if (error != 0) return error;
  r.armed = bits;
  r.set = s;
  ++registered_;
  return 0;
}

int queue::unregister_locked(slot_index i, direction d) noexcept {
  interest& it = interest_at(i);
  interest::registration& r = it.dir[d];
  if (r.armed == 0) return 0;
  r.armed = 0;
  r.edge = false;
  --registered_;
  if (sets_[r.set] < 0) return 0;  // disowned: the set is another process's
  bump(env_.count.epoll_ctls);
  return env_.os.set_remove(sets_[r.set], it.descriptor);
}

int queue::identify_locked(slot_index i) noexcept {
  interest& it = interest_at(i);
  bump(env_.count.identity_checks);
  for (std::uint32_t d = 0; d < kDirections; ++d) {
    const interest::registration& r = it.dir[d];
    if (r.armed == 0) continue;
    // Adding what is there already fails and changes nothing; success means another object.
    const token name{i, it.generation, d};
    const int error = env_.os.set_add(sets_[r.set], it.descriptor, r.armed, name.pack());
    if (error == EEXIST) return 0;
    if (error == 0) env_.os.set_remove(sets_[r.set], it.descriptor);
    return error == EBADF ? EBADF : ENOENT;
  }
  if (it.kind == object::kqueue) return env_.os.is_set(it.descriptor) ? 0 : EBADF;
  object_facts facts{};
  if (env_.os.examine(it.descriptor, facts) != 0) return EBADF;
  return facts.identity == it.identity ? 0 : ENOENT;
}

inline void queue::take_report_locked(const epoll_event& report, std::uint8_t set, int room,
                                      event_list* to) noexcept {
  const token name = token::unpack(report.data.u64);
  if (name.index == kNil) {
    take_own_report_locked(report.data.u64, room);
    return;
  }
  const interest* it = env_.interests.find(name.index, name.generation);
  if (it == nullptr || !env_.hooked) [[unlikely]] {
    if (!believe_locked(name, set)) return;
  }
  const auto d = static_cast<direction>(name.direction);
  if (!on_report_locked(name.index, d, report.events, to)) narrow_locked(name);
}

// Whether what is reported is the interest's that was registered by that name.
bool queue::believe_locked(const token& name, std::uint8_t set) noexcept {
  if (env_.interests.find(name.index, name.generation) == nullptr) {
    // Registered for a number that was closed since: a zombie, or a report already under way.
    if (!env_.hooked) rebuild_due_[set] = true;
    return false;
  }
  if (identify_locked(name.index) == 0) return true;
  rebuild_due_[set] = true;
  bump(env_.count.stale_dropped);
  on_vanished_locked(name.index);
  return false;
}

// Nobody wants what the kernel reports: it is to report no more, unless that was an edge.
void queue::narrow_locked(const token& name) noexcept {
  interest* it = env_.interests.find(name.index, name.generation);
  if (it == nullptr) return;
  interest::registration& r = it->dir[name.direction];
  if (r.armed == 0 || (r.armed & static_cast<std::uint32_t>(EPOLLET)) != 0) return;
  bump(env_.count.lazy_disarms);
  if (it->first == kNil) {
    drop_interest_locked(name.index);
    return;
  }
  if (env_.os.set_modify(sets_[r.set], it->descriptor, disarmed_bits(), name.pack()) == 0) {
    r.armed = disarmed_bits();
  }
}

void queue::take_inner_locked(int set, std::uint8_t s, int room) noexcept {
  constexpr int kAtOnce = 64;
  epoll_event reports[kAtOnce];
  const int most = room < 1 ? 1 : room < kAtOnce ? room : kAtOnce;
  const std::uint32_t all = registered_ + kOwnReports;
  for (std::uint32_t taken = 0; taken <= all; taken += static_cast<std::uint32_t>(most)) {
    const std::uint32_t before = activations_;
    const int n = env_.os.set_wait(set, reports, most, 0);
    for (int k = 0; k < n; ++k) take_report_locked(reports[k], s, room, nullptr);
    room -= static_cast<int>(activations_ - before);
    if (n < most || room <= 0) return;
  }
}

void queue::take_own_report_locked(std::uint64_t name, int room) noexcept {
  constexpr std::uint64_t kWhat = std::uint64_t{0xff} << 32;
  const auto number = static_cast<std::uint32_t>(name >> 40);
  switch (name & kWhat) {
    case kBell:
      bell_rung_ = false;
      unheard_bells_ = ready_.empty() ? 0 : unheard_bells_ + 1;
      shared::store(bell_.rung, false);
      break;
    case kTimer:
      timer_armed_ = kNever;
      break;
    case kWallTimer:
      wall_timer_armed_ = kNever;
      break;
    case kWatcher:
      take_file_events_locked();
      break;
    case kSignalWatch:
      env_.os.signals()->look(bell_.signals);
      break;
    case kProcesses:
      take_processes_locked();
      break;
    case kMounts:
      take_mounts_locked();
      break;
    case kOwnSet:
      take_inner_locked(own_, 0, room);
      break;
    case kWatchedQueue:
      on_watched_queue_locked(number);
      break;
    case kInnerSet:
      if (number >= kDirections || sets_[number] < 0) break;
      take_inner_locked(sets_[number], static_cast<std::uint8_t>(number), room);
      if (rebuild_due_[number]) {
        rebuild_due_[number] = false;
        rebuild_set_locked(static_cast<std::uint8_t>(number));
      }
      break;
    default:
      break;
  }
}

// --- queues that watch queues ---------------------------------------------------------------------

// Moves what the kernel reports from the public set to one of its own. An edge that the kernel has
// not reported yet must not be lost, and one that it has must not come again: the new set's first
// look is thrown away while the old registrations still stand.
void queue::split_locked() noexcept {
  const int own = env_.os.set_create(true);
  if (own < 0) return;
  const int old = public_;
  const auto each_of_base = [&](auto f) QUAY_NO_ANALYSIS {
    if (sets_[0] == old) {
      each_interest_locked([&](slot_index i) QUAY_NO_ANALYSIS {
        interest& it = interest_at(i);
        for (std::uint32_t d = 0; d < kDirections; ++d) {
          const interest::registration& r = it.dir[d];
          const token name{i, it.generation, d};
          if (r.armed != 0 && r.set == 0) f(it.descriptor, r.armed, name.pack());
        }
      });
    }
    for (std::uint8_t s = 0; s < kDirections; ++s) {
      const std::uint64_t name = kInnerSet + (static_cast<std::uint64_t>(s) << 40);
      if (sets_[s] >= 0 && sets_[s] != old) f(sets_[s], EPOLLIN, name);
    }
    if (timer_ >= 0) f(timer_, EPOLLIN | EPOLLET, kTimer);
    if (wall_timer_ >= 0) f(wall_timer_, EPOLLIN | EPOLLET, kWallTimer);
    if (watcher_ >= 0) f(watcher_, EPOLLIN, kWatcher);
    if (bell_.signals != 0) {
      f(env_.os.signals()->descriptor(), EPOLLIN | static_cast<std::uint32_t>(EPOLLET),
        kSignalWatch);
    }
    if (processes_ >= 0) f(processes_, EPOLLIN, kProcesses);
    if (mounts_ >= 0) f(mounts_, EPOLLPRI | static_cast<std::uint32_t>(EPOLLET), kMounts);
  };
  each_of_base([&](int fd, std::uint32_t events, std::uint64_t name) {
    env_.os.set_add(own, fd, events, name);
  });
  if (env_.os.set_add(old, own, EPOLLIN, kOwnSet) != 0) {
    env_.os.discard(own);
    return;
  }
  epoll_event seen[kReports];
  for (std::uint32_t n = 0; n <= registered_ + kOwnReports; n += kReports) {
    if (env_.os.set_wait(own, seen, kReports, 0) < kReports) break;
  }
  drain_locked(kReports * 1024);
  each_of_base([&](int fd, std::uint32_t, std::uint64_t) { env_.os.set_remove(old, fd); });
  if (sets_[0] == old) sets_[0] = own;
  own_ = own;
  shared::store(bell_.set, own);
}

int queue::hear_locked(int set, std::uint32_t number) noexcept {
  ask_more_than_the_kernel_locked();
  const std::uint64_t name = kWatchedQueue + (std::uint64_t{number} << 40);
  const int error = env_.os.set_add(public_, set, EPOLLIN | EPOLLET, name);
  if (error == 0) ++watching_;
  return error;
}

void queue::ignore_locked(int set) noexcept {
  env_.os.set_remove(public_, set);
  --watching_;
}

// --- taking in reports ----------------------------------------------------------------------------

// The kernel's work since the last harvest has pushed interests and notes out of the caches. One
// miss after the other would cost more than everything else here: ask for all of them first.
void queue::fetch_ahead_locked(const epoll_event* reports, int n) noexcept {
  for (int k = 0; k < n; ++k) {
    __builtin_prefetch(&interest_at(token::unpack(reports[k].data.u64).index));
  }
  for (int k = 0; k < n; ++k) {
    // A stale name's slot may be another queue's by now.
    const token name = token::unpack(reports[k].data.u64);
    const interest* it = env_.interests.find(name.index, name.generation);
    if (it == nullptr) continue;
    const char* note_line = reinterpret_cast<const char*>(&at(it->first));
    fetch_for_writing(note_line);
    fetch_for_writing(note_line + sizeof(note) - 1);
  }
}

// Who has looked meanwhile may have been told of the same, and delivered it: then what is reported
// here is no more than a hint, and the filters look for themselves.
void queue::take_late_reports_locked(const epoll_event* reports, int n, int room,
                                     std::uint32_t began, event_list* to) noexcept {
  const bool overtaken = epoch() != began;
  begin_epoch_locked();
  take_reports_locked(reports, n, room, overtaken ? nullptr : to);
  if (overtaken) begin_epoch_locked();
}

void queue::take_reports_locked(const epoll_event* reports, int n, int room,
                                event_list* to) noexcept {
  if (n > 1) fetch_ahead_locked(reports, n);
  // Who watches the queue, or hears its edges, is told of what gets into the list.
  if (watched_ || tells_edges_) to = nullptr;
  if (to != nullptr) to->earlier = to->filled;
  for (int k = 0; k < n; ++k) take_report_locked(reports[k], 0, room, to);
}

}  // namespace quay::core
