// SPDX-License-Identifier: BSD-2-Clause
//
// What: see kqueue_model.hpp.
#include "kqueue_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace quay::model {
namespace {

constexpr unsigned kActions = EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE;
constexpr unsigned kStated = EV_RECEIPT | EV_ONESHOT | EV_CLEAR | EV_DISPATCH | kActions;

bool on_descriptor(int filter) { return filter == EVFILT_READ || filter == EVFILT_WRITE; }

unsigned operate(unsigned value, unsigned word) {
  const unsigned operand = word & NOTE_FFLAGSMASK;
  switch (word & NOTE_FFCTRLMASK) {
    case NOTE_FFAND:
      return value & operand;
    case NOTE_FFOR:
      return value | operand;
    case NOTE_FFCOPY:
      return operand;
    default:
      return value;
  }
}

}  // namespace

std::string words(const struct kevent& e) {
  return fmt::format("{{filter {} ident {} flags {:#x} fflags {:#x} data {} udata {}}}", e.filter,
                     e.ident, e.flags, e.fflags, e.data, e.udata);
}

note* queue_model::find(int filter, std::uintptr_t ident) {
  for (note& n : notes_)
    if (n.saved.filter == filter && n.saved.ident == ident) return &n;
  return nullptr;
}

// --- what makes a note ready ----------------------------------------------------------------------

bool queue_model::ready(const note& n) const {
  if (n.saved.filter == EVFILT_USER) return n.triggered;
  if (n.saved.filter == EVFILT_TIMER) return false;
  const object o = world_.look(n.saved.ident);
  if (o.queue >= 0) return world_.pending_of(o.queue) > 0;
  if (o.peer_gone) return true;
  if (n.saved.filter == EVFILT_WRITE) return true;
  return o.bytes >= ((n.sfflags & NOTE_LOWAT) ? n.sdata : 1);
}

void queue_model::activate(note& n) {
  n.active = true;
  if (n.queued || n.disabled) return;
  n.queued = true;
  pending_.push_back(&n);
  world_.queue_grew(*this);
}

void queue_model::evaluate(note& n) {
  if (ready(n)) activate(n);
}

void queue_model::happened(std::uintptr_t ident, int filter, bool surely) {
  note* n = find(filter, ident);
  if (n == nullptr) return;
  if (surely)
    evaluate(*n);
  else
    n->doubtful = true;
}

void queue_model::drop(note& n) {
  pending_.remove(&n);
  notes_.remove_if([&](const note& other) { return &other == &n; });
}

void queue_model::closed(std::uintptr_t ident) {
  for (int filter : {EVFILT_READ, EVFILT_WRITE})
    if (note* n = find(filter, ident)) drop(*n);
}

// --- changes --------------------------------------------------------------------------------------

int queue_model::apply(struct kevent change) {
  const unsigned flags = change.flags;
  if (rules_.both_refused && (flags & EV_ENABLE) && (flags & EV_DISABLE)) return EINVAL;
  if (rules_.keep_udata && (flags & EV_KEEPUDATA) && (flags & EV_ADD)) return EINVAL;
  if (on_descriptor(change.filter) && !world_.look(change.ident).open) return EBADF;
  note* n = find(change.filter, change.ident);
  if (n == nullptr) return (flags & EV_ADD) ? create(change) : ENOENT;
  if ((flags & EV_DELETE) && (!(flags & EV_ADD) || rules_.add_delete_deletes)) {
    drop(*n);
    return 0;
  }
  const bool takes = (flags & EV_ADD) || rules_.change_takes || change.filter == EVFILT_USER;
  modify(*n, change, takes);
  return 0;
}

