// SPDX-License-Identifier: BSD-2-Clause
//
// What: the queue: interests, ready list, timers, and the protocol by which threads wait on it.
//       Personalities derive from it and say what a report, an expiry or a wake-up means.
// Contract: docs/design.md, "The walk of one event" and "Waiting".
// Invariants:
//   1. A note is ready in user space, or the kernel will report it, or nobody wants it: nothing
//      that somebody wants is known to neither side.
//   2. If the ready list is not empty when the mutex is released, and a thread sleeps in the
//      kernel or the queue is pollable, the bell has been rung and not yet been harvested.
//   3. In a hooked process set 0 is the queue's public descriptor. In an unhooked one it is an
//      inner set, so that it can be rebuilt when a zombie registration (closed number, living
//      duplicate) cannot be removed; sets 1 and 2 are inner always and made when first needed.
//   4. Of a queue that others watch, everything but the bell and the queues it watches itself is in
//      a set of its own (own_), which the public set and the watchers' sets hold: however long a
//      chain of queues, sets in sets stay three deep.
// Ownership: owns its sets, kernel timers and file watcher; interests and notes until emptied.
// Locking: lock() (rank queue) guards everything that is not atomic. It is held across system
//          calls that cannot block only (epoll_ctl, epoll_wait with zero timeout, FIONREAD …) and
//          never across a sleep.
// Wakeups: every locked section ends in section::~section, which programs the kernel timer of a
//          queue that is pollable or slept in, rings the bell as invariant 2 asks, and then,
//          unlocked, runs errands: telling the queues that watch this one.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>

#include "core/arena.hpp"
#include "core/file_watches.hpp"
#include "core/growable.hpp"
#include "core/host.hpp"
#include "core/interest_mask.hpp"
#include "core/mutex.hpp"
#include "core/note.hpp"
#include "core/ready_list.hpp"
#include "core/signals.hpp"
#include "core/spin.hpp"
#include "core/timer_heap.hpp"
#include "core/tunables.hpp"

namespace quay::core {

// Where a call of a personality wants its events; only that knows what they are like.
struct event_list {
  int filled = 0;   // events that are there
  int earlier = 0;  // those of before the reports that are being taken in
};

// What all queues of a process share.
struct environment {
  host& os;
  arena<note>& notes;
  arena<interest>& interests;
  tunables& tune;
  counters& count;
  bool hooked;  // every close of a descriptor is announced to us
};

class queue {
 public:
  // Registrations that are the library's own: bell, timers, watcher, processes, mounts, inner
  // sets, own set.
  static constexpr std::uint32_t kOwnReports = 10;
  static constexpr std::uint32_t kOverlooked = 16;
  static constexpr int kReports = 256;  // most reports taken in one harvest
  static constexpr std::int64_t kNever = INT64_MAX;

  explicit queue(environment& env) noexcept;
  queue(const queue&) = delete;
  queue& operator=(const queue&) = delete;
  virtual ~queue() = default;

  mutex& lock() const noexcept QUAY_RETURN_CAPABILITY(lock_) { return lock_; }
  int descriptor() const noexcept { return public_.load(std::memory_order_relaxed); }
  bool closed_locked() const noexcept QUAY_REQUIRES(lock_) { return closed_; }
  bool pollable() const noexcept QUAY_NO_ANALYSIS { return shared::load(bell_.pollable); }
  environment& env() noexcept { return env_; }

  // A locked stretch of work on the queue; see Wakeups.
  class QUAY_SCOPED_CAPABILITY section {
   public:
    [[gnu::always_inline]] explicit section(queue& q) noexcept QUAY_ACQUIRE(q.lock_) : queue_(q) {
      q.lock_.lock();
    }
    [[gnu::always_inline]] ~section() QUAY_RELEASE() { queue_.leave(); }
    section(const section&) = delete;
    section& operator=(const section&) = delete;

   private:
    queue& queue_;
  };

