// SPDX-License-Identifier: BSD-2-Clause
//
// What: one process's view of a port: the shared state, the descriptor, and every operation on it.
// Contract: semantics/ports.md sections 2, 3 and 5; docs/design.md, "Event ports".
// Invariants:
//   1. me_ is the number of this process in the port's table, kNobody until its first call.
//   2. Registrations are left armed in the kernel (watch::level) only while every close is
//      announced and no second process has used the port.
// Ownership: made once, never freed and its memory never unmapped while some thread may be on its
//            way to the lock; a port that nobody else can have is recycled for the next one.
// Locking: the state's lock, which the death of its holder frees. Taken by `section`; its end wakes whoever has to wake.
// Wakeups: next_to_wake_locked() chooses one waiter, the first whose request is met; the leader hears the
//          bell of the epoll set, the others their word.
#pragma once

#include <poll.h>
#include <sys/port.h>

#include <algorithm>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "core/descriptors.hpp"
#include "core/host.hpp"
#include "core/spin.hpp"
#include "core/tunables.hpp"
#include "port/shared.hpp"

namespace quay::port {

inline constexpr int kMostSources = 8;  // by PORT_SOURCE_*
inline constexpr int kMountsOfFiles =
    0;  // no source's number: the mounts that PORT_SOURCE_FILE hears of
// Disarms of a registration in a row before it turns one-shot.
inline constexpr std::uint8_t kPatience = 2;

// How many slots ahead of the one that is written or read a stream's are asked for.
inline constexpr slot_index kAhead = 8;
// And how many before the lock is taken.
inline constexpr slot_index kAskedAtOnce = 64;

class program_source;

struct environment {
  core::host& os;
  core::descriptor_table& descriptors;
  core::tunables& tune;
  core::counters& count;
  program_source& programs;
  bool hooked;
};

// What get and getn return: an errno and how many events were stored.
struct outcome {
  int error = 0;
  unsigned stored = 0;
};

class port;

// Sends of signal handlers that wait for this thread's leave(); a handler writes, the interrupted thread reads.
extern constinit thread_local std::atomic<int> t_deferred_sends
    __attribute__((tls_model("initial-exec")));

// A source of this process that has a say when its events are delivered. Under the port's lock.
class event_source {
 public:
  // False: nothing to deliver (any more).
  virtual bool deliver(port& p, slot& s, port_event_t& out) noexcept = 0;
  // The port's epoll set has reported the descriptor that the source registered by this number.
  virtual void due(port&, int /*number*/) noexcept {}
  // This process has left the port, or is a child that never used it; the slots are gone.
  virtual void closed(core::host&) noexcept {}

 protected:
  ~event_source() = default;
};

class port {
 public:
  port(environment& env) noexcept : env_(env) {}
  port(const port&) = delete;
  port& operator=(const port&) = delete;

  // --- life (port.cc); the system's registry lock is held ---
  int open(bool close_on_exec, bool pollable, std::uint32_t most_slots) noexcept;
  int open_received(int set, int memory) noexcept;
  // True: no other process uses the port.
  bool close() noexcept;
  // Behind close() of that opening, without the registry's lock: waits a while for the threads in it to leave.
  void see_waiters_off(std::uint64_t of) noexcept;
  void renumber(int fd) noexcept { fd_.store(fd, std::memory_order_release); }
  void forked_in_child() noexcept {
    me_ = kNobody;
    asks_ = false;
    inside_.store(0, std::memory_order_relaxed);
    close_sources();
  }
  void close_sources() noexcept {
    for (event_source* s : sources_) {
      if (s != nullptr) s->closed(env_.os);
    }
  }
  // Others may have the memory from now on.
  void will_fork() noexcept {
    forked_.store(true, std::memory_order_relaxed);
    if (!is_open()) let_memory_go();
  }
  bool is_open() const noexcept { return open_.load(std::memory_order_acquire); }
  // A port of that many slots may be opened here: it has no memory, or closed one of that size.
  bool is_recyclable(std::uint32_t most_slots) const noexcept {
    return !is_open() && !forked_ && inside_.load(std::memory_order_acquire) == 0 &&
           (state_ == nullptr || most_slots_ == most_slots);
  }
  // A number that no other port of the process has or had.
  std::uint64_t opening() const noexcept { return opening_.load(std::memory_order_acquire); }
  int descriptor() const noexcept { return fd_.load(std::memory_order_relaxed); }
  int memory() const noexcept { return memory_; }
  void expose() noexcept;
  // It is in an epoll set of the program's: a bell that stands would be an edge that does not come.
  void leave_no_bell() noexcept;
  int numbers = 0;  // of this process that name the port; the registry's lock

