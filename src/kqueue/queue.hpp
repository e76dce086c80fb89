// SPDX-License-Identifier: BSD-2-Clause
//
// What: the kqueue: registers changes and scans for events as its dialect says.
// Contract: semantics/kqueue.md sections 1-4; seeds netbsd-kern_event.c, dragonfly-kern_event.c.
// Invariants: those of core::queue; besides, identifiers are unique for each filter.
// Ownership: kqueue objects are made by the system and recycled, never freed: a thread that looked
//            one up may lock it and then see that it is no longer the one it meant.
// Locking: core::queue's mutex (rank queue). Never two queues at once.
#pragma once

#include "core/ident_table.hpp"
#include "core/queue.hpp"
#include "core/source.hpp"
#include "kqueue/dialect.hpp"
#include "kqueue/layout.hpp"
#include "kqueue/nesting.hpp"

namespace quay::kqueue {

class queue;
class system;
using filter = core::source<queue>;

class queue final : public core::queue {
 public:
  queue(core::environment& env, system& owner, std::uint32_t number) noexcept
      : core::queue(env), system_(owner), number_(number), idents_(env.notes) {}

  // Position among the process's queues; see system.hpp, invariant 2.
  std::uint32_t number() const noexcept { return number_; }
  // Raised each time the object begins to serve another queue.
  std::uint32_t life() const noexcept { return life_.load(std::memory_order_acquire); }
  // Under the mutex: is this still the queue that `fd` meant when it was looked up?
  [[gnu::always_inline]] bool matches_locked(int fd) const noexcept QUAY_REQUIRES(lock()) {
    return !closed_locked() && (fd == descriptor() || is_another_number(fd));
  }

  // --- life, called by the system -------------------------------------------------------------
  // Behind close_locked() in that life, without the mutex: waits a while for those who sleep to leave. One that was about
  // to sleep would do so in whatever has the number next.
  void see_sleepers_off(std::uint32_t of) noexcept {
    core::await_briefly(os(), [this, of] { return !has_sleepers() || life() != of; });
  }
  void open_locked(int public_set, const dialect& d, bool pollable, bool copied_on_fork) noexcept
      QUAY_REQUIRES(lock());
  // Drops every note and wakes every waiter. The public descriptor is the caller's.
  void close_locked() noexcept QUAY_REQUIRES(lock());
  // In a child of fork: the notes go, the kernel's registrations are the parent's and stay.
  void abandon_after_fork() noexcept QUAY_NO_ANALYSIS;
  // Or, made with KQUEUE_CPONFORK, the notes stay and are registered with the child's own sets.
  bool copied_on_fork() const noexcept QUAY_NO_ANALYSIS { return copied_on_fork_; }
  void copy_after_fork() noexcept QUAY_REQUIRES(lock());
  // The number is about to be closed (hooked processes): its notes go at once.
  void forget_locked(int fd) noexcept QUAY_REQUIRES(lock());
  // The number was closed; notes on it stay only if the kernel knows them for the new object.
  void verify_locked(int fd) noexcept QUAY_REQUIRES(lock());

  // --- kevent ---------------------------------------------------------------------------------
  // Applies one change; returns an errno. The change's fflags and data come back as a posted
  // entry shows them.
  int apply_locked(core::event& change) noexcept QUAY_REQUIRES(lock());
  // A note that no change can make: on a request of the aio engine (EVFILT_AIO, EVFILT_LIO). Returns
  // an errno; `made` names the note.
  int expect_locked(core::event& order, core::token& made) noexcept QUAY_REQUIRES(lock());
  // The request has finished, or its note is not wanted any more.
  void finish_locked(const core::token& which, std::int16_t filter, std::uintptr_t ident,
                     int error) noexcept QUAY_REQUIRES(lock());
  void unexpect_locked(const core::token& which, std::uintptr_t ident) noexcept
      QUAY_REQUIRES(lock());
  // Collects what is ready now into `out`, what `g` saw (null: nothing) and what came since. Returns 0 or
  // an errno.
  int collect_locked(sink& out, const glance* g) noexcept QUAY_REQUIRES(lock());
  // Waits until `deadline` (monotonic ns, kNever) for the first event; see collect_locked.
  // A cancellation point.
  int wait_locked(sink& out, std::int64_t deadline) QUAY_REQUIRES(lock());
  // Notes that are queued, after taking in what the kernel knows (fstat, nested queues).
  std::uint32_t pending_locked() noexcept QUAY_REQUIRES(lock());