  // A stretch in which a thread lets the mutex go and comes back to its work. The queue may be closed
  // meanwhile, but the object serves no other.
  class interlude {
   public:
    explicit interlude(queue& q) noexcept QUAY_NO_ANALYSIS : queue_(q) {
      ++q.away_;
      q.lock_.unlock();
    }
    ~interlude() QUAY_NO_ANALYSIS {
      queue_.lock_.lock();
      if (queue_.away_ > 0) --queue_.away_;  // 0 in a child of fork
    }
    interlude(const interlude&) = delete;
    interlude& operator=(const interlude&) = delete;

   private:
    queue& queue_;
  };

  // --- ready list ---------------------------------------------------------------------------
  void activate_locked(slot_index i) noexcept QUAY_REQUIRES(lock_);
  // The same, inlined.
  [[gnu::always_inline]] void activate_locked(slot_index i, note& n) noexcept QUAY_REQUIRES(lock_) {
    n.status |= state::kActive;
    if ((n.status & (state::kQueued | state::kDisabled)) != 0) return;
    ++activations_;
    ready_.append(i, n);
    if (tells_edges_ && !occupied_) {
      occupied_ = true;
      errands_ |= kEdge;
    }
  }
  void retire_locked(slot_index i) noexcept QUAY_REQUIRES(lock_);  // off the list, inactive

  // --- interests ----------------------------------------------------------------------------
  slot_index interest_of_locked(int fd) const noexcept QUAY_REQUIRES(lock_);
  // Finds or makes the interest of `fd`; kNil when memory is refused.
  slot_index demand_interest_locked(int fd) noexcept QUAY_REQUIRES(lock_);
  // Brings the kernel up to what the notes of one direction want. `evaluate`: an edge must be
  // raised again if the condition holds now. Returns an errno; EPERM: cannot be polled.
  int arm_locked(slot_index i, direction d, bool evaluate) noexcept QUAY_REQUIRES(lock_);
  // Drops the registration of one direction. Returns the errno of the removal.
  int unregister_locked(slot_index i, direction d) noexcept QUAY_REQUIRES(lock_);
  // Takes away what an interest without notes has registered; reports under way are not its any more.
  // In a hooked process it stays so until its descriptor is closed: notes usually come again.
  void rest_interest_locked(slot_index i) noexcept QUAY_REQUIRES(lock_);
  // The same, and frees it.
  void drop_interest_locked(slot_index i) noexcept QUAY_REQUIRES(lock_);
  // Unhooked mode: whether the interest's number still names the object that was registered.
  // Returns 0, EBADF (closed) or ENOENT (closed and reused).
  int identify_locked(slot_index i) noexcept QUAY_REQUIRES(lock_);

  // --- files --------------------------------------------------------------------------------
  // Has the file behind the interest reported, or the directory it is in; see file_change.
  int watch_file_locked(slot_index i, std::uint32_t what, bool parent) noexcept
      QUAY_REQUIRES(lock_);
  bool watches_file_locked(slot_index i, std::uint32_t what) noexcept QUAY_REQUIRES(lock_);
  // Hands out what the watcher has to report.
  void rewatch_files_locked() noexcept QUAY_REQUIRES(lock_);  // in a child of fork
  void take_file_events_locked() noexcept QUAY_REQUIRES(lock_);

  // --- processes ----------------------------------------------------------------------------
  // Reports the end of the process behind a descriptor to the note; unwatch closes it.
  int watch_end_locked(slot_index i, int process) noexcept QUAY_REQUIRES(lock_);
  void unwatch_end_locked(int process) noexcept QUAY_REQUIRES(lock_);
  // One more, one fewer note needs what all processes do.
  int follow_processes_locked() noexcept QUAY_REQUIRES(lock_);
  void unfollow_processes_locked() noexcept QUAY_REQUIRES(lock_);
  void take_process_events_locked() noexcept QUAY_REQUIRES(lock_);

