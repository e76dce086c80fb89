// SPDX-License-Identifier: BSD-2-Clause
//
// What: taking in what the kernel reports of a port's epoll set, and keeping its bell as it must be.
// Contract: docs/design.md, "Event ports": a report nobody wants is answered by narrowing, unless
//           the look was not asked for by somebody who would sleep.
#include <cerrno>

#include "port/port.hpp"

namespace quay::port {
namespace {

constexpr int kReports = 256;
constexpr std::uint32_t kSlot = 0;    // core::token::direction of a slot's registration
constexpr std::uint32_t kSource = 1;  // of a descriptor of some process's sources

constexpr std::uint32_t kAlways = POLLERR | POLLHUP;

}  // namespace

std::uint64_t port::name_of(slot_index i) noexcept {
  return core::token{i, slot_at(i).generation, kSlot}.pack();
}

void port::set_watch_locked(slot& s, watch kind) noexcept {
  if (reports(kind) && !reports(s.kernel)) ++state_->watched;
  if (!reports(kind) && reports(s.kernel)) --state_->watched;
  s.kernel = kind;
}

void port::harvest_locked(bool narrow) noexcept {
  ++state_->looks;
  epoll_event reports[kReports];
  int n = 0;
  do {
    n = env_.os.set_wait(descriptor(), reports, kReports, 0);
    if (n > 0) take_reports_locked(reports, n, narrow, kJustNow);
  } while (n == kReports && state_->queued.load(std::memory_order_relaxed) < kReports);
}

// Whether the bell of the queue just emptied may wait for the call that finds nothing: when rings
// were taken back again and again without anybody having slept (docs/decisions/0005-late-bell.md).
// Without the hooks a poller could not be helped.
bool port::bell_may_stand_locked(unsigned stored) noexcept {
  if (stored == 0) unheard_bells_ = 0;
  if (stored == 0 || !env_.hooked || epolled_ || state_->shared || state_->watched != 0)
    return false;
  return ++unheard_bells_ > core::kUnheardBells;
}

// The queue is empty: nobody may find the descriptor readable for it.
void port::lower_bell_locked() noexcept {
  if (env_.hooked && !epolled_ && !state_->shared) {
    env_.os.hush(descriptor());
    state_->bell_rung = false;
    return;
  }
  // Whose bell it was is not known, or an edge that is told to a set of the program's must be taken before there can be
  // another: hear it.
  ++state_->looks;
  epoll_event reports[kReports];
  int n = 0;
  do {
    n = env_.os.set_wait(descriptor(), reports, kReports, 0);
    if (n > 0) take_reports_locked(reports, n, false, kJustNow);
  } while (n == kReports && state_->bell_rung);
  state_->bell_rung = false;
}

// What was associated since the last look and is reported now was ready when it was associated, so
// its event is as old as the association; everything else became ready later.
void port::take_reports_locked(const epoll_event* reports, int n, bool narrow,
                               std::uint64_t began) noexcept {
  shared_state& st = *state_;
  std::uint64_t age[kReports];
  std::uint8_t turn[kReports];
  for (int i = 0; i < n; ++i) {
    const core::token name = core::token::unpack(reports[i].data.u64);
    const bool known = name.direction == kSlot && name.index <= last_slot();
    const std::uint64_t armed_at = known ? about(name.index).armed_at : 0;
    age[i] = armed_at > st.looked_at ? armed_at : UINT64_MAX;
    int at = i;
    for (; at > 0 && age[turn[at - 1]] > age[i]; --at) turn[at] = turn[at - 1];
    turn[at] = static_cast<std::uint8_t>(i);
  }
  for (int i = 0; i < n; ++i) take_report_locked(reports[turn[i]], narrow, began);
  st.looked_at = st.order;
}

void port::take_report_locked(const epoll_event& report, bool narrow,
                              std::uint64_t began) noexcept {
  shared_state& st = *state_;
  if (report.data.u64 == core::kBell) {
    st.bell_rung = false;
    return_bell_locked();
    return;
  }
  const core::token name = core::token::unpack(report.data.u64);
  if (name.direction == kSource) {
    const std::uint32_t p = name.index % kMostProcesses;
    const std::uint32_t bit = 1u << (name.index / kMostProcesses % kMostSources);
    if (p == me_) {
      hear_sources_locked(bit);
    } else {
      st.processes[p].due |= bit;
    }
    return;
  }
  if (name.index == kNil || name.index > last_slot()) return;
  slot& s = slot_at(name.index);
  if (s.state == slot_state::free ||
      (s.generation & core::token::kGenerationMask) != name.generation) {
    core::bump(env_.count.stale_dropped);
    noise_ = true;
    return;
  }
  if (s.kernel == watch::owned && s.owner == me_) {
    ask_owner_locked(name.index);
    return;
  }
  const bool one_shot = s.kernel == watch::one_shot;
  if (one_shot) set_watch_locked(s, watch::spent);
  if (s.source != PORT_SOURCE_FD) {
    if (s.state == slot_state::armed || s.state == slot_state::idle) enqueue_locked(name.index);
    return;
  }
  const association& a = about(name.index);
  std::uint32_t bits = report.events & (a.wanted | kAlways);
  // It may have been delivered, and dealt with, before it was associated again.
  if (bits != 0 && a.armed_at > began && s.state == slot_state::armed && s.owner == me_) {
    bits = env_.os.poll_now(s.fd, a.wanted) & (a.wanted | kAlways);
    if (bits == 0 && one_shot) rearm_locked(s);
  }
  if (s.state == slot_state::armed && bits != 0) {
    fire_locked(name.index, bits);
  } else if (s.kernel == watch::level && narrow && a.look != st.looks) {
    narrow_locked(s);
  }
}

void port::hear_sources_locked(std::uint32_t numbers) noexcept {
  for (int n = 0; n < kMostSources; ++n) {
    if ((numbers >> n & 1) != 0 && sources_[n] != nullptr) sources_[n]->due(*this, n);
  }
}

int port::watch_slot_locked(slot_index i, int fd) noexcept {
  const int error = env_.os.set_add(descriptor(), fd, EPOLLIN | EPOLLET, name_of(i));
  if (error == 0) set_watch_locked(slot_at(i), watch::level);
  return error;
}

int port::watch_source_locked(int number, int fd, std::uint32_t events) noexcept {
  const std::uint32_t index = static_cast<std::uint32_t>(number) * kMostProcesses + me_;
  const core::token name{index, state_->processes[me_].life, kSource};
  const int error = env_.os.set_add(descriptor(), fd, events | EPOLLET, name.pack());
  if (error != 0) return error;
  state_->processes[me_].sources |= 1u << number;
  ++state_->watched;
  return 0;
}

void port::fire_locked(slot_index i, std::uint32_t bits) noexcept {
  slot& s = slot_at(i);
  s.events = static_cast<std::int32_t>(bits);
  about(i).look = state_->looks;
  enqueue_locked(i);
}

// A report that came to nothing has used up its registration.
void port::rearm_locked(slot& s) noexcept {
  const slot_index i = number_of(s);
  core::bump(env_.count.epoll_ctls);
  if (env_.os.set_modify(descriptor(), s.fd, about(i).registered | EPOLLONESHOT, name_of(i)) == 0) {
    set_watch_locked(s, watch::one_shot);
  }
}

// The kernel reports what nobody wants: an armed slot asked for less than was registered, any other
// for nothing. Error and hang-up cannot be unasked for; a one-shot registration is silent after one.
void port::narrow_locked(slot& s) noexcept {
  const bool armed = s.state == slot_state::armed;
  const slot_index i = number_of(s);
  association& a = about(i);
  const std::uint32_t events = armed ? a.wanted : static_cast<std::uint32_t>(EPOLLONESHOT);
  core::bump(env_.count.lazy_disarms);
  const bool ours = s.owner == me_ || same_file(s);
  if (!ours || env_.os.set_modify(descriptor(), s.fd, events, name_of(i)) != 0) {
    noise_ = true;
    return;
  }
  a.registered = armed ? a.wanted : 0;
  if (armed) return;
  set_watch_locked(s, watch::spent);
  if (s.disarms < kPatience) ++s.disarms;
}

}  // namespace quay::port