  // The object behind the number, of another system of ours, may have become ready.
  void on_changed_locked(int fd, bool writing) noexcept QUAY_REQUIRES(lock());

  // --- queues that watch queues; see nesting.hpp ----------------------------------------------
  nesting& nest() noexcept { return nesting_; }
  const nesting& nest() const noexcept { return nesting_; }
  // Collects the numbers of the queues that READ notes of this one are on.
  void watched_queues_locked(queue_set& out) noexcept QUAY_REQUIRES(lock());
  // `inner` has queued a note: so do the notes on it here.
  void on_hail_locked(queue& inner) noexcept QUAY_REQUIRES(lock());
  // --- SIGIO ----------------------------------------------------------------------------------
  // On: the owner gets SIGIO when the queue ceases to be empty. Events of descriptors are seen by
  // expect_edge_locked(), which must be called when the public set has become ready.
  void set_async_locked(bool on) noexcept QUAY_REQUIRES(lock()) { tell_edges_locked(on); }
  void set_owner(long pid) noexcept { sigio_owner_.store(pid, std::memory_order_relaxed); }
  void expect_edge_locked() noexcept QUAY_REQUIRES(lock());

  // --- for the filters ------------------------------------------------------------------------
  const dialect& rules() const noexcept { return *dialect_.load(std::memory_order_relaxed); }
  system& owner() noexcept { return system_; }
  core::host& os() noexcept { return env().os; }
  core::note& at(core::slot_index i) noexcept { return core::queue::at(i); }
  core::interest& interest_of_note_locked(const core::note& n) noexcept QUAY_REQUIRES(lock()) {
    return interest_at(n.descriptor.interest);
  }
  // Whether the note's last report belongs to the harvest that is being worked on.
  bool fresh_locked(const core::note& n) const noexcept QUAY_REQUIRES(lock()) {
    return n.descriptor.epoch == epoch();
  }
  // Whether only edges tell a note anything: EV_CLEAR, or a low-water mark, which the kernel's level
  // does not know.
  static bool wants_edges(const core::note& n) noexcept;
  // How many notes there are; a hint unless the mutex is held.
  std::uint32_t note_count() const noexcept { return notes_.load(std::memory_order_relaxed); }
  std::uint64_t calls() const noexcept { return calls_.load(std::memory_order_relaxed); }
  void show(core::catalogue& c) const noexcept QUAY_NO_ANALYSIS;
  std::uint64_t delivered_locked() const noexcept QUAY_REQUIRES(lock()) { return delivered_; }
  // Without the mutex two threads may count as one: a figure for the curious.
  void count_call() noexcept {
    calls_.store(calls_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

 protected:
  core::mask wanted_locked(const core::interest& it, core::direction d) noexcept override
      QUAY_REQUIRES(lock());
  bool on_report_locked(core::slot_index i, core::direction d, std::uint32_t events,
                        core::event_list* to) noexcept override QUAY_REQUIRES(lock());
  void on_expiry_locked(core::slot_index i, std::int64_t deadline,
                        std::int64_t now) noexcept override QUAY_REQUIRES(lock());
  void on_signals_locked() noexcept override QUAY_REQUIRES(lock());
  void on_file_event_locked(core::slot_index i, std::uint32_t what, bool parent) noexcept override
      QUAY_REQUIRES(lock());
  void on_mounts_locked(bool came, bool went) noexcept override QUAY_REQUIRES(lock());
  void on_process_end_locked(core::slot_index i) noexcept override QUAY_REQUIRES(lock());
  void on_process_event_locked(const core::process_event& e) noexcept override
      QUAY_REQUIRES(lock());
  void on_vanished_locked(core::slot_index i) noexcept override QUAY_REQUIRES(lock());
  void on_watched_queue_locked(std::uint32_t number) noexcept override QUAY_REQUIRES(lock()) {
    news_.insert(number);
  }
  void run_errands(bool rewire, bool hail) noexcept override;

 private:
  [[gnu::cold]] bool is_another_number(int fd) const noexcept;
  void count_notes_locked(int by) noexcept QUAY_REQUIRES(lock()) {
    notes_.store(note_count() + static_cast<std::uint32_t>(by), std::memory_order_relaxed);
  }
  // Looks into the watched queues that the kernel reported; releases the mutex meanwhile.
  int visit_locked() noexcept QUAY_NO_ANALYSIS;
  void on_edge() noexcept override;
  int find_on_descriptor_locked(const core::event& change, core::slot_index& found) noexcept
      QUAY_REQUIRES(lock());
  // The queue's note on a request, if it still is the one of that name and life.
  core::slot_index expected_locked(const core::token& which, std::int16_t filter,
                                   std::uintptr_t ident) noexcept QUAY_REQUIRES(lock());
  // Any change, of those that have a way of their own too.
  [[gnu::noinline]] int apply_any_locked(core::event& change) noexcept QUAY_REQUIRES(lock());
  int create_locked(core::event& change, filter& f) noexcept QUAY_REQUIRES(lock());
  // The templates: for any filter, and for those that are known by their type. `flags`: the change's, which
  // one caller knows to be 0.
  template <class Filter>
  int modify_locked(core::slot_index i, core::event& change, std::uint16_t flags,
                    Filter& f) noexcept QUAY_REQUIRES(lock());
  // Registers a child of the note's process as its parent is; returns an errno.
  int follow_child_locked(core::slot_index parent, std::int64_t pid) noexcept QUAY_REQUIRES(lock());
  void set_enabled_locked(core::slot_index i, std::uint16_t flags, bool evaluated,
                          filter& f) noexcept QUAY_REQUIRES(lock());
  void drop_locked(core::slot_index i, bool keep_registration) noexcept QUAY_REQUIRES(lock());
  void unlink_locked(core::slot_index i, const filter& f, bool keep_registration) noexcept
      QUAY_REQUIRES(lock());
  [[gnu::always_inline]] void scan_locked(sink& out) noexcept QUAY_REQUIRES(lock());
  // The note is off the ready list. Whether it is there again, or will be: a level.
  template <class Filter>
  [[gnu::always_inline]] bool serve_locked(core::slot_index i, core::note& n, Filter& f,
                                           sink& out) noexcept QUAY_REQUIRES(lock());
  // Whether the event stays pending: a level.
  template <class Filter>
  [[gnu::always_inline]] bool deliver_locked(core::slot_index i, core::note& n, Filter& f,
                                             sink& out) noexcept QUAY_REQUIRES(lock());
  bool kernel_repeats_locked(const core::note& n) noexcept QUAY_REQUIRES(lock());
  void denied_locked(core::slot_index i) noexcept QUAY_REQUIRES(lock());
  bool tell_at_once_locked(const core::interest& it, core::direction d, std::uint32_t events,
                           sink& out) noexcept QUAY_REQUIRES(lock());
  core::event event_of_locked(const core::note& n, bool wide) noexcept QUAY_REQUIRES(lock());
  bool consume_locked(core::note& n) noexcept QUAY_REQUIRES(lock());
  void keep_ext_locked(core::note& n, const core::event& change) noexcept QUAY_REQUIRES(lock());

  system& system_;
  const std::uint32_t number_;
  std::atomic<std::uint32_t> life_{0};
  // Constant for the queue's life; atomic because a thread that comes too late may look.
  std::atomic<const dialect*> dialect_{nullptr};
  nesting nesting_;
  queue_set news_ QUAY_GUARDED_BY(lock());  // watched queues with reports not yet looked at
  bool copied_on_fork_ QUAY_GUARDED_BY(lock()) = false;
  std::atomic<long> sigio_owner_{0};  // process, negative: group, 0: nobody
  core::ident_table idents_ QUAY_GUARDED_BY(lock());
  // Of the last note dropped: who drops one often makes another, and the arena is everybody's.
  core::slot_index spare_ QUAY_GUARDED_BY(lock()) = core::kNil;
  std::atomic<std::uint32_t> notes_{0};  // written under the mutex
  std::atomic<std::uint64_t> calls_{0};
  std::uint64_t delivered_ QUAY_GUARDED_BY(lock()) = 0;
};

}  // namespace quay::kqueue
