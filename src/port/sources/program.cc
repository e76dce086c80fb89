// SPDX-License-Identifier: BSD-2-Clause
//
// What: sources that the program itself is; see program.hpp.
#include "port/sources/program.hpp"

#include <cerrno>

#include "host/sharing.hpp"

namespace quay::port {
namespace {

constexpr std::uint8_t kOfOwnProgram = kOwnerOnly | kAsksProgram;

}  // namespace

// --- finding --------------------------------------------------------------------------------------

bool program_source::names_open_port(const event_record& r) noexcept {
  return r.owner->is_open() && r.owner->opening() == r.opening;
}

slot* program_source::slot_of_locked(const event_record& r) noexcept {
  if (!names_open_port(r) || r.slot > r.owner->last_slot()) return nullptr;
  slot& s = r.owner->slot_at(r.slot);
  const bool same =
      s.generation == r.slot_generation && s.state != slot_state::free && s.owner == r.owner->me();
  return same ? &s : nullptr;
}

program_source::event_record* program_source::record_of(port& p, const slot& s) noexcept {
  const core::token name = core::token::unpack(s.data);
  if (name.index > high_water_.load(std::memory_order_acquire)) return nullptr;
  event_record* r = records_.find(name.index, name.generation);
  const bool its = r != nullptr && r->owner == &p && r->opening == p.opening() &&
                   &p.slot_at(r->slot) == &s && r->slot_generation == s.generation;
  return its ? r : nullptr;
}

// --- events ---------------------------------------------------------------------------------------

int program_source::reserve(port& p, int source, bool kept, bool own, bool wait,
                            event_record*& out) noexcept {
  const port::presence waits(p);
  const slot_index n = records_.allocate();
  if (n == kNil) return ENOMEM;
  slot_index highest = high_water_.load(std::memory_order_relaxed);
  while (highest < n && !high_water_.compare_exchange_weak(highest, n)) {
  }
  event_record& r = records_.at(n);
  for (;;) {
    std::uint32_t seen = 0;
    {
      port::section in(p);
      int error = in.error();
      const slot_index i = error == 0 ? p.reserve_locked() : kNil;
      if (i != kNil) {
        slot& s = p.slot_at(i);
        r.owner = &p;
        r.opening = p.opening();
        r.slot = i;
        r.slot_generation = s.generation;
        r.source = source;
        r.kept = kept;
        r.own = own;
        r.ask = nullptr;
        r.argument = nullptr;
        r.departed.store(false, std::memory_order_relaxed);
        s.source = static_cast<std::uint16_t>(source);
        s.traits = static_cast<std::uint8_t>((kept ? kKept : 0) | (own ? kOfOwnProgram : 0));
        s.data = core::token{n, r.generation, 0}.pack();
        s.state = slot_state::idle;
        out = &r;
        return 0;
      }
      if (error == 0) error = EAGAIN;
      if (error != EAGAIN || !wait) {
        records_.release(n);
        return error;
      }
      seen = p.state().freed.load(std::memory_order_acquire);
    }
    if (p.wait_for_room(seen) != EINTR) continue;
    records_.release(n);
    return EINTR;
  }
}

int program_source::duplicate(const event_record& from, bool kept, bool own,
                              event_record*& out) noexcept {
  if (!names_open_port(from)) return EBADFD;
  return reserve(*from.owner, from.source, kept, own, false, out);
}

int program_source::describe(event_record& r, std::uintptr_t object, void* user, ask_function ask,
                             void* argument) noexcept {
  port::section in(*r.owner);
  slot* s = in.error() == 0 ? slot_of_locked(r) : nullptr;
  if (s == nullptr) return EBADFD;
  r.ask = ask;
  r.argument = argument;
  s->object = object;
  s->user = reinterpret_cast<std::uintptr_t>(user);
  s->traits &= static_cast<std::uint8_t>(~kOfOwnProgram);
  if (r.own || ask != nullptr) s->traits |= kOfOwnProgram;
  return 0;
}

int program_source::set_events(event_record& r, int events) noexcept {
  port::section in(*r.owner);
  slot* s = in.error() == 0 ? slot_of_locked(r) : nullptr;
  if (s == nullptr) return EBADFD;
  s->events = events;
  return 0;
}

int program_source::send(event_record& r) noexcept {
  port::section in(*r.owner);
  slot* s = in.error() == 0 ? slot_of_locked(r) : nullptr;
  if (s == nullptr) return EBADFD;
  if (s->state == slot_state::queued) return 0;
  r.owner->enqueue_in_turn_locked(r.slot);
  // Whoever receives it, this process need not hear of it: it is the port's from now on.
  if (!r.kept && (s->traits & kOwnerOnly) == 0) records_.release(index_of(r));
  return 0;
}

int program_source::take_back(event_record& r) noexcept {
  port::section in(*r.owner);
  slot* s = in.error() == 0 ? slot_of_locked(r) : nullptr;
  if (s == nullptr) return EBADFD;
  r.owner->cancel_locked(r.slot);
  return 0;
}

void program_source::give_back(event_record& r) noexcept {
  port::section in(*r.owner);
  if (in.error() == 0 && slot_of_locked(r) != nullptr) r.owner->free_locked(r.slot);
  records_.release(index_of(r));
}

// --- sources --------------------------------------------------------------------------------------

int program_source::enter(port& p, int source, close_function hook, void* argument,
                          registration*& out) noexcept {
  core::guard hold(table_);
  registration* unused = nullptr;
  for (registration& r : registrations_) {
    if (r.references == 0) {
      if (unused == nullptr) unused = &r;
    } else if (r.opening == p.opening() && r.source == source) {
      ++r.references;  // who came first has given the function
      out = &r;
      return 0;
    }
  }
  if (unused == nullptr) return ENOMEM;
  *unused = {p.opening(), source, 1, hook, argument};
  out = unused;
  return 0;
}

int program_source::leave(const port& p, int source, const registration* which) noexcept {
  core::guard hold(table_);
  for (registration& r : registrations_) {
    if (&r != which || r.references == 0) continue;
    if (r.opening != p.opening() || r.source != source) return EINVAL;
    --r.references;
    return 0;
  }
  return EINVAL;
}

// --- closing --------------------------------------------------------------------------------------

void program_source::leaving_locked(port& p) noexcept {
  walk_limit to(p.last_slot());
  for (slot_index i = p.state().head; i != kNil; i = to(p.slot_at(i).next)) {
    const slot& s = p.slot_at(i);
    if (s.owner != p.me() || (s.traits & kAsksProgram) == 0) continue;
    event_record* r = record_of(p, s);
    if (r != nullptr) r->departed.store(true, std::memory_order_release);
  }
}

void program_source::left(std::uint64_t opening, int fd, bool last) noexcept {
  const pid_t self = host::own_identity().pid;
  for (int n = 0; n < kMostRegistrations; ++n) {
    registration told{};
    {
      core::guard hold(table_);
      registration& r = registrations_[n];
      if (r.references == 0 || r.opening != opening) continue;
      told = r;
      r.references = 0;
    }
    if (told.hook != nullptr) told.hook(told.argument, fd, self, last ? 1 : 0);
  }
  const slot_index highest = high_water_.load(std::memory_order_acquire);
  for (slot_index n = 1; n <= highest; ++n) {
    event_record& r = records_.at(n);
    if (r.opening != opening || !r.departed.exchange(false)) continue;
    int events = 0;
    if (r.ask != nullptr) r.ask(r.argument, &events, self, PORT_CALLBACK_CLOSE, handle_of(r));
    if (!r.kept) records_.release(n);
  }
}

// --- fork -----------------------------------------------------------------------------------------

void program_source::before_fork() noexcept {
  table_.lock();
  records_.lock().lock();
}

void program_source::after_fork_in_parent() noexcept {
  records_.lock().unlock();
  table_.unlock();
}

void program_source::after_fork_in_child() noexcept {
  records_.lock().reset_after_fork();
  table_.reset_after_fork();
  for (registration& r : registrations_) r.references = 0;
}

}  // namespace quay::port