  // --- mounts -------------------------------------------------------------------------------
  // One more, one fewer note needs to know what is mounted and unmounted.
  int follow_mounts_locked() noexcept QUAY_REQUIRES(lock_);
  void unfollow_mounts_locked() noexcept QUAY_REQUIRES(lock_);
  void take_mounts_locked() noexcept QUAY_REQUIRES(lock_);

  // --- timers -------------------------------------------------------------------------------
  bool reserve_timer_locked(bool wall) noexcept QUAY_REQUIRES(lock_);
  // The note is in no timer heap, and reserve_timer_locked() has made room.
  void start_timer_locked(slot_index i, std::int64_t deadline, bool wall) noexcept
      QUAY_REQUIRES(lock_);
  void stop_timer_locked(slot_index i, bool wall) noexcept QUAY_REQUIRES(lock_);
  // Hands every due note to on_expiry.
  void expire_locked() noexcept QUAY_REQUIRES(lock_) {
    if (!timers_.empty() || !wall_timers_.empty()) expire_due_locked();
  }

  // --- collecting and waiting ---------------------------------------------------------------
  // What a look at the kernel without the mutex brought. Where everything that can happen is the
  // kernel's to report, a look that finds nothing is the whole answer to a poll.
  struct glance {
    static constexpr int kRoom = 64;
    int count = -1;           // reports, -1: nobody looked
    int most = 0;             // that were asked for
    std::uint32_t epoch = 0;  // of the queue, before the look
    epoll_event reports[kRoom];
  };
  bool worth_a_glance() const noexcept {
    return kernel_knows_all_.load(std::memory_order_acquire) && ready_count() == 0;
  }
  // False: take the mutex, and take_glance_locked() before anything else.
  bool nothing_at(glance& g, int room) noexcept {
    g.most = room < glance::kRoom ? room : glance::kRoom;
    g.epoch = epoch();
    g.count = env_.os.set_wait(public_.load(std::memory_order_relaxed), g.reports, g.most, 0);
    return g.count == 0;
  }
  // `to`, here and below: where on_report_locked() may put events at once; null: nowhere.
  // Takes in what was seen, if anybody looked; true: there may be more to see.
  bool take_glance_locked(const glance* g, int room, event_list* to) noexcept QUAY_REQUIRES(lock_) {
    return g == nullptr || g->count < 0 || take_seen_locked(*g, room, to);
  }
  // Takes what the kernel has to report, up to about `room` notes, without blocking.
  // Returns 0 or an errno (the public descriptor is gone).
  int harvest_locked(int room, event_list* to = nullptr) noexcept QUAY_REQUIRES(lock_);
  // Sleeps until something may be ready or `deadline` (monotonic, kNever) has passed; releases the
  // mutex meanwhile and takes in what the kernel reported. Returns 0 or an errno (EINTR, EBADF).
  // A cancelled thread is unwound from here: what was reported to it is taken in all the same.
  int sleep_locked(std::int64_t deadline, int room, event_list* to = nullptr) QUAY_REQUIRES(lock_);
  // Where other threads post one event after the other: before the mutex is taken, waits for more.
  void gather_stream(int room) noexcept {
    if (gathering_.pays()) gather(room);
  }

  // Notes that other threads make ready without the kernel (user events) come and go.
  void add_poster_locked() noexcept QUAY_REQUIRES(lock_) {
    ++posters_;
    ask_more_than_the_kernel_locked();
  }
  void remove_poster_locked() noexcept QUAY_REQUIRES(lock_) { --posters_; }

  // --- signals ------------------------------------------------------------------------------
  // The queue's notes are about these signals from now on. Returns 0 or an errno.
  int listen_locked(std::uint64_t signals) noexcept QUAY_REQUIRES(lock_);
  std::uint64_t signals_locked() const noexcept QUAY_REQUIRES(lock_) { return bell_.signals; }
  // Hands what was posted since the last time to on_signals_locked().
  void take_signals_locked() noexcept QUAY_REQUIRES(lock_) {
    if (bell_.signals != 0) take_new_signals_locked();
  }
  // The same, of what handlers have counted; asks the kernel nothing.
  void take_counted_signals_locked() noexcept QUAY_REQUIRES(lock_) {
    if (bell_.signals != 0) hear_signals_locked();
  }

