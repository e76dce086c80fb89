// SPDX-License-Identifier: BSD-2-Clause
//
// What: the notes of filters that the program registered: running its functions with the queue let
//       go, and taking what they say into the note.
// Contract: kqueue/kfilter.hpp; semantics/kqueue.md 1.6, 5.12.
// Invariants:
//   1. f_event gets a knote of its own with the note's values, and only what it changed is taken
//      back: two calls for one note at once do not write to the same memory.
//   2. What is queued while f_event runs for the scan stays queued: nothing is lost.
// Locking: the queue's mutex; let go around every call of the program's functions.
#include <sys/event.h>

#include <cerrno>
#include <new>
#include <optional>
#include <utility>

#include "kqueue/filters/descriptor.hpp"
#include "kqueue/filters/filters.hpp"
#include "kqueue/kfilter.hpp"
#include "kqueue/loaded_filter.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {
namespace {

using core::note;
using core::slot_index;

constinit thread_local bool t_in_child = false;
constinit thread_local int t_asking = 0;  // calls of f_event that this thread is in
// One more note for the entry; false when it was unregistered.
bool take(loaded_entry& e) noexcept {
  int n = e.notes.load();
  while (n >= 0) {
    if (e.notes.compare_exchange_weak(n, n + 1)) return true;
  }
  return false;
}

bool alive(queue& q, slot_index i, std::uint32_t generation) noexcept {
  return q.env().notes.find(i, generation & core::token::kGenerationMask) != nullptr;
}

program_note view_of(const loaded_note& u, const note& n) noexcept {
  program_note k{};
  k.kn_id = n.ident;
  k.kn_filter = n.filter;
  k.kn_flags = n.flags;
  k.kn_fflags = n.fflags;
  k.kn_data = n.data;
  k.kn_sfflags = n.sfflags;
  k.kn_sdata = n.sdata;
  k.kn_hook = u.kn.kn_hook;
  return k;
}

void take_back(loaded_note& u, note& n, const program_note& before,
               const program_note& after) noexcept {
  if (after.kn_flags != before.kn_flags) n.flags = after.kn_flags;
  if (after.kn_fflags != before.kn_fflags) n.fflags = after.kn_fflags;
  if (after.kn_data != before.kn_data) n.data = after.kn_data;
  if (after.kn_hook != before.kn_hook) u.kn.kn_hook = after.kn_hook;
}

enum class answer : std::uint8_t { no, yes, gone };

// Runs f_event for a note that exists. The mutex is let go meanwhile.
answer ask(queue& q, loaded_note& u, long hint) noexcept QUAY_REQUIRES(q.lock()) {
  const program_note before = view_of(u, q.at(u.index));
  program_note k = before;
  u.inside.fetch_add(1, std::memory_order_relaxed);
  bool yes = false;
  {
    const core::queue::interlude asking(q);
    ++t_asking;
    yes = u.entry->ops.f_event(&k, hint) != 0;
    --t_asking;
  }
  const bool gone = u.dead;
  if (!gone) take_back(u, q.at(u.index), before, k);
  // In a child that the function itself forked nobody is inside.
  if (u.inside.load(std::memory_order_relaxed) != 0) {
    u.inside.fetch_sub(1, std::memory_order_release);
  }
  if (gone) core::unpark(u.inside);  // the address only: the note may be freed by now
  return gone ? answer::gone : yes ? answer::yes : answer::no;
}

class loaded_filter_type final : public filter {
 public:
  explicit constexpr loaded_filter_type(bool on_descriptor) noexcept
      : filter(on_descriptor, false, true) {}

