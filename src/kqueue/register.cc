// SPDX-License-Identifier: BSD-2-Clause
//
// What: one change: find the note, create, modify, delete, enable, disable.
// Contract: semantics/kqueue.md section 3.
// Locking: the queue's mutex throughout; see queue.hpp.
#include <sys/event.h>

#include <cerrno>
#include <climits>
#include <utility>

#include "kqueue/filters/filters.hpp"
#include "kqueue/filters/user.hpp"
#include "kqueue/kfilter.hpp"
#include "kqueue/queue.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {

using core::event;
using core::interest;
using core::kNil;
using core::note;
using core::slot_index;
namespace state = core::state;

namespace {
constexpr std::uint16_t kActions = EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE | EV_FORCEONESHOT;
}  // namespace

// A user event is triggered by a change without flags: a way of its own, without all that is asked of others.
int queue::apply_locked(event& change) noexcept {
  if (change.filter == EVFILT_USER && change.flags == 0) {
    const slot_index i = idents_.find(EVFILT_USER, change.ident);
    if (i != kNil) return modify_locked(i, change, 0, user_filter);
  }
  return apply_any_locked(change);
}

int queue::apply_any_locked(event& change) noexcept {
  const dialect& d = rules();
  change.flags &= static_cast<std::uint16_t>(~d.system_flags);
  filter* const named = find_filter(d, change.filter);
  if (named == nullptr) return refuse(change, *this);
  filter& f = *named;

  const std::uint16_t flags = change.flags;
  if ((flags & EV_ENABLE) && (flags & EV_DISABLE) && d.enable_and_disable_refused) return EINVAL;
  if ((flags & EV_KEEPUDATA) && (flags & EV_ADD) && d.has_keep_udata) return EINVAL;

  slot_index i = kNil;
  if (f.on_descriptor()) {
    const int error = find_on_descriptor_locked(change, i);
    if (error != 0) return error;
  } else {
    i = idents_.find(change.filter, change.ident);
  }
  if (i == kNil) return (flags & EV_ADD) ? create_locked(change, f) : ENOENT;

  if ((flags & EV_DELETE) && (!(flags & EV_ADD) || d.add_and_delete_deletes)) {
    drop_locked(i, false);
    return 0;
  }
  // What has expired by now happened before this change.
  if (change.filter == EVFILT_TIMER) expire_locked();
  return modify_locked(i, change, flags, f);
}

int queue::find_on_descriptor_locked(const event& change, slot_index& found) noexcept {
  const dialect& d = rules();
  if (d.wide == wide_ident::refused && change.ident > static_cast<std::uintptr_t>(INT_MAX)) {
    return EBADF;
  }
  const int fd = static_cast<int>(change.ident);
  if (fd < 0) return EBADF;
  slot_index on = interest_of_locked(fd);
  if (on != kNil && !env().hooked) {
    if (identify_locked(on) != 0) {
      core::bump(env().count.stale_dropped);
      on_vanished_locked(on);
      on = kNil;
    }
  }
  found = kNil;
  if (on != kNil) {
    for (slot_index i = interest_at(on).first; i != kNil; i = at(i).link) {
      const note& n = at(i);
      if (n.filter != change.filter) continue;
      if (d.wide == wide_ident::truncated_keyed && n.ident != change.ident) continue;
      found = i;
      return 0;
    }
  }
  // Attaching finds out for itself whether the descriptor is open.
  if (change.flags & EV_ADD) return 0;
  return os().is_open(fd) ? 0 : EBADF;
}

void queue::keep_ext_locked(note& n, const event& change) noexcept {
  if ((change.ext[0] | change.ext[1] | change.ext[2] | change.ext[3]) == 0) return;
  core::arena<core::ext_block>& blocks = system_.ext_blocks();
  n.ext = blocks.allocate();
  if (n.ext == kNil) return;
  for (int k = 0; k < 4; ++k) blocks.at(n.ext).value[k] = change.ext[k];
}

