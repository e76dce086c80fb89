// SPDX-License-Identifier: BSD-2-Clause
//
// What: port_get and port_getn: what satisfies them, what they take, and when they give up.
// Contract: semantics/ports.md 2.7, 2.8 and 3.2 to 3.8, with the improvements it recommends: nothing
//           is consumed that cannot be stored, a met request is never ETIME, never early.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "core/own_stack.hpp"
#include "host/sharing.hpp"
#include "port/slot_list.hpp"
#include "port/sources/program.hpp"

namespace quay::port {
namespace {

constexpr std::int64_t kUnlimited = -1;

// Nobody has a say in its delivery, and nothing but the queue knows of it.
bool is_plain(const slot& s) noexcept {
  return s.traits == 0 && s.source != PORT_SOURCE_FD && s.fd < 0;
}

}  // namespace

// When a call gives up, read from the caller's timespec only once that matters.
class port::limit {
 public:
  limit(environment& env, const timespec* timeout) noexcept : env_(env), timeout_(timeout) {}

  // 0, EFAULT or EINVAL.
  int read() noexcept {
    if (known_) return 0;
    if (timeout_ == nullptr) {
      known_ = true;
      return 0;
    }
    if (!core::own_stack().reads(env_.os, timeout_, sizeof *timeout_)) return EFAULT;
    const timespec t = *timeout_;
    if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec >= 1000000000) return EINVAL;
    known_ = true;
    polls_ = t.tv_sec == 0 && t.tv_nsec == 0;
    constexpr std::int64_t kLongest = INT64_MAX / 4 / 1000000000;
    if (t.tv_sec < kLongest) {
      deadline_ = env_.os.monotonic() + t.tv_sec * std::int64_t{1000000000} + t.tv_nsec;
    }
    return 0;
  }
  bool polls() const noexcept { return polls_; }
  bool passed() const noexcept {
    return deadline_ != kUnlimited && env_.os.monotonic() >= deadline_;
  }
  std::int64_t deadline() const noexcept { return deadline_; }

 private:
  environment& env_;
  const timespec* timeout_;
  std::int64_t deadline_ = kUnlimited;
  bool known_ = false;
  bool polls_ = false;
};

class port::enrolment {
 public:
  explicit enrolment(port& p) noexcept : port_(p) {}
  ~enrolment() {
    if (number_ == 0) return;
    port_.discharge_locked(number_);
    port_.inside_.fetch_sub(1, std::memory_order_release);
  }
  enrolment(const enrolment&) = delete;
  enrolment& operator=(const enrolment&) = delete;

  bool enter(std::uint32_t request) noexcept {
    if (number_ == 0) {
      number_ = port_.enroll_locked(request);
      if (number_ != 0) port_.inside_.fetch_add(1, std::memory_order_relaxed);
    }
    return number_ != 0;
  }
  std::uint16_t number() const noexcept { return number_; }
  // Among those whose request is met, is it this one's turn? Who does not wait takes at once.
  bool has_turn() noexcept {
    if (number_ == 0) return true;
    shared_state& st = *port_.state_;
    const std::uint32_t queued = st.queued.load(std::memory_order_relaxed);
    walk_limit to(kMostWaiters);
    for (std::uint16_t w = st.first_waiter; w != 0 && w != number_; w = to(st.waiter_at(w).next)) {
      const waiter& other = st.waiter_at(w);
      if (!other.alerted && other.request <= queued && other.nothing_up_to != st.order &&
          other.process == port_.me_) {
        return false;
      }
    }
    return true;
  }

 private:
  port& port_;
  std::uint16_t number_ = 0;
};

void port::store_alert(port_event_t& out, const alert_record& a) noexcept {
  out = {a.events, PORT_SOURCE_ALERT, 0, 0,
         reinterpret_cast<void*>(static_cast<uintptr_t>(a.user))};
}

// An event that has waited shows what is true now, or what was if nothing is any more.
void port::refresh_locked(slot& s) noexcept {
  const std::uint32_t wanted = about(s).wanted;
  const std::uint32_t now = s.kernel == watch::owned && s.owner == me_
                                ? owner_shows(s)
                                : env_.os.poll_now(s.fd, wanted) & (wanted | POLLERR | POLLHUP);
  if (now != 0) s.events = static_cast<std::int32_t>(now);
}

