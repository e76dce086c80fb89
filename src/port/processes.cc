// SPDX-License-Identifier: BSD-2-Clause
//
// What: the processes that use a port: who is in, who died, what leaves with them, and what may be
//       delivered to whom.
// Contract: semantics/ports.md section 5 and 3.6.
#include <bit>
#include <cerrno>

#include "host/sharing.hpp"
#include "port/port.hpp"

namespace quay::port {

int port::introduce_locked() noexcept {
  shared_state& st = *state_;
  const host::identity self = host::own_identity();
  for (int attempt = 0; attempt < 2; ++attempt) {
    bool others = false;
    std::uint32_t place = kNobody;
    for (std::uint32_t p = 0; p < kMostProcesses; ++p) {
      if (st.processes[p].pid != 0) {
        others = true;
      } else if (place == kNobody) {
        place = p;
      }
    }
    if (place == kNobody) {
      reap_locked();
      continue;
    }
    process& mine = st.processes[place];
    ++mine.life;
    mine.due = mine.sources = 0;
    mine.birth = self.birth;
    mine.pid = self.pid;
    me_ = place;
    settled_down_ = false;
    if (others && !st.shared) {
      st.shared = true;
      // Who sleeps by the rules of one process goes on by those of several.
      if (st.leader != 0 && signal_locked(st.leader)) wake_locked(st.leader);
      st.freed.fetch_add(1, std::memory_order_release);
      host::wake_all_sleepers(st.freed);
    }
    return 0;
  }
  return EAGAIN;
}

void port::reap_locked() noexcept {
  shared_state& st = *state_;
  reaped_at_ = env_.os.monotonic_tick();
  for (std::uint32_t p = 0; p < kMostProcesses; ++p) {
    const process& other = st.processes[p];
    if (other.pid == 0 || p == me_) continue;
    if (host::birth_of(other.pid) != other.birth) drop_process_locked(p);
  }
}

// Everything of a process that has closed the port or died. What it sent for everyone stays.
void port::drop_process_locked(std::uint32_t p) noexcept {
  shared_state& st = *state_;
  if (st.alert_on && st.alert.owner == p) st.alert_on = false;
  const slot_index last = last_slot();
  for (slot_index i = 1; i <= last; ++i) {
    slot& s = slot_at(i);
    if (s.state == slot_state::free || s.owner != p) continue;
    if (s.source == PORT_SOURCE_FD) {
      drop_descriptor_locked(i, p == me_ || (!has_own_locked(s.fd) && same_file(s)));
    } else if ((s.traits & kOwnerOnly) != 0 || s.state != slot_state::queued) {
      free_locked(i);
    } else {
      s.traits &= static_cast<std::uint8_t>(~kKept);  // the next receiver is its last
    }
  }
  if (p != me_) {
    for (std::uint16_t w = 1; w < kMostWaiters && w <= st.waiters_high; ++w) {
      if (st.waiter_at(w).used && st.waiter_at(w).process == p) discharge_locked(w);
    }
    st.bell_rung = false;  // its bell went with it
  }
  st.watched -= static_cast<std::uint32_t>(std::popcount(st.processes[p].sources));
  st.processes[p].sources = 0;
  st.processes[p].pid = 0;
  std::uint32_t left = 0;
  for (const process& other : st.processes) left += other.pid != 0;
  st.shared = left > 1;
}

// A second process uses the port: what was left armed would be reported to processes that cannot
// silence it.
void port::settle_down_locked() noexcept {
  const slot_index last = last_slot();
  for (slot_index i = 1; i <= last; ++i) {
    slot& s = slot_at(i);
    if (s.state == slot_state::free || s.kernel != watch::level || s.fd < 0) continue;
    if (s.owner != me_ && !same_file(s)) continue;
    const bool armed = s.state == slot_state::armed;
    const std::uint32_t events = EPOLLONESHOT | (armed ? about(i).wanted : 0u);
    if (env_.os.set_modify(descriptor(), s.fd, events, name_of(i)) == 0) {
      about(i).registered = about(i).wanted;
      set_watch_locked(s, armed ? watch::one_shot : watch::spent);
    }
  }
}

// Whether the number of a foreign association is the same open file here.
bool port::same_file(const slot& s) noexcept {
  const process& owner = state_->process_at(s.owner);
  if (const int answer = host::shares_file(owner.pid, s.fd); answer >= 0) return answer != 0;
  // The kernel will not compare across these processes, but it knows what it has registered.
  if (!is_registered(s.kernel)) return false;
  const int error = env_.os.set_add(descriptor(), s.fd, EPOLLONESHOT, 0);
  if (error == 0) env_.os.set_remove(descriptor(), s.fd);
  return error == EEXIST;
}

bool port::deliverable_locked(const slot& s) noexcept {
  if (s.owner == me_) return true;
  if ((s.traits & kOwnView) != 0) return false;
  if (s.source == PORT_SOURCE_FD) return same_file(s);
  return (s.traits & kOwnerOnly) == 0;
}

// How much of the queue this process may have; no more than `most` is counted.
std::uint32_t port::available_locked(std::uint32_t most) noexcept {
  shared_state& st = *state_;
  if (!st.shared) return st.queued.load(std::memory_order_relaxed);
  std::uint32_t n = 0;
  walk_limit to(most_slots_);
  for (slot_index i = st.head; i != kNil && n < most; i = to(slot_at(i).next)) {
    n += deliverable_locked(slot_at(i));
  }
  return n;
}

}  // namespace quay::port