  bool kernel_may_know_locked() const noexcept QUAY_REQUIRES(lock_) {
    return has_kernel_part_locked() || bell_rung_ || shared::load(bell_.rung) || watching_ != 0;
  }
  // Whether a scan may do without asking the kernel, which then holds nothing but our own rings and
  // signals that are blocked. A bell may stay rung while its events are taken when rings were taken
  // back again and again without anybody having slept; it is taken back by the first call that finds
  // no event, and by hush_locked() for who polls; without the hooks nobody tells us of a poller, so
  // none stays, nor in a queue that is in a set of the program's. Blocked signals can wait a few turns behind events that fill the caller's list.
  bool leave_kernel_locked(int room) noexcept QUAY_REQUIRES(lock_) {
    if (ready_.empty() || has_registrations_locked() || watching_ != 0) return false;
    const bool rung = bell_rung_ || shared::load(bell_.rung);
    if (rung && (!env_.hooked || epolled_ || unheard_bells_ < kUnheardBells)) return false;
    if (bell_.signals == 0) return true;
    if (!env_.hooked || static_cast<int>(ready_.count()) < room) return false;
    return ++overlooked_ <= kOverlooked;
  }
  // The queue is in a set of the program's: a bell that stands would be an edge that does not come.
  void leave_no_bell_locked() noexcept QUAY_REQUIRES(lock_) {
    epolled_ = true;
    hush_locked();
  }
  // Before a poller asks the kernel: takes back a ring whose events are gone, and waits for one that
  // is under way.
  void hush_locked() noexcept QUAY_REQUIRES(lock_);
  // What it was rung for may have been deleted. In a hooked process who polls asks for that.
  void settle_bell_locked() noexcept QUAY_REQUIRES(lock_) {
    if (bell_rung_ && !env_.hooked && ready_.empty()) hush_locked();
  }
  // Whether what is ready is in the list, after hush_locked(), and nowhere else.
  bool list_tells_all_locked() const noexcept QUAY_REQUIRES(lock_) {
    return bell_.pollable && !has_kernel_part_locked() && watching_ == 0;
  }
  // Queued notes, for threads that do not hold the mutex.
  std::uint32_t ready_count() const noexcept { return spinners_view().count(); }
  // What the catalogue tells of a queue, and of the interests.
  void show(catalogue::description& d) const noexcept QUAY_NO_ANALYSIS;
  std::uint64_t harvests_locked() const noexcept QUAY_REQUIRES(lock_) { return harvests_; }
  // Raised by every look at the kernel; a hint without the mutex.
  std::uint32_t epoch() const noexcept { return epoch_.load(std::memory_order_relaxed); }

  // --- queues that watch queues -------------------------------------------------------------
  // Whether other queues watch this one. Its timers must then reach the kernel.
  void set_watched_locked(bool watched) noexcept QUAY_REQUIRES(lock_) {
    if (!watched_) hailed_ = activations_;
    watched_ = watched;
    shared::store(bell_.pollable, bell_.pollable || watched);
  }
  bool watched_locked() const noexcept QUAY_REQUIRES(lock_) { return watched_; }
  // A private queue becomes one that can be polled, for good; leave() makes good what is pending.
  void expose_locked() noexcept QUAY_REQUIRES(lock_) { shared::store(bell_.pollable, true); }
  // The set of a watched queue by which others hear of it: made when there is something in it; -1
  // until then.
  int demand_own_set_locked() noexcept QUAY_REQUIRES(lock_) {
    if (own_ < 0 && watched_ && has_kernel_part_locked()) split_locked();
    return own_;
  }
  // Lets this queue hear of what the kernel reports to queue `number`, whose own set is `set`.
  int hear_locked(int set, std::uint32_t number) noexcept QUAY_REQUIRES(lock_);
  void ignore_locked(int set) noexcept QUAY_REQUIRES(lock_);
  // The queues that this one watches have changed: an errand is due.
  void rewire_later_locked() noexcept QUAY_REQUIRES(lock_) { errands_ |= kRewire; }
  // What the kernel has to report to a watched queue; leaves the bell to those who wait here.
  void harvest_own_locked() noexcept QUAY_REQUIRES(lock_) {
    if (own_ >= 0) take_own_report_locked(kOwnSet, INT32_MAX);
  }

