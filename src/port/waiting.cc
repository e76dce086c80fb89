// SPDX-License-Identifier: BSD-2-Clause
//
// What: the threads that wait, in the order in which they are served.
// Contract: semantics/ports.md 3.7: fewest events wanted first, first come first among equals; on
//           every way out, whatever the reason, the next satisfied waiter is woken.
// Invariants:
//   1. waiter.word is 0 while its thread is awake, kAsleep while it may sleep, kSignalled from
//      signal_locked() until the thread has looked. Only kAsleep needs a system call.
//   2. While there are waiters one of them is the leader or has been signalled: nobody sleeps with
//      nobody looking at the kernel.
// Wakeups: port::leave() signals next_to_wake_locked() at the end of every locked section, if anybody waits.
#include <algorithm>
#include <cerrno>

#include "host/sharing.hpp"
#include "port/port.hpp"

namespace quay::port {
namespace {

constexpr std::uint32_t kAwake = 0;
constexpr std::uint32_t kSignalled = 1;
constexpr std::uint32_t kAsleep = 2;

constexpr int kReports = 64;

}  // namespace

void port::link_waiter_locked(std::uint16_t w) noexcept {
  shared_state& st = *state_;
  waiter& mine = st.waiter_at(w);
  std::uint16_t before = 0;
  std::uint16_t after = st.first_waiter;
  const auto precedes = [](const waiter& a, const waiter& b) {
    return a.request != b.request ? a.request < b.request : a.arrival < b.arrival;
  };
  walk_limit to(kMostWaiters);
  while (after != 0 && precedes(st.waiter_at(after), mine)) {
    before = after;
    after = to(st.waiter_at(after).next);
  }
  mine.next = after;
  (before != 0 ? st.waiter_at(before).next : st.first_waiter) = w;
}

std::uint16_t port::enroll_locked(std::uint32_t request) noexcept {
  shared_state& st = *state_;
  std::uint16_t w = 1;
  while (w < kMostWaiters && w <= st.waiters_high && st.waiter_at(w).used) ++w;
  if (w >= kMostWaiters) return 0;
  if (w > st.waiters_high) st.waiters_high = w;
  waiter& mine = st.waiter_at(w);
  mine.word.store(kAwake, std::memory_order_relaxed);
  mine.request = request;
  mine.arrival = ++st.arrivals;
  mine.process = me_;
  mine.nothing_up_to = 0;
  mine.alerted = false;
  mine.used = true;
  link_waiter_locked(w);
  return w;
}

void port::discharge_locked(std::uint16_t w) noexcept {
  shared_state& st = *state_;
  st.waiter_at(w).used = false;
  std::uint16_t* link = &st.first_waiter;
  walk_limit to(kMostWaiters);
  for (std::uint16_t at = to(*link); at != 0 && at != w; at = to(*link)) {
    link = &st.waiter_at(at).next;
  }
  if (*link == w) *link = st.waiter_at(w).next;
  if (st.leader == w) st.leader = 0;
  std::uint32_t high = std::min(st.waiters_high, kMostWaiters - 1);
  while (high > 0 && !st.waiter_at(high).used) --high;
  st.waiters_high = high;
}

std::uint16_t port::next_to_wake_locked() noexcept {
  shared_state& st = *state_;
  if (st.first_waiter == 0) return 0;
  const std::uint32_t queued = st.queued.load(std::memory_order_relaxed);
  bool led = st.leader != 0;
  walk_limit to(kMostWaiters);
  for (std::uint16_t w = st.first_waiter; w != 0; w = to(st.waiter_at(w).next)) {
    waiter& other = st.waiter_at(w);
    const bool signalled = other.word.load(std::memory_order_relaxed) == kSignalled;
    led = led || signalled;
    if (other.alerted) continue;
    if (st.process_at(other.process).due != 0) return signalled ? 0 : w;
    if (other.request > queued) continue;
    // It has looked at all there is, and may have none of it.
    if (other.nothing_up_to == st.order) continue;
    return signalled ? 0 : w;
  }
  return led ? 0 : st.first_waiter;
}

bool port::signal_locked(std::uint16_t w) noexcept {
  return state_->waiter_at(w).word.exchange(kSignalled, std::memory_order_acq_rel) == kAsleep;
}

// Of a waiter that sleeps, and has been signalled.
void port::wake_locked(std::uint16_t w) noexcept {
  if (w == state_->leader) {
    ring_leader_locked();
  } else {
    host::wake_sleeper(state_->waiter_at(w).word);
  }
}

void port::ring_leader_locked() noexcept {
  state_->bell_rung = true;
  env_.os.ring(descriptor(), false);
}

// Another's look has taken the bell, which is an edge, before the leader came to it.
void port::return_bell_locked() noexcept {
  const std::uint16_t leader = state_->leader;
  if (leader == 0) return;
  const std::uint32_t word = state_->waiter_at(leader).word.load(std::memory_order_relaxed);
  if (word == kSignalled) ring_leader_locked();
}

void port::alert_waiters_locked() noexcept {
  shared_state& st = *state_;
  walk_limit to(kMostWaiters);
  for (std::uint16_t w = st.first_waiter; w != 0; w = to(st.waiter_at(w).next)) {
    waiter& other = st.waiter_at(w);
    if (other.alerted) continue;
    other.alert = st.alert;
    other.alerted = true;
    if (signal_locked(w)) wake_locked(w);
  }
}

// This process closes the port: its waiters return.
void port::evict_waiters_locked() noexcept {
  shared_state& st = *state_;
  walk_limit to(kMostWaiters);
  for (std::uint16_t w = st.first_waiter; w != 0; w = to(st.waiter_at(w).next)) {
    if (st.waiter_at(w).process != me_) continue;
    signal_locked(w);
    wake_locked(w);
  }
}

// A thread in its sleep, without the lock; it is taken again however the sleep ends. Of a cancelled
// thread nobody says how many reports it had got: those that differ from what no report looks like.
class port::asleep {
 public:
  asleep(port& p, std::uint16_t w, epoll_event (&reports)[kReports]) noexcept
      : port_(p), number_(w), reports_(reports), began_(p.state_->order) {
    for (epoll_event& each : reports) each.events = 0;
    port_.leave();
  }
  std::uint64_t began() const noexcept { return began_; }
  int wakes() noexcept {
    awake_ = true;
    if (port_.lock_again() != 0) return EDEADLK;
    shared_state& st = *port_.state_;
    st.waiter_at(number_).word.store(kAwake, std::memory_order_relaxed);
    port_.noise_ = false;
    port_.unheard_bells_ = 0;
    if (st.leader == number_) st.leader = 0;
    return 0;
  }
  ~asleep() {
    if (awake_ || wakes() != 0 || !port_.is_open()) return;
    int n = 0;
    while (n < kReports && reports_[n].events != 0) ++n;
    if (n > 0) port_.take_reports_locked(reports_, n, true, began_);
  }
  asleep(const asleep&) = delete;
  asleep& operator=(const asleep&) = delete;