int queue::create_locked(event& change, filter& f) noexcept {
  const dialect& d = rules();
  if (!f.on_descriptor() && !idents_.reserve()) return ENOMEM;
  slot_index on = kNil;
  if (f.on_descriptor()) {
    const int fd = static_cast<int>(change.ident);
    // A number nobody has open must not grow the table.
    const bool known = interest_of_locked(fd) != kNil;
    if (!known && fd > 4096 && !os().is_open(fd)) return EBADF;
    // An interest goes when the close of its number is announced, and so does the mark.
    if (env().hooked ? !known : system_.is_others(fd)) system_.mark_watched(fd, *this);
    on = demand_interest_locked(fd);
    if (on == kNil) return ENOMEM;
  }
  const slot_index i = spare_ != kNil ? std::exchange(spare_, kNil) : env().notes.allocate();
  if (i == kNil) {
    if (on != kNil && interest_at(on).first == kNil) drop_interest_locked(on);
    return ENOMEM;
  }
  note& n = at(i);
  n.begin();
  n.ident = change.ident;
  n.udata = change.udata;
  n.sdata = change.data;
  n.sfflags = change.fflags;
  n.filter = change.filter;
  n.flags = d.echoes_actions ? change.flags : static_cast<std::uint16_t>(change.flags & ~kActions);
  keep_ext_locked(n, change);
  change.fflags = 0;  // an entry posted for this change shows the emptied report
  change.data = 0;

  if (on != kNil) {
    n.descriptor.interest = on;
    n.link = interest_at(on).first;
    interest_at(on).first = i;
  } else {
    idents_.insert(i);
  }
  count_notes_locked(1);
  if ((change.flags & EV_DISABLE) && d.disable_before_filter) n.status |= state::kDisabled;

  const int error = f.attach(*this, i, n);
  if (error == filter::kGone) return 0;
  if (error != 0) {
    unlink_locked(i, f, false);
    return error;
  }
  if (change.flags & EV_FORCEONESHOT && d.has_keep_udata) {
    n.flags |= EV_ONESHOT;
    n.status |= state::kForced;
    activate_locked(i);
  }
  set_enabled_locked(i, change.flags, true, f);
  return 0;
}

template <class Filter>
int queue::modify_locked(slot_index i, event& change, std::uint16_t flags, Filter& f) noexcept {
  const dialect& d = rules();
  note& n = at(i);
  if ((flags & EV_FORCEONESHOT) && d.has_keep_udata) {
    n.flags |= EV_ONESHOT;
    n.status |= state::kForced;
    activate_locked(i);
  }
  const bool takes = (flags & EV_ADD) || d.modify == plain_modify::overwrites ||
                     (d.modify == plain_modify::user_only && n.filter == EVFILT_USER);
  if (!takes) {
    set_enabled_locked(i, flags, false, f);
    return 0;
  }
  if (d.disable_before_filter) {
    // The final state decides whether the filter runs at all.
    if (flags & EV_ENABLE) n.status &= static_cast<std::uint16_t>(~state::kDisabled);
    if (flags & EV_DISABLE) n.status |= state::kDisabled;
  }
  int error = f.touch(*this, i, n, change);
  if (error != 0) return error;
  if (!d.disable_before_filter || !(n.status & state::kDisabled)) error = f.evaluate(*this, i, n);
  if (error == filter::kGone) return 0;
  // The number was closed and reused behind our back between look-up and re-arming.
  if (error != 0) {
    drop_locked(i, false);
    return error;
  }
  if (d.disable_before_filter &&
      (n.status & (state::kActive | state::kQueued | state::kDisabled)) == state::kActive) {
    activate_locked(i);
  }
  set_enabled_locked(i, flags, true, f);
  return 0;
}

void queue::set_enabled_locked(slot_index i, std::uint16_t flags, bool evaluated,
                               filter& f) noexcept {
  if ((flags & (EV_ENABLE | EV_DISABLE)) == 0) return;
  note& n = at(i);
  if (flags & EV_DISABLE) n.status |= state::kDisabled;
  if (!(flags & EV_ENABLE)) return;
  const bool was_disabled = (n.status & state::kDisabled) != 0;
  n.status &= static_cast<std::uint16_t>(~state::kDisabled);
  if (n.status & state::kActive) activate_locked(i);
  if (!was_disabled && evaluated) return;
  if (was_disabled && rules().enable_runs_filter && !evaluated) {
    f.evaluate(*this, i, n);
  } else if (was_disabled) {
    f.enabled(*this, i, n);
  }
}