  // --- ends ---------------------------------------------------------------------------------
  // Marks the queue closed, wakes all waiters (they see closed_locked()) and drops the sets.
  void shut_locked() noexcept QUAY_REQUIRES(lock_);
  // The public descriptor is being closed, or was, but a duplicate of it lives on as `fd`; or (-1) the queue is about to
  // be shut, for what has the number now is none of its.
  void renumber_locked(int fd) noexcept QUAY_REQUIRES(lock_);
  // In a child of fork: lets go of everything inherited without editing the parent's sets.
  void disown_locked() noexcept QUAY_REQUIRES(lock_);
  // In a child of fork whose number of the queue has become a set of its own: registers anew, there.
  void reregister_locked() noexcept QUAY_REQUIRES(lock_);
  bool has_sleepers() const noexcept { return shared::load(bell_.sleepers) != 0; }
  // Whether nobody sleeps in the queue or comes back to it any more: its storage may serve another.
  bool deserted_locked() const noexcept QUAY_REQUIRES(lock_) {
    return bell_.sleepers == 0 && away_ == 0;
  }

 protected:
  ready_list& ready_locked() noexcept QUAY_REQUIRES(lock_) { return ready_; }
  // Calls on_edge(), without the mutex, whenever something becomes ready in an empty queue. What a
  // scan leaves counts as still there until the next scan.
  void tell_edges_locked(bool yes) noexcept QUAY_REQUIRES(lock_) { tells_edges_ = yes; }
  void occupied_locked(bool yes) noexcept QUAY_REQUIRES(lock_) { occupied_ = yes; }
  bool edge_awaited_locked() const noexcept QUAY_REQUIRES(lock_) {
    return tells_edges_ && !occupied_;
  }
  int open_locked(int public_set, bool pollable) noexcept QUAY_REQUIRES(lock_);
  note& at(slot_index i) noexcept { return env_.notes.at(i); }
  interest& interest_at(slot_index i) noexcept { return env_.interests.at(i); }

  void gather(int room) noexcept {
    const ready_list& ready = spinners_view();
    bool waits = false;
    gathering_.wait(static_cast<std::uint32_t>(room), [&, from = ready.taken()]() mutable {
      if (std::exchange(waits, true)) from = ready.fetch_news(from);
      return ready.count();
    });
  }
  // Nothing was found: whether the next poll may ask the kernel alone.
  void found_nothing_locked() noexcept QUAY_REQUIRES(lock_) {
    // Nobody rings for what is posted to a private queue.
    const bool posts = posters_ > 0 && !bell_.pollable;
    const bool own_news = !timers_.empty() || !wall_timers_.empty() || bell_.signals != 0 || posts;
    kernel_knows_all_.store(!own_news && watching_ == 0 && !closed_, std::memory_order_release);
  }

