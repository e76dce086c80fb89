// SPDX-License-Identifier: BSD-2-Clause
//
// What: a port's life, the door to its lock, and the calls that put something into it.
// Contract: semantics/ports.md 2.1, 2.4, 2.6, 2.10, 2.11; see port.hpp.
#include "port/slot_list.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "host/sharing.hpp"
#include "port/sources/program.hpp"

namespace quay::port {
namespace {

// Sends of signal handlers that interrupted a holder of the lock on its own thread: its leave()
// performs them. They cannot be told of a full port.
struct deferred_sends {
  static constexpr int kMost = 16;
  struct entry {
    port* to;
    int events;
    void* user;
  };
  entry entries[kMost] = {};  // the first t_deferred_sends of them
};
constinit thread_local deferred_sends t_deferred __attribute__((tls_model("initial-exec")));

}  // namespace

constinit thread_local std::atomic<int> t_deferred_sends{0};

// --- life -----------------------------------------------------------------------------------------

int port::open(bool close_on_exec, bool pollable, std::uint32_t most_slots) noexcept {
  const int set = env_.os.set_create(close_on_exec);
  if (set < 0) return set;
  if (const int error = env_.os.bell_create(); error != 0) {
    env_.os.discard(set);
    return -error;
  }
  // The bell hangs before any fork: one that only a child had hung would go with the child, and a
  // ring that its death overtakes with it.
  env_.os.ring(set, false);
  env_.os.hush(set);
  const std::size_t bytes = shared_state::size_for(most_slots);
  const bool recycled = state_ != nullptr;
  if (!recycled) {
    const int memory = host::memory_create("event port", bytes);
    void* base = memory >= 0 ? host::memory_map(memory, bytes) : nullptr;
    if (base == nullptr) {
      if (memory >= 0) env_.os.discard(memory);
      env_.os.discard(set);
      return memory < 0 ? memory : -ENOMEM;
    }
    memory_ = memory;
    state_ = static_cast<shared_state*>(base);
  }
  // Who was late for the port before may still be on its way out of the lock, or in, to find it closed.
  if (lock_again() != 0) {
    env_.os.discard(set);
    return -EAGAIN;
  }
  shared_state& st = *state_;
  most_slots_ = most_slots;
  const std::uint32_t life = st.life + 1;
  if (recycled) {
    std::memset(st.processes, 0, sizeof st.processes);
    std::memset(static_cast<void*>(st.waiters), 0,
                std::min(st.waiters_high + 1, kMostWaiters) * sizeof(waiter));
    for (auto& bucket : st.buckets) bucket.store(kNil, std::memory_order_relaxed);
    // Slots keep their generations: late reports of the port before name none of this one's.
    const slot_index last = last_slot();
    for (slot_index i = 1; i <= last; ++i) slot_at(i).state = slot_state::free;
  } else {
    st.bytes = bytes;
  }
  st.magic = kMagic;
  st.life = life_ = life;
  st.most_slots = most_slots;
  st.creator_uid = host::own_uid();
  st.creator_gid = host::own_gid();
  st.created = env_.os.wall();
  st.pollable = pollable;
  st.shared = false;
  st.bell_rung = st.alert_on = st.had_descriptors = false;
  st.waiters_high = 0;
  st.leader = 0;
  st.watched = st.looks = 0;
  st.looked_at = 0;
  st.sent = st.delivered = st.cancelled = st.refused = st.denied = 0;
  repair_locked();
  me_ = kNobody;
  settled_down_ = noise_ = asks_ = epolled_ = false;
  fd_.store(set, std::memory_order_relaxed);
  opened();
  st.lock.unlock(outer_);
  return set;
}

int port::open_received(int set, int memory) noexcept {
  const std::size_t bytes = host::memory_size(memory);
  if (bytes < sizeof(shared_state)) return EBADMSG;
  if (const int error = env_.os.bell_create(); error != 0) return error;
  void* base = host::memory_map(memory, bytes);
  if (base == nullptr) return ENOMEM;
  auto* st = static_cast<shared_state*>(base);
  const std::uint32_t most_slots = std::atomic_ref(st->most_slots).load(std::memory_order_relaxed);
  if (st->magic != kMagic || st->bytes != bytes || most_slots > kMostSlots ||
      shared_state::size_for(most_slots) != bytes) {
    host::memory_unmap(base, bytes);
    return EBADMSG;
  }
  state_ = st;
  most_slots_ = most_slots;
  memory_ = memory;
  life_ = st->life;
  forked_ = true;
  me_ = kNobody;
  settled_down_ = noise_ = asks_ = epolled_ = false;
  fd_.store(set, std::memory_order_relaxed);
  opened();
  return 0;
}

void port::opened() noexcept {
  static std::atomic<std::uint64_t> last{0};
  opening_.store(last.fetch_add(1, std::memory_order_relaxed) + 1, std::memory_order_release);
  open_.store(true, std::memory_order_release);
}

// Of the last number that this process has of the port.
bool port::close() noexcept {
  if (!is_open()) return false;
  bool last = true;
  // Inherited and never used: the lock may be in the hands of a process that waits for this one. Who uses the port for
  // the first time meanwhile looks again whether it is open (enter_slowly).
  if (me_ == kNobody) open_.store(false, std::memory_order_seq_cst);
  if (me_ != kNobody) {
    const bool held = lock_again() == 0;
    open_.store(false, std::memory_order_release);
    if (held) {
      if (me_ != kNobody) last = depart_locked();
      leave();
    }
  }
  if (forked_) let_memory_go();
  return last;
}

// True: no other process uses the port.
bool port::depart_locked() noexcept {
  if (state_->shared) reap_locked();
  evict_waiters_locked();
  state_->freed.fetch_add(1, std::memory_order_release);  // who waits for room waits in vain
  host::wake_all_sleepers(state_->freed);
  env_.programs.leaving_locked(*this);
  drop_process_locked(me_);
  close_sources();
  me_ = kNobody;
  return std::all_of(std::begin(state_->processes), std::end(state_->processes),
                     [](const process& other) { return other.pid == 0; });
}

// One that was about to sleep would do so in whatever has the number next, and one that was about to ring would do that there.
void port::see_waiters_off(std::uint64_t of) noexcept {
  core::await_briefly(env_.os, [this, of] {
    return inside_.load(std::memory_order_acquire) == 0 || opening() != of;
  });
}

void port::expose() noexcept {
  section hold(*this);
  if (hold.error() == 0) state_->pollable = true;
}

void port::leave_no_bell() noexcept {
  section hold(*this);
  if (hold.error() != 0) return;
  epolled_ = true;
  hush_locked();
}

// A bell may stand for nothing; see take_locked().
void port::hush_locked() noexcept {
  const bool idle = state_->queued.load(std::memory_order_relaxed) == 0 && state_->leader == 0;
  if (state_->bell_rung && idle) lower_bell_locked();
}

// --- the door -------------------------------------------------------------------------------------

int port::lock_again() noexcept {
  void* outer = nullptr;
  const host::biased_mutex::outcome how = state_->lock.lock(outer);
  if (how == host::biased_mutex::outcome::ours) return EDEADLK;
  outer_ = outer;
  put_right_locked(how);
  return 0;
}

void port::put_right_locked(host::biased_mutex::outcome how) noexcept {
  if (how != host::biased_mutex::outcome::inherited) return;
  repair_locked();
  reap_locked();
}

int port::enter_slowly(host::biased_mutex::outcome how) noexcept {
  put_right_locked(how);
  int error = is_open() ? 0 : EBADF;
  if (error == 0 && me_ == kNobody) {
    error = introduce_locked();
    // Closed as one that nobody had used; see close().
    if (error == 0 && !open_.load(std::memory_order_seq_cst)) {
      drop_process_locked(me_);
      me_ = kNobody;
      error = EBADF;
    }
  }
  // Nobody tells of the death of another process.
  if (error == 0 && state_->shared && env_.os.monotonic_tick() - reaped_at_ > kTick) reap_locked();
  if (error == 0 && (state_->shared != 0) != settled_down_) {
    settled_down_ = state_->shared != 0;
    if (settled_down_) settle_down_locked();
  }
  if (error != 0) state_->lock.unlock(outer_);
  return error;
}

void port::leave_and_wake() noexcept {
  shared_state& st = *state_;
  bool ring = false;
  bool wake = false;
  const std::uint16_t w = next_to_wake_locked();
  if (w != 0 && signal_locked(w)) (w == st.leader ? ring : wake) = true;
  // With a leader the bell is its alone; see docs/design.md, "The bell".
  if (st.leader == 0 && st.pollable && !st.bell_rung && is_open() &&
      st.queued.load(std::memory_order_relaxed) > 0) {
    ring = true;
  }
  if (ring) {
    st.bell_rung = true;
    inside_.fetch_add(1, std::memory_order_relaxed);
  }
  const int set = fd_.load(std::memory_order_relaxed);
  core::enter_library();  // a handler that leaves by a jump must not leave with a wake-up undone
  st.lock.unlock(outer_);
  if (ring) {
    env_.os.ring(set, false);
    inside_.fetch_sub(1, std::memory_order_release);
  }
  if (wake) host::wake_sleeper(st.waiter_at(w).word);
  core::leave_library();
  if (t_deferred_sends.load(std::memory_order_relaxed) != 0) take_deferred();
}

bool port::pass_deferred(int events, void* user) noexcept {
  deferred_sends& d = t_deferred;
  const int n = t_deferred_sends.load(std::memory_order_relaxed);
  if (n == deferred_sends::kMost) return false;
  d.entries[n] = {this, events, user};
  t_deferred_sends.store(n + 1, std::memory_order_relaxed);
  return true;
}

void port::take_deferred() noexcept {
  deferred_sends& d = t_deferred;
  deferred_sends::entry taken[deferred_sends::kMost];
  int n = 0;
  // A handler may add one more between the copy and the store: then the count has moved.
  for (int seen = t_deferred_sends.load(std::memory_order_relaxed);;) {
    for (; n < seen; ++n) taken[n] = d.entries[n];
    if (t_deferred_sends.compare_exchange_strong(seen, 0, std::memory_order_relaxed)) break;
  }
  for (int i = 0; i < n; ++i) taken[i].to->send(taken[i].events, taken[i].user);
}

// --- putting something in -------------------------------------------------------------------------

int port::post(int source, int events, std::uint64_t object, void* user,
               std::uint8_t traits) noexcept {
  section hold(*this);
  if (hold.error() == EDEADLK && source == PORT_SOURCE_USER) {
    return pass_deferred(events, user) ? 0 : EAGAIN;
  }
  if (hold.error() != 0) return hold.error();
  look_first_locked();  // what the kernel has to report happened before
  const slot_index i = take_free_locked();
  if (i == kNil) return EAGAIN;
  slot& s = known_slot(i);
  s.source = static_cast<std::uint16_t>(source);
  s.events = events;
  s.object = object;
  s.user = reinterpret_cast<std::uintptr_t>(user);
  s.traits = traits;
  append_locked(i, s);
  return 0;
}

int port::post_waiting(int source, int events, std::uint64_t object, void* user,
                       std::uint8_t traits) noexcept {
  const presence waits(*this);
  for (;;) {
    const std::uint32_t seen = state_->freed.load(std::memory_order_acquire);
    const int error = post(source, events, object, user, traits);
    if (error != EAGAIN) return error;
    if (wait_for_room(seen) == EINTR) return EINTR;
  }
}

// Nobody tells of the death of another process, which may have held the room: look now and then.
int port::wait_for_room(std::uint32_t seen) noexcept {
  return host::sleep_on_shared(state_->freed, seen, state_->shared ? kTick : -1);
}

int port::alert(int flags, int events, void* user) noexcept {
  section hold(*this);
  if (hold.error() != 0) return hold.error();
  shared_state& st = *state_;
  if (events == 0) {
    st.alert_on = false;
    return 0;
  }
  if ((flags & PORT_ALERT_INVALID) == PORT_ALERT_INVALID) return EINVAL;
  if (flags == PORT_ALERT_UPDATE && st.alert_on) return EBUSY;
  st.alert = {reinterpret_cast<std::uintptr_t>(user), events, me_};
  st.alert_on = true;
  alert_waiters_locked();
  return 0;
}

int port::examine(figures& out) noexcept {
  section hold(*this);
  if (hold.error() != 0) return hold.error();
  shared_state& st = *state_;
  look_first_locked();
  hush_locked();
  std::uint32_t waiters = 0;
  walk_limit to(kMostWaiters);
  for (std::uint16_t w = st.first_waiter; w != 0; w = to(st.waiter_at(w).next)) ++waiters;
  out = {st.queued.load(std::memory_order_relaxed),
         st.used,
         most_slots_,
         st.creator_uid,
         st.creator_gid,
         st.created,
         st.pollable != 0,
         st.sent,
         st.delivered,
         st.cancelled,
         st.refused,
         st.denied,
         waiters};
  return 0;
}

}  // namespace quay::port
