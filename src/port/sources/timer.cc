// SPDX-License-Identifier: BSD-2-Clause
//
// What: timers that tell a port; see timer.hpp.
#include "port/sources/timer.hpp"

#include <cerrno>
#include <climits>

#include "core/arena.hpp"
#include "core/memory.hpp"
#include "host/timers.hpp"

namespace quay::port {
namespace {

// libc's ids are small numbers or addresses; these are neither.
constexpr std::uintptr_t kMark =
    sizeof(void*) == 8 ? static_cast<std::uintptr_t>(0x7175617900000000) : 0x71750000u;
constexpr std::uintptr_t kNumber = 0xffff;

// The timer's slot is still its own: the port was not closed meanwhile.
bool holds(port& p, slot_index i, std::uint32_t generation) noexcept {
  return i <= p.last_slot() && p.slot_at(i).generation == generation &&
         p.slot_at(i).state != slot_state::free;
}

}  // namespace

timer_t timer_source::id_of(std::uint32_t n) noexcept {
  return reinterpret_cast<timer_t>(kMark | n);
}

bool timer_source::is_ours(timer_t id) noexcept {
  return (reinterpret_cast<std::uintptr_t>(id) & ~kNumber) == kMark;
}

timer_source::timer* timer_source::find_locked(timer_t id) noexcept {
  const auto n = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(id) & kNumber);
  return n < high_water_ && timers_[n].used ? &timers_[n] : nullptr;
}

int timer_source::create(port& p, clockid_t clock, void* user, timer_t& id) noexcept {
  core::guard hold(table_);
  if (timers_ == nullptr) {
    timers_ = static_cast<timer*>(core::reserve_memory(kMost * sizeof(timer)));
    if (timers_ == nullptr) return ENOMEM;
  }
  std::uint32_t n = 0;
  while (n < high_water_ && timers_[n].used) ++n;
  if (n == kMost) return EAGAIN;
  const int fd = host::interval_timer(clock);
  if (fd < 0) return fd == -EMFILE || fd == -ENFILE ? EAGAIN : -fd;

  int error = 0;
  {
    port::section in(p);
    error = in.error();
    const slot_index i = error == 0 ? p.reserve_locked() : kNil;
    if (error == 0 && i == kNil) error = EAGAIN;
    if (error == 0) {
      p.attach(PORT_SOURCE_TIMER, *this);
      slot& s = p.slot_at(i);
      s.source = PORT_SOURCE_TIMER;
      s.traits = kKept | kOwnerOnly | kAsksSource;
      s.object = reinterpret_cast<std::uintptr_t>(id_of(n));
      s.user = reinterpret_cast<std::uintptr_t>(user);
      s.data = n;
      s.state = slot_state::idle;
      timers_[n] = {&p, fd, i, s.generation, 0, 0, true};
      error = p.watch_slot_locked(i, fd);
      if (error != 0) p.free_locked(i);
    }
  }
  if (error != 0) {
    timers_[n].used = false;
    os_.discard(fd);
    return error;
  }
  if (n == high_water_) ++high_water_;
  id = id_of(n);
  return 0;
}

int timer_source::set(timer_t id, bool absolute, const itimerspec& value,
                      itimerspec* old) noexcept {
  core::guard hold(table_);
  timer* t = find_locked(id);
  if (t == nullptr) return EINVAL;
  port::section in(*t->owner);
  // What has expired stays to be told, although the kernel forgets it with the new setting.
  if (in.error() == 0) t->pending += host::interval_timer_take(t->fd);
  return host::interval_timer_set(t->fd, absolute, value, old);
}

int timer_source::get(timer_t id, itimerspec& value) noexcept {
  core::guard hold(table_);
  const timer* t = find_locked(id);
  return t != nullptr ? host::interval_timer_get(t->fd, value) : EINVAL;
}

int timer_source::overrun(timer_t id, int& count) noexcept {
  core::guard hold(table_);
  const timer* t = find_locked(id);
  if (t == nullptr) return EINVAL;
  count = t->last_overrun;
  return 0;
}

int timer_source::remove(timer_t id) noexcept {
  core::guard hold(table_);
  timer* t = find_locked(id);
  if (t == nullptr) return EINVAL;
  {
    port::section in(*t->owner);
    if (in.error() == 0 && holds(*t->owner, t->slot, t->generation)) {
      // A child of fork may hold the kernel timer open: it must not report any more.
      os_.set_remove(t->owner->descriptor(), t->fd);
      t->owner->free_locked(t->slot);
    }
    t->used = false;
  }
  os_.discard(t->fd);
  return 0;
}

bool timer_source::deliver(port&, slot& s, port_event_t& out) noexcept {
  const std::uint64_t n = s.data;
  if (n >= kMost) return false;
  timer& t = timers_[n];
  if (!t.used || t.generation != s.generation) return false;
  const std::uint64_t count = t.pending + host::interval_timer_take(t.fd);
  t.pending = 0;
  if (count == 0) return false;
  const int events = count < INT_MAX ? static_cast<int>(count) : INT_MAX;
  t.last_overrun = events - 1;
  out = {events, s.source, 0, static_cast<uintptr_t>(s.object),
         reinterpret_cast<void*>(static_cast<uintptr_t>(s.user))};
  return true;
}

void timer_source::after_fork_in_child() noexcept {
  table_.reset_after_fork();
  for (std::uint32_t n = 0; n < high_water_; ++n) {
    if (timers_[n].used) os_.discard(timers_[n].fd);
    timers_[n].used = false;
  }
}

}  // namespace quay::port