int queue_model::create(const struct kevent& change) {
  if (on_descriptor(change.filter)) {
    const object o = world_.look(change.ident);
    if (o.queue >= 0 && change.filter != EVFILT_READ) return rules_.not_read_on_queue;
    if (o.is_pipe && o.peer_gone && change.filter == EVFILT_WRITE && rules_.orphan_pipe != 0)
      return rules_.orphan_pipe;
  }
  notes_.emplace_back();
  note& n = notes_.back();
  n.saved = change;
  n.saved.flags &=
      static_cast<unsigned short>(rules_.echoes_actions ? kStated : kStated & ~kActions);
  n.saved.fflags = 0;
  n.saved.data = 0;
  n.sfflags = change.fflags;
  n.sdata = change.data;
  if (change.filter == EVFILT_TIMER) n.saved.flags |= EV_CLEAR;
  if (change.filter == EVFILT_USER) {
    n.saved.fflags =
        rules_.user_created_by_op ? operate(0, change.fflags) : change.fflags & NOTE_FFLAGSMASK;
    n.saved.data = change.data;
    n.triggered = rules_.user_created_fires && (change.fflags & NOTE_TRIGGER);
  }
  if (rules_.disable_first && (change.flags & EV_DISABLE)) n.disabled = true;
  if (!n.disabled) evaluate(n);
  if (change.flags & EV_DISABLE) n.disabled = true;
  if (change.flags & EV_ENABLE) enable(n, true);
  return 0;
}

void queue_model::modify(note& n, const struct kevent& change, bool takes) {
  const unsigned flags = change.flags;
  if (takes && change.filter == EVFILT_USER) {
    const bool values = !rules_.user_needs_add || (flags & EV_ADD);
    if (change.fflags & NOTE_TRIGGER) n.triggered = true;
    n.saved.fflags = operate(n.saved.fflags, change.fflags);
    if (values) n.saved.data = change.data;
    if (values && rules_.user_takes_udata && !(flags & EV_KEEPUDATA)) n.saved.udata = change.udata;
    if (flags & EV_CLEAR) {
      n.triggered = false;
      if (rules_.user_clear_change_wipes) n.saved.data = 0;
    }
  } else if (takes) {
    n.sfflags = change.fflags;
    n.sdata = change.data;
    if (!rules_.keep_udata || !(flags & EV_KEEPUDATA)) n.saved.udata = change.udata;
  }
  if (rules_.disable_first) {
    if (flags & EV_DISABLE) n.disabled = true;
    if (flags & EV_ENABLE) {
      n.disabled = false;
      if (n.active) activate(n);
    }
    if (takes && !n.disabled) evaluate(n);
    return;
  }
  if (takes) evaluate(n);
  if (flags & EV_DISABLE) n.disabled = true;
  if (flags & EV_ENABLE) enable(n, takes);
}

void queue_model::enable(note& n, bool evaluated) {
  const bool was_disabled = n.disabled;
  n.disabled = false;
  if (n.active) activate(n);
  if (!was_disabled || evaluated) return;
  if (rules_.enable_asks) evaluate(n);
  if (rules_.enable_asks_unsure && ready(n)) n.doubtful = true;
}

queue_model::answer queue_model::call(const std::vector<struct kevent>& changes, int room) {
  answer out;
  int left = room;
  for (const struct kevent& change : changes) {
    const int error = apply(change);
    const bool receipt = error == 0 && (change.flags & EV_RECEIPT);
    if (error == 0 && !receipt) continue;
    if (left == 0) {
      // Entries posted so far are in the array, but nobody counts them any more.
      out.result = error != 0 || rules_.receipt_without_room_fails ? -1 : 0;
      out.error = error;
      return out;
    }
    --left;
    struct kevent entry = change;
    entry.flags = EV_ERROR;
    entry.data = error;
    out.posted.push_back(entry);
  }
  out.result = static_cast<int>(out.posted.size());
  out.scans = out.posted.empty() && room > 0;
  return out;
}

// --- delivery -------------------------------------------------------------------------------------

// A one-shot note's values are those of its activation; one on a descriptor may also be looked at again.
bool queue_model::asks(const note& n) const {
  return !(n.saved.flags & EV_ONESHOT) || on_descriptor(n.saved.filter);
}