 private:
  port& port_;
  const std::uint16_t number_;
  epoll_event (&reports_)[kReports];
  const std::uint64_t began_;
  bool awake_ = false;
};

// Releases the lock, waits to be signalled, for a report of the kernel or for the deadline, and
// takes the lock again. `room`: events that the caller could take. EINTR: a signal handler ran.
int port::sleep(std::uint16_t w, std::int64_t deadline, unsigned room) {
  shared_state& st = *state_;
  waiter& mine = st.waiter_at(w);
  if (st.leader == 0) st.leader = w;
  const bool leads = st.leader == w && !noise_;
  std::int64_t left = deadline;
  if (deadline >= 0) left = std::max<std::int64_t>(deadline - env_.os.monotonic(), 0);
  // Nobody tells of the death of another process: look now and then.
  const std::int64_t tick = noise_ ? kTick / 5 : kTick;
  if ((st.shared || noise_) && (left < 0 || left > tick)) left = tick;
  // A signal of before was meant for the look that has just ended in vain.
  mine.word.store(kAwake, std::memory_order_relaxed);
  ++st.looks;

  epoll_event reports[kReports];
  asleep sleeper(*this, w, reports);
  int n = 0;
  int result = 0;
  bool in_vain = false;
  const std::int64_t most = env_.tune.spin_us.load(std::memory_order_relaxed) * 1000;
  const auto signalled = [&mine] { return mine.word.load(std::memory_order_acquire) != kAwake; };
  std::uint32_t awake = kAwake;
  const bool heard = left != 0 && spin_.watch(env_.os, most, left, signalled);
  if (heard) gather(room);
  if (left != 0 && !heard &&
      mine.word.compare_exchange_strong(awake, kAsleep, std::memory_order_acq_rel)) {
    core::bump(env_.count.sleeps);
    const std::int64_t began = env_.os.monotonic();
    if (leads) {
      n = env_.os.set_wait(descriptor(), reports, kReports, left);
      if (n == -EINTR) result = EINTR;
      in_vain = n == 0;
    } else {
      result = host::await_on_shared(mine.word, kAsleep, left);
      in_vain = result == ETIMEDOUT;
    }
    if (mine.word.load(std::memory_order_relaxed) == kSignalled) {
      spin_.regret(env_.os.monotonic() - began, most);
    }
  }

  if (const int error = sleeper.wakes(); error != 0) return error;
  if (!is_open()) return EBADF;
  if (n > 0) take_reports_locked(reports, n, true, sleeper.began());
  if (st.shared && in_vain) reap_locked();
  return result == EINTR ? EINTR : 0;
}

}  // namespace quay::port