// Stores one event; false when the slot has nothing to deliver (any more).
[[gnu::always_inline]] inline bool port::deliver_locked(slot_index i, slot& s, port_event_t& out,
                                                        std::uint32_t since) noexcept {
  if (s.source == PORT_SOURCE_FD && s.owner == me_ && !env_.hooked && !still_open(s)) {
    drop_descriptor_locked(i, false);
    return false;
  }
  if ((s.traits & kAsksSource) != 0) {
    event_source* from = source(s.source);
    if (from == nullptr || !from->deliver(*this, s, out)) {
      withdraw_locked(s);
      return false;
    }
  }
  if ((s.traits & kAsksSource) == 0) {
    if (s.source == PORT_SOURCE_FD && about(i).look <= since) refresh_locked(s);
    out = {s.events, s.source, 0, static_cast<uintptr_t>(s.object),
           reinterpret_cast<void*>(static_cast<uintptr_t>(s.user))};
  }
  if ((s.traits & kKept) != 0) {
    withdraw_locked(s);
  } else {
    release_locked(i, s);
  }
  ++state_->delivered;
  return true;
}

// The same for an event whose program has a say. It is asked without the lock, while the event is in
// no queue: it may be sent again by then. A refused one is put back where it was.
bool port::deliver_if_wanted_locked(slot_index i, port_event_t& out) noexcept {
  slot& s = slot_at(i);
  program_source::event_record* r = env_.programs.record_of(*this, s);
  if (r == nullptr) {
    free_locked(i);
    return false;
  }
  out = {s.events, s.source, 0, static_cast<uintptr_t>(s.object),
         reinterpret_cast<void*>(static_cast<uintptr_t>(s.user))};
  const std::uint32_t generation = s.generation;
  const auto ask = r->ask;
  void* const argument = r->argument;
  withdraw_locked(s);
  bool wanted = true;
  if (ask != nullptr) {
    inside_.fetch_add(1, std::memory_order_relaxed);
    leave();
    int events = out.portev_events;
    wanted = ask(argument, &events, host::own_identity().pid, PORT_CALLBACK_DEFAULT,
                 program_source::handle_of(*r)) == 0;
    out.portev_events = events;
    lock_again();
    inside_.fetch_sub(1, std::memory_order_release);
  }
  const bool still = is_open() && s.generation == generation && s.state == slot_state::idle;
  if (wanted) {
    ++state_->delivered;
    if (still && (s.traits & kKept) == 0) {
      env_.programs.delivered_locked(*r);
      free_locked(i);
    }
  } else {
    ++state_->denied;
    if (still) put_back_locked(i);
  }
  return wanted;
}

// The plain events at the head of the queue. Their slots become free in the order in which they are linked.
[[gnu::always_inline]] inline unsigned port::take_run_locked(port_event_t* list,
                                                             unsigned max) noexcept {
  shared_state& st = *state_;
  const slot_index first = st.head;
  if (first == kNil) return 0;
  slot* s = &slot_at(first);
  if (!is_plain(*s)) return 0;
  // The slots of a stream lie side by side, in another processor's cache, and one leads to the next.
  for (slot_index k = 1; k < max && k < kAhead && first + k <= st.tail; ++k) ask_for(first + k);
  slot_index i = first;
  for (unsigned n = 0;;) {
    if (i + kAhead <= st.tail) ask_for(i + kAhead);
    list[n++] = {s->events, s->source, 0, static_cast<uintptr_t>(s->object),
                 reinterpret_cast<void*>(static_cast<uintptr_t>(s->user))};
    commit(*s, slot_state::free);
    const slot_index next = s->next;
    slot& behind = slot_at(next);
    if (n < max && next != kNil && is_plain(behind)) {
      i = next;
      s = &behind;
      continue;
    }
    st.head = next;
    (next != kNil ? behind.prev : st.tail) = kNil;
    st.queued.store(st.queued.load(std::memory_order_relaxed) - n, std::memory_order_release);
    give_back_locked(first, i, *s, n);
    st.delivered += n;
    return n;
  }
}

unsigned port::take_locked(port_event_t* list, unsigned max, std::uint32_t since) noexcept {
  shared_state& st = *state_;
  // What the program sends again from its say is for the next call.
  const std::uint64_t last = st.order;
  unsigned stored = take_run_locked(list, max);
  walk_limit to(most_slots_);
  for (slot_index i = st.head; i != kNil && stored < max && slot_at(i).order <= last;) {
    slot& s = slot_at(i);
    slot_index next = to(s.next);
    if (!st.shared || deliverable_locked(s)) {
      if ((s.traits & kAsksProgram) == 0) {
        stored += deliver_locked(i, s, list[stored], since);
      } else {
        const std::uint64_t order = s.order;
        stored += deliver_if_wanted_locked(i, list[stored]);
        if (!is_open()) return stored;
        next = first_behind_locked(order);
      }
    }
    i = next;
  }
  settle_bell_locked(stored);
  return stored;
}