  // --- calls; each returns an errno ---
  int send(int events, void* user) noexcept { return post(PORT_SOURCE_USER, events, 0, user, 0); }
  // A free-standing event of any source, with traits; EAGAIN at the limit.
  int post(int source, int events, std::uint64_t object, void* user, std::uint8_t traits) noexcept;
  // The same, and waits for a free slot; EINTR.
  int post_waiting(int source, int events, std::uint64_t object, void* user,
                   std::uint8_t traits) noexcept;
  int alert(int flags, int events, void* user) noexcept;
  // port_getn() and port_get(). Points of cancellation: a thread is unwound from its sleep.
  outcome get(port_event_t* list, unsigned max, unsigned want, const timespec* timeout);
  outcome get_one(port_event_t* out, const timespec* timeout);
  int associate(int fd, int events, void* user) noexcept;
  int dissociate(int fd) noexcept;
  // The number is about to be closed, or has been: what this process associated by it goes.
  void forget(int fd) noexcept;
  // Its owner has news of the number.
  void look_at(int fd) noexcept;
  void verify(int fd) noexcept;

  struct figures {
    std::uint32_t queued, used, most;
    uid_t uid;
    gid_t gid;
    std::int64_t created;
    bool pollable;
    std::uint64_t sent, delivered, cancelled, refused, denied;
    std::uint32_t waiters;
  };
  int examine(figures& out) noexcept;
  void show(core::catalogue& c) const noexcept;

  // --- slots for sources (slots.cc) ---
  // Holds the lock for a while; false when a signal handler interrupted its holder, or the port is
  // closed, or the process cannot be entered in its table.
  class section {
   public:
    [[gnu::always_inline]] explicit section(port& p) noexcept : port_(p), error_(p.enter()) {}
    [[gnu::always_inline]] ~section() {
      if (error_ == 0) port_.leave();
    }
    section(const section&) = delete;
    section& operator=(const section&) = delete;
    int error() const noexcept { return error_; }

   private:
    port& port_;
    const int error_;
  };
  // A thread that waits without the lock, and comes back: the port is not recycled meanwhile.
  class presence {
   public:
    explicit presence(port& p) noexcept : port_(p) {
      p.inside_.fetch_add(1, std::memory_order_relaxed);
    }
    ~presence() { port_.inside_.fetch_sub(1, std::memory_order_release); }
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;

   private:
    port& port_;
  };
  // Waits until `freed` is no longer what was seen; EINTR.
  int wait_for_room(std::uint32_t seen) noexcept;
  shared_state& state() noexcept { return *state_; }
  // What other processes wrote is checked where it is read: a slot by a number of theirs is one of the
  // table, if need be number 0, which nobody has.
  slot& slot_at(slot_index i) noexcept { return state_->slots()[i <= most_slots_ ? i : kNil]; }
  // Of a number that has just been checked.
  slot& known_slot(slot_index i) noexcept { return state_->slots()[i]; }
  slot_index number_of(const slot& s) noexcept {
    return static_cast<slot_index>(&s - state_->slots());
  }
  association& about(slot_index i) noexcept {
    return state_->associations(most_slots_)[i <= most_slots_ ? i : kNil];
  }
  association& about(const slot& s) noexcept { return about(number_of(s)); }
  slot_index last_slot() const noexcept {
    return std::min(std::atomic_ref(state_->high_water).load(std::memory_order_relaxed),
                    most_slots_);
  }
  std::uint32_t me() const noexcept { return me_; }
  environment& env() noexcept { return env_; }
  slot_index reserve_locked() noexcept;  // kNil at the limit; real once its state changes
  void unreserve_locked(slot_index i) noexcept;
  void enqueue_locked(slot_index i) noexcept;
  // The same, behind what the kernel has to report: that happened before.
  void enqueue_in_turn_locked(slot_index i) noexcept {
    look_first_locked();
    enqueue_locked(i);
  }
  void cancel_locked(slot_index i) noexcept;  // queued -> idle, never delivered
  void free_locked(slot_index i) noexcept;    // from any state but free
  void attach(int number, event_source& source) noexcept { sources_[number] = &source; }
  // Null also for what no source has: the number may come from memory that others write.
  event_source* source(unsigned number) const noexcept {
    return number < kMostSources ? sources_[number] : nullptr;
  }
  // Has the kernel report a slot's own descriptor: its readiness queues the slot.
  int watch_slot_locked(slot_index i, int fd) noexcept;
  // Has the kernel report edges of a source's descriptor: they call event_source::due.
  int watch_source_locked(int number, int fd, std::uint32_t events) noexcept;