// --- the end of a note ----------------------------------------------------------------------------

// Flat, as is attaching to a descriptor: at the bottom is a system call, after which every return is
// mispredicted.
[[gnu::flatten]] void queue::drop_locked(slot_index i, bool keep_registration) noexcept {
  note& n = at(i);
  filter& f = filter_of(n);
  f.detach(*this, i, n);
  unlink_locked(i, f, keep_registration);
}

void queue::unlink_locked(slot_index i, const filter& f, bool keep_registration) noexcept {
  note& n = at(i);
  if (n.status & state::kQueued) retire_locked(i);
  const slot_index on = f.on_descriptor() ? n.descriptor.interest : kNil;
  if (on == kNil) {
    idents_.erase(i);
  } else {
    interest& it = interest_at(on);
    const auto dir = static_cast<core::direction>(n.dir);
    slot_index* p = &it.first;
    while (*p != i) p = &at(*p).link;
    *p = n.link;
    bool shared = false;
    for (slot_index o = it.first; o != kNil; o = at(o).link) {
      shared = shared || at(o).dir == dir;
    }
    if (it.first == kNil && !keep_registration) {
      env().hooked ? rest_interest_locked(on) : drop_interest_locked(on);
    } else if (!shared && !keep_registration) {
      unregister_locked(on, dir);
    }
  }
  if (n.ext != kNil) system_.ext_blocks().release(n.ext);
  if (spare_ == kNil) {
    env().notes.rename(i);
    spare_ = i;
  } else {
    env().notes.release(i);
  }
  count_notes_locked(-1);
}

void queue::on_vanished_locked(slot_index on) noexcept {
  while (interest_at(on).first != kNil) {
    const slot_index i = interest_at(on).first;
    const bool last = at(i).link == kNil;
    drop_locked(i, false);
    if (last && !env().hooked) return;  // the interest went with its last note
  }
  drop_interest_locked(on);
}

void queue::forget_locked(int fd) noexcept {
  const slot_index on = interest_of_locked(fd);
  if (on != kNil) on_vanished_locked(on);
}

void queue::verify_locked(int fd) noexcept {
  const slot_index on = interest_of_locked(fd);
  if (on != kNil && identify_locked(on) != 0) on_vanished_locked(on);
}

// --- life -----------------------------------------------------------------------------------------

void queue::open_locked(int public_set, const dialect& d, bool pollable,
                        bool copied_on_fork) noexcept {
  life_.fetch_add(1, std::memory_order_release);
  dialect_.store(&d, std::memory_order_relaxed);
  copied_on_fork_ = copied_on_fork;
  sigio_owner_.store(0, std::memory_order_relaxed);
  core::queue::open_locked(public_set, pollable);
}

bool queue::is_another_number(int fd) const noexcept { return system_.is_queue(fd, *this); }

void queue::close_locked() noexcept {
  for (slot_index i = idents_.any(); i != kNil; i = idents_.any()) drop_locked(i, false);
  each_interest_locked([this](slot_index on) QUAY_NO_ANALYSIS { on_vanished_locked(on); });
  idents_.reset();
  if (spare_ != kNil) env().notes.release(std::exchange(spare_, kNil));
  shut_locked();
}

void queue::abandon_after_fork() noexcept {
  if (closed_locked()) return;
  forget_other_threads(true);
  disown_locked();
  close_locked();
  forget_other_threads(false);
}

void queue::copy_after_fork() noexcept {
  // Processes, mounts, signals and requests are the parent's.
  for (slot_index i = idents_.first(); i != kNil;) {
    const slot_index next = idents_.next(i);
    const std::int16_t filter = at(i).filter;
    if (filter != EVFILT_TIMER && filter != EVFILT_USER) drop_locked(i, false);
    i = next;
  }
  each_interest_locked([this](slot_index on) QUAY_NO_ANALYSIS {
    if (system_.lost_in_child(interest_at(on).descriptor)) on_vanished_locked(on);
  });
  reregister_locked();
  each_interest_locked([this](slot_index on) QUAY_NO_ANALYSIS {
    system_.mark_watched(interest_at(on).descriptor, *this);
  });
}

}  // namespace quay::kqueue