  // What the notes of one direction want from the kernel.
  virtual mask wanted_locked(const interest& it, direction d) noexcept QUAY_REQUIRES(lock_) = 0;
  // The kernel reported `events`; tells whether an enabled note wanted them. It becomes active; or, where `to` is given, its
  // event is put there at once, which count_told_locked() is told, and the note is as after its delivery.
  virtual bool on_report_locked(slot_index i, direction d, std::uint32_t events,
                                event_list* to) noexcept QUAY_REQUIRES(lock_) = 0;
  void count_told_locked() noexcept QUAY_REQUIRES(lock_) { ++activations_; }
  virtual void on_expiry_locked(slot_index i, std::int64_t deadline, std::int64_t now) noexcept
      QUAY_REQUIRES(lock_) = 0;
  virtual void on_edge() noexcept {}
  // Watched signals were posted; see signal_counter::posted.
  virtual void on_signals_locked() noexcept QUAY_REQUIRES(lock_) {}
  // The watcher reports of the file behind the interest, or of the directory it is in.
  virtual void on_file_event_locked(slot_index i, std::uint32_t what, bool parent) noexcept
      QUAY_REQUIRES(lock_) = 0;
  // The process that the note watches has ended, or so it seems.
  virtual void on_process_end_locked(slot_index i) noexcept QUAY_REQUIRES(lock_) = 0;
  virtual void on_process_event_locked(const process_event& e) noexcept QUAY_REQUIRES(lock_) = 0;
  virtual void on_mounts_locked(bool came, bool went) noexcept QUAY_REQUIRES(lock_) = 0;
  // The number was closed (and perhaps reused) behind our back: its notes must go.
  virtual void on_vanished_locked(slot_index i) noexcept QUAY_REQUIRES(lock_) = 0;

  // The kernel has reported something to the watched queue `number`.
  virtual void on_watched_queue_locked(std::uint32_t number) noexcept QUAY_REQUIRES(lock_) = 0;
  // After unlocking. `rewire`: what this queue watches has changed; `hail`: notes were queued that
  // its watchers must hear of.
  virtual void run_errands(bool rewire, bool hail) noexcept = 0;

  // Calls f(interest index) for every interest.
  template <class F>
  void each_interest_locked(F f) noexcept QUAY_REQUIRES(lock_) {
    for (std::size_t fd = 0; fd < descriptors_.capacity(); ++fd) {
      if (descriptors_[fd] != kNil) f(descriptors_[fd]);
    }
  }

