// SPDX-License-Identifier: BSD-2-Clause
//
// What: see port_model.hpp.
#include "port_model.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace quay::model {
namespace {
constexpr int kUnasked = POLLERR | POLLHUP;
}

std::string words(const port_event_t& e) {
  return fmt::format("{{source {} events {:#x} object {} user {}}}", e.portev_source,
                     e.portev_events, e.portev_object, e.portev_user);
}

int port_model::associate(int descriptor, int events, void* user) {
  if (ready_(descriptor, 0) < 0) return EBADFD;
  ever_associated_ = true;
  auto found = associations_.find(descriptor);
  if (found == associations_.end()) {
    if (full()) return EAGAIN;
    found = associations_.emplace(descriptor, association()).first;
  }
  cancel(descriptor);
  found->second = {events, user, state::armed};
  look(descriptor, found->second);
  return 0;
}

int port_model::dissociate(int descriptor) {
  if (!ever_associated_) return ENOENT;
  if (ready_(descriptor, 0) < 0) return EBADFD;
  const auto found = associations_.find(descriptor);
  if (found == associations_.end()) return ENOENT;
  const bool over = found->second.now == state::idle;
  cancel(descriptor);
  associations_.erase(found);
  return over ? ENOENT : 0;
}

int port_model::send(int events, void* user) {
  if (full()) return EAGAIN;
  ++users_;
  entry e;
  e.event.portev_source = PORT_SOURCE_USER;
  e.event.portev_events = events;
  e.event.portev_user = user;
  queue_.push_back(e);
  return 0;
}

int port_model::alert(int flags, int events, void* user) {
  if (events == 0) {
    alerted_ = false;
    return 0;
  }
  if ((flags & PORT_ALERT_INVALID) == PORT_ALERT_INVALID) return EINVAL;
  if (flags == PORT_ALERT_UPDATE && alerted_) return EBUSY;
  alerted_ = true;
  alert_ = {};
  alert_.portev_source = PORT_SOURCE_ALERT;
  alert_.portev_events = events;
  alert_.portev_user = user;
  return 0;
}

void port_model::cancel(int descriptor) {
  queue_.remove_if([&](const entry& e) {
    return e.event.portev_source == PORT_SOURCE_FD &&
           e.event.portev_object == static_cast<std::uintptr_t>(descriptor);
  });
}

void port_model::look(int descriptor, association& a) {
  const int bits = ready_(descriptor, a.events);
  if (bits <= 0 || a.now != state::armed) return;
  a.now = state::queued;
  entry e;
  e.event.portev_source = PORT_SOURCE_FD;
  e.event.portev_events = bits;
  e.event.portev_object = static_cast<std::uintptr_t>(descriptor);
  e.event.portev_user = a.user;
  queue_.push_back(e);
}

void port_model::changed(int descriptor) {
  const auto found = associations_.find(descriptor);
  if (found == associations_.end()) return;
  look(descriptor, found->second);
  for (entry& e : queue_) {
    if (e.event.portev_source != PORT_SOURCE_FD ||
        e.event.portev_object != static_cast<std::uintptr_t>(descriptor))
      continue;
    if (ready_(descriptor, found->second.events) == 0) e.faded = true;
  }
}

void port_model::closed(int descriptor) {
  cancel(descriptor);
  associations_.erase(descriptor);
}

unsigned port_model::certain() const {
  return static_cast<unsigned>(
      std::count_if(queue_.begin(), queue_.end(), [](const entry& e) { return !e.faded; }));
}

// An event that waited may show what is ready by now.
std::string port_model::compare(const entry& e, const port_event_t& got) const {
  const port_event_t& want = e.event;
  bool same = want.portev_source == got.portev_source && want.portev_object == got.portev_object &&
              want.portev_user == got.portev_user;
  if (want.portev_source == PORT_SOURCE_FD) {
    const int descriptor = static_cast<int>(want.portev_object);
    const int mask = associations_.at(descriptor).events;
    same =
        same && got.portev_events != 0 && (got.portev_events & ~(mask | kUnasked)) == 0 &&
        (got.portev_events == want.portev_events || got.portev_events == ready_(descriptor, mask));
  } else {
    same = same && want.portev_events == got.portev_events;
  }
  return same ? "" : "expected " + words(want) + ", got " + words(got);
}

// Events of descriptors that stand side by side come in an order that the kernel chooses; nothing else moves.
std::string port_model::accept(const std::vector<port_event_t>& got, unsigned max) {
  for (const port_event_t& g : got) {
    auto e = queue_.begin();
    while (e != queue_.end() && e->event.portev_source == PORT_SOURCE_FD &&
           (g.portev_source != PORT_SOURCE_FD || g.portev_object != e->event.portev_object)) {
      if (g.portev_source != PORT_SOURCE_FD && !e->faded) return "missing: " + words(e->event);
      ++e;
    }
    if (e == queue_.end()) return "unexpected: " + words(g);
    if (std::string wrong = compare(*e, g); !wrong.empty()) return wrong;
    if (g.portev_source == PORT_SOURCE_FD) {
      associations_.at(static_cast<int>(g.portev_object)).now = state::idle;
    } else {
      --users_;
    }
    queue_.erase(e);
  }
  if (got.size() == max) return {};
  // There was room for more: what is left was not there any more, and its association is armed still.
  while (!queue_.empty()) {
    const entry e = queue_.front();
    if (!e.faded) return "missing: " + words(e.event);
    queue_.pop_front();
    const int descriptor = static_cast<int>(e.event.portev_object);
    associations_.at(descriptor).now = state::armed;
  }
  return {};
}

}  // namespace quay::model