  int attach(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    n.loaded.object = nullptr;
    if (on_descriptor()) {
      core::interest& it = q.interest_of_note_locked(n);
      if (!q.os().is_open(it.descriptor)) return EBADF;
      n.dir = core::kOther;
      n.descriptor.asks = 0;
      descriptor_filter::examine(q, it);
    }
    loaded_entry* e = loaded_entry_of(n.filter);
    if (e == nullptr || !take(*e)) return EINVAL;
    program_note given = view_of({}, n);
    const std::uint32_t generation = n.generation;

    std::optional<core::queue::interlude> attaching(std::in_place, q);
    auto* u = new (std::nothrow) loaded_note{};
    int error = ENOMEM;
    bool ready = false;
    if (u != nullptr) {
      u->kn = given;
      u->entry = e;
      u->owner = &q;
      u->index = i;
      u->generation = generation;
      u->dead = true;  // until the note knows it
      error = e->ops.f_attach(&u->kn);
      given = u->kn;
      given.kn_selnext = {};
      if (error == 0) ready = e->ops.f_event(&given, 0) != 0;
    }
    attaching.reset();
    const bool gone = !alive(q, i, generation);
    if (error != 0) {
      delete u;
      e->notes.fetch_sub(1);
      return gone ? kGone : error;
    }
    if (gone) {
      drop(*u);
      return kGone;
    }
    u->dead = false;
    u->kn.kn_hook = given.kn_hook;
    n.loaded.object = u;
    n.flags = given.kn_flags;
    n.fflags = given.kn_fflags;
    n.data = given.kn_data;
    q.add_poster_locked();
    if (ready) q.activate_locked(i);
    return 0;
  }

  void detach(queue& q, slot_index, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    loaded_note* u = std::exchange(n.loaded.object, nullptr);
    if (u == nullptr) return;  // being attached: who does that finds the note gone
    q.remove_poster_locked();
    drop(*u);
  }

  bool event(queue& q, slot_index, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    loaded_note* u = n.loaded.object;
    return u != nullptr && ask(q, *u, 0) == answer::yes;
  }

  int touch(queue& q, slot_index, note& n, core::event& change) noexcept override
      QUAY_REQUIRES(q.lock()) {
    n.sfflags = change.fflags;
    n.sdata = change.data;
    if (!(q.rules().has_keep_udata && (change.flags & EV_KEEPUDATA))) n.udata = change.udata;
    return 0;
  }

  int evaluate(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    loaded_note* u = n.loaded.object;
    if (u == nullptr) return 0;
    const answer a = ask(q, *u, 0);
    if (a == answer::yes) q.activate_locked(i);
    return a == answer::gone ? kGone : 0;
  }

  void enabled(queue&, slot_index, note&) noexcept override {}

 private:
  static void drop(loaded_note& u) noexcept {
    u.dead = true;
    if (t_in_child) u.inside.store(0, std::memory_order_relaxed);
    u.next_dropped = std::exchange(t_dropped, &u);
  }
};

constinit loaded_filter_type g_loaded{false};
constinit loaded_filter_type g_loaded_on_descriptor{true};

}  // namespace

filter& loaded_filter_of(std::int16_t number) noexcept {
  return loaded_entry_of(number)->ops.f_isfd != 0 ? g_loaded_on_descriptor : g_loaded;
}

filter* find_loaded_filter(std::int16_t number) noexcept {
  const loaded_entry* e = loaded_entry_of(number);
  return e != nullptr && e->notes.load() >= 0 ? &loaded_filter_of(number) : nullptr;
}

void notify(program_note& kn, long hint) noexcept {
  auto& u = reinterpret_cast<loaded_note&>(kn);
  core::queue::section hold(*u.owner);
  if (!u.dead && ask(*u.owner, u, hint) == answer::yes) u.owner->activate_locked(u.index);
}

constinit thread_local loaded_note* t_dropped = nullptr;

void run_detaches_now() noexcept {
  if (t_asking != 0) return;  // one of these may be asked right here: the call that asks runs them
  while (t_dropped != nullptr) {
    loaded_note* u = std::exchange(t_dropped, t_dropped->next_dropped);
    for (std::uint32_t n = u->inside.load(std::memory_order_acquire); n != 0;
         n = u->inside.load(std::memory_order_acquire)) {
      core::park(u->inside, n);
    }
    if (u->entry->ops.f_detach != nullptr) u->entry->ops.f_detach(&u->kn);
    u->entry->notes.fetch_sub(1);
    delete u;
  }
}

void forget_other_threads(bool in_child) noexcept { t_in_child = in_child; }

}  // namespace quay::kqueue