 private:
  // Whether nobody would want to hear of anything: no sleeper, no poller (a watched queue is pollable,
  // see set_watched_locked()), no errand.
  bool unheeded_locked() const noexcept QUAY_REQUIRES(lock_) {
    return bell_.sleepers == 0 && !bell_.pollable && errands_ == 0;
  }
  [[gnu::always_inline]] void leave() noexcept QUAY_RELEASE(lock_) {
    unheeded_locked() ? lock_.unlock() : leave_heeded();
  }
  void leave_heeded() noexcept QUAY_RELEASE(lock_);
  // Apart, for most sections have nothing to tell even so.
  [[gnu::noinline]] void leave_and_tell(bool ring) noexcept QUAY_RELEASE(lock_);
  void expire_due_locked() noexcept QUAY_REQUIRES(lock_);
  bool take_seen_locked(const glance& g, int room, event_list* to) noexcept QUAY_REQUIRES(lock_);
  void take_new_signals_locked() noexcept QUAY_REQUIRES(lock_);
  void hear_signals_locked() noexcept QUAY_REQUIRES(lock_);
  bool unheard_locked() const noexcept QUAY_REQUIRES(lock_);
  int drain_locked(int room, event_list* to = nullptr) noexcept QUAY_REQUIRES(lock_);
  class asleep;
  static bool at_rest(const interest& it) noexcept;
  int make_set_locked(std::uint8_t s) noexcept QUAY_REQUIRES(lock_);
  void rebuild_set_locked(std::uint8_t s) noexcept QUAY_REQUIRES(lock_);
  bool has_registrations_locked() const noexcept QUAY_REQUIRES(lock_) {
    // A descriptor that is not there is -1: all bits.
    const int absent = timer_ & wall_timer_ & watcher_ & processes_ & mounts_;
    return registered_ != 0 || absent != -1;
  }
  bool has_kernel_part_locked() const noexcept QUAY_REQUIRES(lock_) {
    return has_registrations_locked() || bell_.signals != 0;
  }
  void ask_more_than_the_kernel_locked() noexcept QUAY_REQUIRES(lock_) {
    kernel_knows_all_.store(false, std::memory_order_relaxed);
  }
  void split_locked() noexcept QUAY_REQUIRES(lock_);
  // Where what the kernel reports is registered.
  int base_set_locked() const noexcept QUAY_REQUIRES(lock_) {
    return own_ >= 0 ? own_ : public_.load();
  }
  void begin_epoch_locked() noexcept QUAY_REQUIRES(lock_) {
    epoch_.store(epoch() + 1, std::memory_order_relaxed);
  }
  // Takes in what a look without the mutex brought, which began in that epoch.
  void take_late_reports_locked(const epoll_event* reports, int n, int room, std::uint32_t began,
                                event_list* to) noexcept QUAY_REQUIRES(lock_);
  void fetch_ahead_locked(const epoll_event* reports, int n) noexcept QUAY_REQUIRES(lock_);
  // Takes in reports, from inner sets about `room` at most.
  void take_reports_locked(const epoll_event* reports, int n, int room, event_list* to) noexcept
      QUAY_REQUIRES(lock_);
  inline void take_report_locked(const epoll_event& report, std::uint8_t set, int room,
                                 event_list* to) noexcept QUAY_REQUIRES(lock_);
  [[gnu::cold]] bool believe_locked(const token& name, std::uint8_t set) noexcept
      QUAY_REQUIRES(lock_);
  [[gnu::noinline]] void narrow_locked(const token& name) noexcept QUAY_REQUIRES(lock_);
  void take_inner_locked(int set, std::uint8_t s, int room) noexcept QUAY_REQUIRES(lock_);
  void take_own_report_locked(std::uint64_t name, int room) noexcept QUAY_REQUIRES(lock_);
  void sync_kernel_timers_locked() noexcept QUAY_REQUIRES(lock_) {
    const bool idle = timers_.empty() && wall_timers_.empty();
    if (!idle || timer_armed_ != kNever || wall_timer_armed_ != kNever) sync_timers_locked();
  }
  [[gnu::noinline]] void sync_timers_locked() noexcept QUAY_REQUIRES(lock_);
  // Makes the kernel timer when there is none; false: the kernel refuses.
  bool demand_timer_locked(int& timer, bool wall) noexcept QUAY_REQUIRES(lock_);
  void program_locked(int& timer, bool wall, std::int64_t& armed, const timer_heap& heap) noexcept
      QUAY_REQUIRES(lock_);
  int demand_processes_locked() noexcept QUAY_REQUIRES(lock_);
  void take_processes_locked() noexcept QUAY_REQUIRES(lock_);
  bool list_mounts_locked(growable<std::uint64_t>& out, std::size_t& count) noexcept
      QUAY_REQUIRES(lock_);
  int demand_watcher_locked() noexcept QUAY_REQUIRES(lock_);
  void unlink_file_locked(interest& it, file_watches::number l) noexcept QUAY_REQUIRES(lock_);
  std::int64_t next_deadline_locked() noexcept QUAY_REQUIRES(lock_);
  std::int64_t time_left_locked(std::int64_t deadline) noexcept QUAY_REQUIRES(lock_);
  std::int64_t longest_watch() const noexcept;  // ns
  // Watches for a post of another thread before sleeping; releases the mutex meanwhile. True when
  // sleeping is not called for.
  bool watch_locked(std::int64_t deadline, int room) noexcept QUAY_REQUIRES(lock_);
  // The list as a thread without the mutex may see it: its count and hints, which are atomic.
  const ready_list& spinners_view() const noexcept QUAY_NO_ANALYSIS { return ready_; }
  bool ring_needed_locked() const noexcept QUAY_REQUIRES(lock_) {
    return !ready_.empty() && !bell_rung_ && (bell_.sleepers > 0 || bell_.pollable);
  }