 private:
  void opened() noexcept;
  bool depart_locked() noexcept;
  // The object, not the mapping, which a thread may still be in.
  void let_memory_go() noexcept {
    if (memory_ >= 0) env_.os.discard(std::exchange(memory_, -1));
  }
  // --- entering and leaving (port.cc) ---
  // What most calls find is looked at here: the lock is free, the process known and alone.
  [[gnu::always_inline]] int enter() noexcept {
    void* outer = nullptr;
    const host::biased_mutex::outcome how = state_->lock.lock(outer);
    if (how == host::biased_mutex::outcome::ours) return EDEADLK;
    outer_ = outer;
    const bool known = is_open() && me_ != kNobody && !settled_down_ && !state_->shared;
    if (how == host::biased_mutex::outcome::taken && known) [[likely]]
      return 0;
    return enter_slowly(how);
  }
  [[gnu::always_inline]] void leave() noexcept {
    shared_state& st = *state_;
    const bool rings = st.pollable && !st.bell_rung;
    if (st.first_waiter == 0 && (!rings || st.queued.load(std::memory_order_relaxed) == 0)) {
      st.lock.unlock(outer_);
      if (t_deferred_sends.load(std::memory_order_relaxed) != 0) take_deferred();
    } else {
      leave_and_wake();
    }
  }
  int enter_slowly(host::biased_mutex::outcome how) noexcept;
  void put_right_locked(host::biased_mutex::outcome how) noexcept;  // after a holder that died
  void leave_and_wake() noexcept;
  int lock_again() noexcept;
  [[gnu::cold]] void take_deferred() noexcept;
  [[gnu::cold]] bool pass_deferred(int events, void* user) noexcept;

  // --- queue (slot_list.hpp, slots.cc) ---
  // Any number: the processor alone is told where the slot lies, or would lie.
  void ask_for(slot_index i) const noexcept {
    core::fetch_for_writing(core::place_of(state_->slots(), i));
  }
  inline void ask_for_queued(unsigned max) const noexcept;
  inline slot_index take_free_locked() noexcept;
  [[gnu::cold]] slot_index add_free_locked() noexcept;
  inline void link_free_locked(slot_index first, slot_index last, slot& last_one) noexcept;
  inline void give_back_locked(slot_index first, slot_index last, slot& last_one,
                               std::uint32_t count) noexcept;
  inline void append_locked(slot_index i, slot& s) noexcept;
  inline void unlink_locked(slot& s) noexcept;
  inline void withdraw_locked(slot& s) noexcept;  // queued -> idle
  inline void release_locked(slot_index i, slot& s) noexcept;
  [[gnu::cold]] void tell_of_room_locked() noexcept;
  void put_back_locked(slot_index i) noexcept;  // idle -> queued, in its place
  void link_in_order_locked(slot_index i) noexcept;
  [[gnu::cold]] slot_index first_behind_locked(std::uint64_t order) noexcept;
  [[gnu::cold]] void repair_locked() noexcept;

  // --- processes (processes.cc) ---
  [[gnu::cold]] int introduce_locked() noexcept;
  [[gnu::cold]] void reap_locked() noexcept;
  void drop_process_locked(std::uint32_t p) noexcept;
  [[gnu::cold]] void settle_down_locked() noexcept;  // lazily armed registrations become one-shot
  bool deliverable_locked(const slot& s) noexcept;
  std::uint32_t available_locked(std::uint32_t most) noexcept;
  bool same_file(const slot& s) noexcept;

  // --- waiting (waiting.cc) ---
  std::uint16_t next_to_wake_locked() noexcept;
  bool signal_locked(std::uint16_t w) noexcept;  // true: it has to be woken from outside
  void wake_locked(std::uint16_t w) noexcept;
  void ring_leader_locked() noexcept;
  [[gnu::cold]] void return_bell_locked() noexcept;
  void alert_waiters_locked() noexcept;
  void evict_waiters_locked() noexcept;
  void gather(unsigned room) noexcept {
    gathering_.wait(room, [&st = *state_] { return st.queued.load(std::memory_order_relaxed); });
  }
  int sleep(std::uint16_t w, std::int64_t deadline, unsigned room);
  class asleep;
  // Enters a thread among the waiters for as long as it lives.
  class enrolment;
  std::uint16_t enroll_locked(std::uint32_t request) noexcept;
  void discharge_locked(std::uint16_t w) noexcept;
  void link_waiter_locked(std::uint16_t w) noexcept;

  // --- delivery (delivery.cc) ---
  class limit;
  [[gnu::noinline]] outcome get_locked(port_event_t* list, unsigned max, unsigned want,
                                       limit& until, bool single);
  inline bool take_at_once_locked(port_event_t& out) noexcept;
  inline void settle_bell_locked(unsigned stored) noexcept;
  [[gnu::always_inline]] inline unsigned take_run_locked(port_event_t* list, unsigned max) noexcept;
  unsigned take_locked(port_event_t* list, unsigned max, std::uint32_t since) noexcept;
  inline bool deliver_locked(slot_index i, slot& s, port_event_t& out,
                             std::uint32_t since) noexcept;
  [[gnu::cold]] bool deliver_if_wanted_locked(slot_index i, port_event_t& out) noexcept;
  void refresh_locked(slot& s) noexcept;
  static void store_alert(port_event_t& out, const alert_record& a) noexcept;