bool queue_model::delivers() const {
  return std::any_of(pending_.begin(), pending_.end(),
                     [&](const note* n) { return !n->disabled && (!asks(*n) || ready(*n)); });
}

std::string queue_model::compare(const note& n, const struct kevent& got) const {
  struct kevent want = n.saved;
  const object o = on_descriptor(want.filter) ? world_.look(want.ident) : object{};
  unsigned ignored = EV_HUP;  // where it is told is each object's own business
  if (on_descriptor(want.filter)) {
    want.data = o.queue >= 0 ? static_cast<std::intptr_t>(world_.pending_of(o.queue)) : o.bytes;
    if (o.peer_gone) want.flags |= EV_EOF;
    if (rules_.eof_shows_nodata && o.peer_gone && o.bytes == 0) want.flags |= EV_NODATA;
    if (want.filter == EVFILT_WRITE) {
      want.data = got.data;  // Linux's own count
      ignored |= EV_NODATA;
    }
  }
  if ((want.flags & EV_ONESHOT) && want.filter == EVFILT_USER && rules_.user_oneshot_blank) {
    want.fflags = 0;
    want.data = 0;
  }
  const bool same = ((want.flags ^ got.flags) & ~ignored) == 0 && want.fflags == got.fflags &&
                    want.data == got.data && want.udata == got.udata;
  return same ? "" : "expected " + words(want) + ", got " + words(got);
}

void queue_model::delivered(note& n) {
  const unsigned flags = n.saved.flags;
  if (flags & EV_ONESHOT) {
    drop(n);
    return;
  }
  const bool clear = flags & EV_CLEAR;
  const bool dispatch = (flags & EV_DISPATCH) && !(clear && rules_.clear_beats_dispatch);
  if (clear && n.saved.filter == EVFILT_USER) {
    n.triggered = false;
    if (rules_.user_clear_wipes) {
      n.saved.fflags = 0;
      n.saved.data = 0;
    }
  }
  if (dispatch) n.disabled = true;
  n.active = !clear && !dispatch;
  if (!n.active) return;
  n.queued = true;
  pending_.push_back(&n);
}

std::string queue_model::accept(const std::vector<struct kevent>& events, int room, bool ordered) {
  std::vector<bool> used(events.size(), false);
  std::size_t next = 0;
  for (std::size_t left = pending_.size(); left > 0 && next < static_cast<std::size_t>(room);
       --left) {
    note& n = *pending_.front();
    pending_.pop_front();
    n.queued = false;
    if (n.disabled) continue;
    std::size_t at = 0;
    while (at < events.size() &&
           (used[at] || events[at].filter != n.saved.filter || events[at].ident != n.saved.ident))
      ++at;
    const bool came = at < events.size();
    const bool vanished = asks(n) && !ready(n);
    if (!came && vanished) {
      n.active = false;
      continue;
    }
    const bool may = (n.saved.flags & EV_ONESHOT) && on_descriptor(n.saved.filter);
    if (!came) return "missing: " + words(n.saved);
    if (vanished && !may) return "not ready: " + words(events[at]);
    if (ordered && at != next)
      return fmt::format("out of order: {} is entry {}, not {}", words(events[at]), at, next);
    if (!vanished)
      if (std::string wrong = compare(n, events[at]); !wrong.empty()) return wrong;
    used[at] = true;
    ++next;
    n.doubtful = false;
    delivered(n);
  }
  for (std::size_t at = 0; at < events.size(); ++at) {
    if (used[at]) continue;
    note* n = find(events[at].filter, events[at].ident);
    if (n == nullptr || !n->doubtful || n->disabled) return "unexpected: " + words(events[at]);
    if (std::string wrong = compare(*n, events[at]); !wrong.empty()) return wrong;
    delivered(*n);
  }
  for (note& n : notes_)
    if (!n.disabled) n.doubtful = false;
  return {};
}

}  // namespace quay::model