  environment& env_;
  mutable mutex lock_{rank::queue};
  std::atomic<int> public_{-1};  // changes only when a queue loses its first number
  bool closed_ QUAY_GUARDED_BY(lock_) = true;
  bool tells_edges_ QUAY_GUARDED_BY(lock_) = false;
  bool occupied_ QUAY_GUARDED_BY(lock_) = false;  // as of the last scan, or activated since
  bool epolled_ QUAY_GUARDED_BY(lock_) = false;   // see leave_no_bell_locked()
  enum errand : std::uint8_t { kEdge = 1, kRewire = 2 };
  std::uint8_t errands_ QUAY_GUARDED_BY(lock_) = 0;  // on_edge() is to be called; run_errands()
  bool bell_rung_ QUAY_GUARDED_BY(lock_) = false;  // by leave(), since the bell was last harvested
  bell bell_;  // written under the mutex, but for `rung`; read by signal handlers
  std::uint32_t away_ QUAY_GUARDED_BY(lock_) = 0;  // threads in an interlude
  bool rebuild_due_[kDirections] QUAY_GUARDED_BY(lock_) = {};
  bool watched_ QUAY_GUARDED_BY(lock_) = false;
  std::uint32_t hailed_ QUAY_GUARDED_BY(lock_) = 0;    // activations_ that watchers were told of
  std::uint32_t watching_ QUAY_GUARDED_BY(lock_) = 0;  // queues that hear_locked() was called for
  std::uint32_t unheard_bells_ QUAY_GUARDED_BY(lock_) = 0;  // taken back in a row
  std::uint32_t overlooked_ QUAY_GUARDED_BY(lock_) = 0;     // scans without the kernel in a row
  std::uint64_t heard_ QUAY_GUARDED_BY(lock_) = 0;    // the signals' tally when last looked at
  std::uint32_t posters_ QUAY_GUARDED_BY(lock_) = 0;  // notes that are fed from user space
  std::atomic<std::uint32_t> epoch_{0};               // written under the mutex
  std::uint32_t activations_ QUAY_GUARDED_BY(lock_) = 0;
  std::uint64_t harvests_ QUAY_GUARDED_BY(lock_) = 0;    // waits and looks at the kernel
  std::uint32_t registered_ QUAY_GUARDED_BY(lock_) = 0;  // registrations the kernel holds
  ready_list ready_ QUAY_GUARDED_BY(lock_);
  timer_heap timers_ QUAY_GUARDED_BY(lock_);
  timer_heap wall_timers_ QUAY_GUARDED_BY(lock_);
  growable<slot_index> descriptors_ QUAY_GUARDED_BY(lock_);  // descriptor -> interest
  file_watches files_ QUAY_GUARDED_BY(lock_);
  int sets_[kDirections] QUAY_GUARDED_BY(lock_) = {-1, -1, -1};
  int own_ QUAY_GUARDED_BY(lock_) = -1;  // see invariant 4
  int timer_ QUAY_GUARDED_BY(lock_) = -1;
  int wall_timer_ QUAY_GUARDED_BY(lock_) = -1;
  int watcher_ QUAY_GUARDED_BY(lock_) = -1;
  int processes_ QUAY_GUARDED_BY(lock_) = -1;  // set of processes and process_events_
  int process_events_ QUAY_GUARDED_BY(lock_) = -1;
  std::uint32_t followers_ QUAY_GUARDED_BY(lock_) = 0;  // notes that need process events
  int mounts_ QUAY_GUARDED_BY(lock_) = -1;
  std::uint32_t mount_notes_ QUAY_GUARDED_BY(lock_) = 0;
  growable<std::uint64_t> mounts_known_ QUAY_GUARDED_BY(lock_);
  std::size_t mounts_count_ QUAY_GUARDED_BY(lock_) = 0;
  std::int64_t timer_armed_ QUAY_GUARDED_BY(lock_) = kNever;
  std::int64_t wall_timer_armed_ QUAY_GUARDED_BY(lock_) = kNever;
  gathering gathering_;                    // atomic
  adaptive_spin spin_;                     // atomic
  std::atomic<std::uint32_t> ringing_{0};  // threads between deciding to ring and having rung
  std::atomic<bool> closing_{false};       // for spinners, which do not hold the mutex
  // No timers, signals, watched queues or posts to a private one; set by polls in vain, written under the mutex.
  std::atomic<bool> kernel_knows_all_{false};
};

}  // namespace quay::core