  // --- descriptors (descriptors.cc, harvest.cc) ---
  void harvest_locked(bool narrow) noexcept;
  // A sleeping leader takes the kernel's reports in by itself.
  void look_first_locked() noexcept {
    if (state_->watched != 0 && state_->leader == 0) harvest_locked(false);
  }
  bool bell_may_stand_locked(unsigned stored) noexcept;
  void lower_bell_locked() noexcept;
  void hush_locked() noexcept;
  void hear_sources_locked(std::uint32_t numbers) noexcept;
  // `began`: the order when the look began. What was associated since may be younger than the report;
  // under the lock nothing is.
  static constexpr std::uint64_t kJustNow = UINT64_MAX;
  void take_reports_locked(const epoll_event* reports, int n, bool narrow,
                           std::uint64_t began) noexcept;
  void take_report_locked(const epoll_event& report, bool narrow, std::uint64_t began) noexcept;
  void narrow_locked(slot& s) noexcept;
  void rearm_locked(slot& s) noexcept;
  // --- descriptors of other systems of ours (owned.cc) ---
  bool is_owned(int fd) noexcept;
  std::uint32_t owner_shows(const slot& s) noexcept;
  void ask_owner_locked(slot_index i) noexcept;
  std::uint64_t name_of(slot_index i) noexcept;
  void set_watch_locked(slot& s, watch kind) noexcept;
  void fire_locked(slot_index i, std::uint32_t bits) noexcept;
  slot_index find_locked(int fd) noexcept;
  bool shows_each_process_its_own(int fd) noexcept;
  void ask_for_own_locked() noexcept;
  bool has_own_locked(int fd) noexcept;
  void put_in_bucket_locked(slot_index i) noexcept;
  void take_from_bucket_locked(slot_index i) noexcept;
  bool still_open(const slot& s) noexcept;
  int associate_anew_locked(int fd, std::uint32_t wanted, void* user) noexcept;
  int associate_again_locked(slot_index i, std::uint32_t wanted, void* user) noexcept;
  void arm_locked(slot_index i, std::uint32_t wanted, void* user) noexcept;
  void drop_descriptor_locked(slot_index i, bool from_kernel) noexcept;
  // Calls f(slot index), with the lock, for each association that this process made on the number; f may
  // take it off.
  template <class F>
  void each_own(int fd, F f) noexcept;
  bool may_leave_armed() const noexcept { return env_.hooked && !state_->shared; }

  environment& env_;
  shared_state* state_ = nullptr;
  std::uint32_t most_slots_ = 0;  // that the memory has room for
  std::atomic<int> fd_{-1};
  int memory_ = -1;
  std::uint32_t life_ = 0;
  std::atomic<bool> open_{false};
  std::atomic<std::uint64_t> opening_{0};
  std::atomic<std::uint32_t> inside_{0};  // threads that wait, or are about to ring
  std::atomic<bool> forked_{false};  // another process may have the memory, which is not recycled
  bool settled_down_ = false;        // this process made its registrations one-shot
  void* outer_ = nullptr;            // the holder's; see shared_mutex::lock()
  std::uint32_t unheard_bells_ = 0;  // taken back in a row
  bool epolled_ = false;             // see leave_no_bell()
  bool noise_ = false;               // a report that this process cannot silence
  bool asks_ = false;                // this process may have a slot with kOwnView
  std::atomic<std::uint32_t> me_{kNobody};  // changes under the lock
  std::int64_t reaped_at_ = 0;              // when this process last looked for dead ones
  event_source* sources_[kMostSources] = {};
  core::adaptive_spin spin_;
  core::gathering gathering_;
};

template <class F>
void port::each_own(int fd, F f) noexcept {
  if (me_ == kNobody) return;
  // Most ports know nothing of most numbers.
  const auto& bucket = state_->buckets[bucket_of(fd)];
  if (bucket.load(std::memory_order_acquire) == kNil) return;
  section hold(*this);
  if (hold.error() != 0) return;
  walk_limit to(most_slots_);
  for (slot_index i = bucket.load(std::memory_order_relaxed); i != kNil;) {
    const slot& s = slot_at(i);
    const slot_index next = to(about(i).next_in_bucket);
    if (s.fd == fd && s.owner == me_) f(i);
    i = next;
  }
}

}  // namespace quay::port