// After a taking that may have emptied the queue.
inline void port::settle_bell_locked(unsigned stored) noexcept {
  shared_state& st = *state_;
  if (st.bell_rung && st.pollable && st.queued.load(std::memory_order_relaxed) == 0 &&
      st.leader == 0 && !bell_may_stand_locked(stored)) {
    lower_bell_locked();
  }
}

// The first event, where none but plain ones are looked for, by a call that would find it first.
inline bool port::take_at_once_locked(port_event_t& out) noexcept {
  const shared_state& st = *state_;
  if (st.alert_on || st.shared || asks_ || st.processes[me_].due != 0) return false;
  if (take_run_locked(&out, 1) == 0) return false;
  settle_bell_locked(1);
  return true;
}

// What most calls are is all in here (decision 0012).
outcome port::get_one(port_event_t* out, const timespec* timeout) {
  section hold(*this);
  if (hold.error() != 0) return {hold.error(), 0};
  if (core::own_stack().known_writable(out, sizeof *out) && take_at_once_locked(*out)) [[likely]]
    return {0, 1};
  limit until(env_, timeout);
  return get_locked(out, 1, 1, until, true);
}

// Before the lock is taken: what is to be read under it is on its way here, if it lies in the order of a stream.
inline void port::ask_for_queued(unsigned max) const noexcept {
  shared_state& st = *state_;
  const slot_index first = std::atomic_ref(st.head).load(std::memory_order_relaxed);
  const std::uint32_t n = std::min(st.queued.load(std::memory_order_relaxed), max);
  for (std::uint32_t k = 0; k < n && k < kAskedAtOnce; ++k) ask_for(first + k);
}

outcome port::get(port_event_t* list, unsigned max, unsigned want, const timespec* timeout) {
  limit until(env_, timeout);  // a bad one matters only where it would wait
  if (max > 1 && gathering_.pays() && until.read() == 0 && !until.polls()) {
    const std::uint64_t before = opening();
    gather(max);
    if (opening() != before) return {EBADF, 0};  // closed, and another port by now
    ask_for_queued(max);
  }
  section hold(*this);
  if (hold.error() != 0) return {hold.error(), 0};
  return get_locked(list, max, want, until, false);
}

outcome port::get_locked(port_event_t* list, unsigned max, unsigned want, limit& until,
                         bool single) {
  shared_state& st = *state_;
  if (max == 0) {
    look_first_locked();
    return {0, st.queued.load(std::memory_order_relaxed)};
  }
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(max, sizeof(port_event_t), &bytes)) bytes = SIZE_MAX;
  if (list == nullptr) return {EFAULT, 0};
  if (want == 0) return {0, 0};
  const core::own_stack mine;
  if (!mine.writes(env_.os, list, sizeof *list)) return {EFAULT, 0};
  if (max > 1 && !mine.known_writable(list, bytes)) {
    max = static_cast<unsigned>(env_.os.writable_prefix(list, bytes) / sizeof *list);
  }
  if (max < want) return {EFAULT, 0};

  const std::uint32_t since = st.looks;  // events of earlier looks have waited
  enrolment me(*this);
  for (bool asleep_before = false;; asleep_before = true) {
    if (const std::uint32_t due = std::exchange(st.processes[me_].due, 0); due != 0) {
      hear_sources_locked(due);
    }
    if (me.number() != 0 && st.waiter_at(me.number()).alerted) {
      store_alert(list[0], st.waiter_at(me.number()).alert);
      return {0, 1};
    }
    if (me.number() == 0 && st.alert_on) {
      store_alert(list[0], st.alert);
      return {0, 1};
    }
    if (!asleep_before && st.watched != 0 && st.queued.load(std::memory_order_relaxed) < max) {
      harvest_locked(true);
    }
    ask_for_own_locked();
    bool in_vain = available_locked(want) < want;
    if (!in_vain && me.has_turn()) {
      if (const unsigned n = take_locked(list, max, since); n > 0) return {0, n};
      if (!is_open()) return {EBADF, 0};
      in_vain = true;
    }
    if (const int error = until.read(); error != 0) return {error, 0};
    if (until.polls() || until.passed()) {
      const unsigned n = take_locked(list, max, since);
      const bool met = n >= want || (until.polls() && !single);
      return {met ? 0 : ETIME, n};
    }
    if (!me.enter(want)) return {ENOMEM, 0};
    st.waiter_at(me.number()).nothing_up_to = in_vain ? st.order : 0;
    const int error = sleep(me.number(), until.deadline(), max);
    if (error == EBADF || (error == EINTR && !st.waiter_at(me.number()).alerted)) {
      return {error, 0};
    }
    if (error == EDEADLK) return {EBADF, 0};
  }
}

}  // namespace quay::port
