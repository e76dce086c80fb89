// SPDX-License-Identifier: BSD-2-Clause
//
// What: the queue's ready list, timers and waiting; interests are in queue_interests.cc.
#include "core/queue.hpp"

#include <cerrno>
#include <thread>

namespace quay::core {
namespace {

constexpr int reports_for(int room) noexcept {
  return room < 1 ? 1 : room < queue::kReports ? room : queue::kReports;
}

}  // namespace

void queue::show(catalogue::description& d) const noexcept {
  using form = catalogue::form;
  d.add("closed", closed_, form::not_in_use).add("descriptor", public_);
  ready_.show(d);
  d.add("sleepers", bell_.sleepers).add("pollable", bell_.pollable).add("watched", watched_);
  d.add("kernel_registrations", registered_).add("harvests", harvests_);
  timers_.show(d, "timers");
  wall_timers_.show(d, "wall_timers");
  descriptors_.show(d, "interests", "interests_room");
}

queue::queue(environment& env) noexcept
    : env_(env), ready_(env.notes), timers_(env.notes), wall_timers_(env.notes) {}

int queue::open_locked(int public_set, bool pollable) noexcept {
  public_ = public_set;
  closed_ = false;
  bell_rung_ = watched_ = false;
  registered_ = watching_ = 0;
  hailed_ = activations_;
  unheard_bells_ = 0;
  tells_edges_ = occupied_ = epolled_ = false;
  errands_ = 0;
  shared::store(bell_.set, public_set);
  shared::store(bell_.pollable, pollable);
  shared::store(bell_.rung, false);
  closing_.store(false, std::memory_order_relaxed);
  for (std::uint32_t d = 0; d < kDirections; ++d) {
    sets_[d] = -1;
    rebuild_due_[d] = false;
  }
  own_ = timer_ = wall_timer_ = watcher_ = processes_ = process_events_ = mounts_ = -1;
  followers_ = mount_notes_ = 0;
  timer_armed_ = wall_timer_armed_ = kNever;
  if (env_.hooked) sets_[0] = public_;
  bump(env_.count.queues);
  return 0;
}

void queue::shut_locked() noexcept {
  closed_ = true;
  ask_more_than_the_kernel_locked();
  closing_.store(true, std::memory_order_release);
  shared::store(bell_.signals, std::uint64_t{0});
  // A ring that is under way would turn the last one, which wakes all, back into one for a single
  // sleeper; or meet the number's next owner.
  while (ringing_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  const std::uint32_t sleepers = bell_.sleepers;
  const std::uint32_t away = away_;
  if (sleepers > 0) env_.os.ring(public_, true);
  disown_locked();
  shared::store(bell_.sleepers, sleepers);  // they leave one by one
  away_ = away;
  descriptors_.reset();
  files_.reset();
  env_.count.queues.fetch_sub(1, std::memory_order_relaxed);
}

void queue::renumber_locked(int fd) noexcept {
  // Rings that were decided before go to the number that is left.
  while (ringing_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  if (sets_[0] == public_.load(std::memory_order_relaxed)) sets_[0] = fd;
  public_.store(fd, std::memory_order_relaxed);
  if (own_ < 0) shared::store(bell_.set, fd);
  // One that met a number which was gone already is lost.
  if (bell_rung_ && fd >= 0) env_.os.ring(fd, false);
}

void queue::disown_locked() noexcept {
  if (own_ == sets_[0]) own_ = -1;
  for (std::uint32_t d = 0; d < kDirections; ++d) {
    if (sets_[d] >= 0 && sets_[d] != public_) env_.os.discard(sets_[d]);
    sets_[d] = -1;
  }
  for (int* fd :
       {&own_, &timer_, &wall_timer_, &watcher_, &processes_, &process_events_, &mounts_}) {
    if (*fd >= 0) env_.os.discard(*fd);
    *fd = -1;
  }
  shared::store(bell_.sleepers, 0u);
  away_ = 0;
  ringing_.store(0, std::memory_order_relaxed);  // of threads that a fork left behind
}

// --- ready list -----------------------------------------------------------------------------------

void queue::activate_locked(slot_index i) noexcept { activate_locked(i, at(i)); }

void queue::retire_locked(slot_index i) noexcept {
  note& n = at(i);
  if (n.status & state::kQueued) ready_.remove(i);
  n.status &= static_cast<std::uint16_t>(~state::kActive);
}

void queue::leave_heeded() noexcept {
  // Who sleeps knows of the timers that were there; who leaves may have been the one to know of more.
  if ((bell_.pollable || bell_.sleepers > 0) && !closed_) sync_kernel_timers_locked();
  const bool ring = ring_needed_locked() && !closed_;
  if (!ring && !watched_ && errands_ == 0) {
    lock_.unlock();
  } else {
    leave_and_tell(ring);
  }
}

void queue::leave_and_tell(bool ring) noexcept {
  const int set = public_;
  if (ring) {
    bell_rung_ = true;
    ringing_.fetch_add(1, std::memory_order_relaxed);
  }
  const bool rewire =
      (errands_ & kRewire) != 0 || (watched_ && own_ < 0 && has_kernel_part_locked());
  const bool hail = watched_ && hailed_ != activations_;
  hailed_ = activations_;
  const bool tell = (errands_ & kEdge) != 0;
  errands_ = 0;
  enter_library();  // a handler that leaves by a jump must not leave with the bell unrung
  lock_.unlock();
  if (tell) on_edge();
  if (ring) {
    bump(env_.count.doorbells);
    env_.os.ring(set, false);
    ringing_.fetch_sub(1, std::memory_order_release);
  }
  if (rewire || hail) run_errands(rewire, hail);
  leave_library();
}

// --- timers ---------------------------------------------------------------------------------------

bool queue::reserve_timer_locked(bool wall) noexcept {
  if (!(wall ? wall_timers_ : timers_).reserve()) return false;
  // Who polls the queue hears of a timer only from the kernel.
  return !bell_.pollable || demand_timer_locked(wall ? wall_timer_ : timer_, wall);
}

bool queue::demand_timer_locked(int& timer, bool wall) noexcept {
  if (timer >= 0) return true;
  const int fd = env_.os.timer_create(wall);
  if (fd < 0) return false;
  const std::uint64_t name = wall ? kWallTimer : kTimer;
  if (env_.os.set_add(base_set_locked(), fd, EPOLLIN | EPOLLET, name) != 0) {
    env_.os.discard(fd);
    return false;
  }
  timer = fd;
  return true;
}

void queue::start_timer_locked(slot_index i, std::int64_t deadline, bool wall) noexcept {
  ask_more_than_the_kernel_locked();
  timer_heap& heap = wall ? wall_timers_ : timers_;
  const bool was_earliest = heap.empty() || deadline < heap.earliest();
  heap.insert(i, deadline);
  // Who sleeps hears of it from the kernel, see leave(); where that refuses, it must look at the heap
  // again.
  if (was_earliest && bell_.sleepers > 0 && !bell_rung_ &&
      !demand_timer_locked(wall ? wall_timer_ : timer_, wall)) {
    bell_rung_ = true;
    env_.os.ring(public_, false);
  }
}

void queue::stop_timer_locked(slot_index i, bool wall) noexcept {
  if (timer_heap::running(at(i))) (wall ? wall_timers_ : timers_).erase(i);
}

void queue::expire_due_locked() noexcept {
  for (const bool wall : {false, true}) {
    timer_heap& heap = wall ? wall_timers_ : timers_;
    if (heap.empty()) continue;
    const std::int64_t now = wall ? env_.os.wall() : env_.os.monotonic();
    while (!heap.empty() && heap.earliest() <= now) {
      const slot_index i = heap.first();
      const std::int64_t deadline = heap.earliest();
      heap.erase(i);
      on_expiry_locked(i, deadline, now);
    }
  }
}

void queue::program_locked(int& timer, bool wall, std::int64_t& armed,
                           const timer_heap& heap) noexcept {
  const std::int64_t due = heap.empty() ? kNever : heap.earliest();
  if (due == armed) return;
  // Without one, sleepers take the deadline into their own wait.
  if (!demand_timer_locked(timer, wall)) return;
  if (env_.os.timer_program(timer, due) == 0) {
    armed = due;
    bump(env_.count.timer_programmings);
  }
}

void queue::sync_timers_locked() noexcept {
  // A deadline that has passed is served here: arming it would cost a timer interrupt.
  if (!timers_.empty() && timers_.earliest() != timer_armed_) {
    if (timers_.earliest() <= env_.os.monotonic()) expire_locked();
  }
  program_locked(timer_, false, timer_armed_, timers_);
  program_locked(wall_timer_, true, wall_timer_armed_, wall_timers_);
}

std::int64_t queue::next_deadline_locked() noexcept {
  std::int64_t next = kNever;
  if (!timers_.empty() && timers_.earliest() < timer_armed_) next = timers_.earliest();
  if (!wall_timers_.empty()) {
    // A step of the wall clock must end the sleep too, and only a kernel timer sees one.
    program_locked(wall_timer_, true, wall_timer_armed_, wall_timers_);
    if (wall_timers_.earliest() < wall_timer_armed_) {
      const std::int64_t due = env_.os.monotonic() + (wall_timers_.earliest() - env_.os.wall());
      if (due < next) next = due;
    }
  }
  return next;
}

// --- signals --------------------------------------------------------------------------------------

int queue::listen_locked(std::uint64_t signals) noexcept {
  signal_counter* counter = env_.os.signals();
  if (counter == nullptr) return ENOTSUP;
  ask_more_than_the_kernel_locked();
  const int fd = counter->descriptor();
  const int base = own_ >= 0 ? own_ : public_.load(std::memory_order_relaxed);
  if (bell_.signals == 0 && signals != 0) {
    // For blocked signals, which no handler sees. An edge tells: the descriptor is never read.
    if (fd >= 0) env_.os.set_add(base, fd, EPOLLIN | EPOLLET, kSignalWatch);
    counter->enlist(bell_);
    heard_ = ~counter->tally();  // whatever was posted since is news
  } else if (bell_.signals != 0 && signals == 0 && fd >= 0) {
    env_.os.set_remove(base, fd);
  }
  shared::store(bell_.signals, signals);
  return 0;
}

bool queue::unheard_locked() const noexcept { return env_.os.signals()->tally() != heard_; }

void queue::take_new_signals_locked() noexcept {
  signal_counter& counter = *env_.os.signals();
  if (!env_.hooked) counter.recheck(bell_.signals);
  if (counter.worth_a_look(bell_.signals)) counter.look(bell_.signals);
  hear_signals_locked();
}

void queue::hear_signals_locked() noexcept {
  const std::uint64_t now = env_.os.signals()->tally();
  if (now == heard_) return;
  heard_ = now;
  on_signals_locked();
}

// --- collecting and waiting -----------------------------------------------------------------------

bool queue::take_seen_locked(const glance& g, int room, event_list* to) noexcept {
  ++harvests_;
  const std::uint32_t before = activations_ - ready_.count();
  take_late_reports_locked(g.reports, g.count, room, g.epoch, to);
  // Some reports fill no room; see drain_locked().
  return g.count == g.most && activations_ - before < static_cast<std::uint32_t>(room);
}

int queue::harvest_locked(int room, event_list* to) noexcept {
  begin_epoch_locked();
  overlooked_ = 0;
  return drain_locked(room, to);
}

int queue::drain_locked(int room, event_list* to) noexcept {
  epoll_event reports[kReports];
  // A full buffer may hide more, and some reports fill no room: the queue's own, and those that
  // nobody wants. But level reports come round again: all registrations once is enough.
  const std::uint32_t all = registered_ + watching_ + kOwnReports;
  const int most = reports_for(room + (bell_rung_ || shared::load(bell_.rung) ? 1 : 0));
  for (std::uint32_t taken = 0; taken < all; taken += static_cast<std::uint32_t>(most)) {
    const std::uint32_t before = activations_;
    const int n = env_.os.set_wait(public_, reports, most, 0);
    ++harvests_;
    if (n == 0) return 0;
    if (n < 0) return n == -EINTR ? 0 : -n;
    take_reports_locked(reports, n, room, to);
    room -= static_cast<int>(activations_ - before);
    if (n < most || room <= 0) return 0;
  }
  return 0;
}

void queue::hush_locked() noexcept {
  take_signals_locked();  // they may be what it was rung for
  if (!ready_.empty() || !(bell_rung_ || shared::load(bell_.rung))) return;
  while (ringing_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  harvest_locked(kReports);
}

std::int64_t queue::time_left_locked(std::int64_t deadline) noexcept {
  const std::int64_t next = next_deadline_locked();
  const std::int64_t until = next < deadline ? next : deadline;
  if (until == kNever) return kForever;
  const std::int64_t left = until - env_.os.monotonic();
  return left > 0 ? left : 0;
}

std::int64_t queue::longest_watch() const noexcept {
  return env_.tune.spin_us.load(std::memory_order_relaxed) * std::int64_t{1000};
}

bool queue::watch_locked(std::int64_t deadline, int room) noexcept {
  // Only what other threads post in user space can be seen by watching; look at the kernel first.
  if (kernel_may_know_locked() && (harvest_locked(room) != 0 || !ready_.empty())) return true;
  const std::int64_t left = time_left_locked(deadline);
  if (left == 0) return false;
  bool seen = false;
  {
    const interlude watching(*this);
    seen = spin_.watch(env_.os, longest_watch(), left, [this] {
      return spinners_view().count() != 0 || closing_.load(std::memory_order_acquire);
    });
    if (seen) gather(room);
  }
  if (seen) bump(env_.count.spin_hits);
  return seen;
}

// A thread in its sleep, counted already. The mutex is free meanwhile; it is taken again however the sleep ends.
// When the thread is cancelled, nobody says how many reports it had got: those that differ from
// what no report looks like.
class queue::asleep {
 public:
  asleep(queue& q, epoll_event* reports, int most) noexcept QUAY_NO_ANALYSIS : queue_(q),
                                                                               reports_(reports),
                                                                               most_(most) {
    for (int k = 0; k < most; ++k) reports[k].events = 0;
    q.lock_.unlock();
  }
  void wakes() noexcept QUAY_NO_ANALYSIS {
    queue_.lock_.lock();
    shared::add(queue_.bell_.sleepers, ~0u);
    awake_ = true;
  }
  ~asleep() QUAY_NO_ANALYSIS {
    if (awake_) return;
    wakes();
    int n = 0;
    while (n < most_ && reports_[n].events != 0) ++n;
    if (!queue_.closed_) queue_.take_reports_locked(reports_, n, most_, nullptr);
  }
  asleep(const asleep&) = delete;
  asleep& operator=(const asleep&) = delete;

 private:
  queue& queue_;
  epoll_event* const reports_;
  const int most_;
  bool awake_ = false;
};

int queue::sleep_locked(std::int64_t deadline, int room, event_list* to) {
  const bool watches = posters_ > 0;
  if (watches && watch_locked(deadline, room)) return closed_ ? EBADF : 0;
  if (closed_) return EBADF;
  if (!ready_.empty()) return 0;

  const std::int64_t left = time_left_locked(deadline);
  unheard_bells_ = 0;
  shared::add(bell_.sleepers, 1u);
  if (bell_.signals != 0 && unheard_locked()) {  // posted since; the handler saw no sleeper
    shared::add(bell_.sleepers, ~0u);
    return 0;
  }
  bump(env_.count.sleeps);
  const int set = public_;
  const std::uint32_t began = epoch();
  const std::uint32_t quiet = detail::this_thread_mark.quiet;
  epoll_event reports[kReports];
  const int most = reports_for(room);
  const std::int64_t from = watches ? env_.os.monotonic() : 0;
  asleep sleep(*this, reports, most);
  const int n = env_.os.set_wait(set, reports, most, left);
  sleep.wakes();
  if (closed_) return EBADF;
  if (watches && bell_rung_) spin_.regret(env_.os.monotonic() - from, longest_watch());
  ++harvests_;
  // What the program ignores does not interrupt it, although we had to look at it.
  if (n == -EINTR && quiet != detail::this_thread_mark.quiet) return 0;
  // The queue has lost the number meanwhile, and has another.
  if ((n == -EBADF || n == -EINVAL) && set != public_) return 0;
  if (n < 0) return -n;
  take_late_reports_locked(reports, n, room, began, to);
  unheard_bells_ = 0;
  return n == kReports && room > n ? drain_locked(room - n, to) : 0;
}

}  // namespace quay::core
