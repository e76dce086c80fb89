// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the catalogue tells of kqueues: the queues, their notes and interests, the counters.
// Contract: core/catalogue.hpp. tools/quay/stat.cc knows these names.
#include "kqueue/system.hpp"

namespace quay::kqueue {

using form = core::catalogue::form;

void queue::show(core::catalogue& c) const noexcept {
  core::catalogue::description d("kqueue", this);
  core::queue::show(d);
  d.add("dialect", dialect_, form::named);
  d.add("notes", notes_).add("calls", calls_).add("delivered", delivered_);
  idents_.show(d);
  c.show(d);
}

// A free slot is in no chain of a queue, so nothing tells one apart.
void system::show(core::catalogue& c) noexcept {
  catalogue_ = &c;
  const core::note n;
  notes_.show(c, core::catalogue::description("note", &n)
                     .add("filter", n.filter)
                     .add("ident", n.ident)
                     .add("flags", n.flags)
                     .add("fflags", n.fflags)
                     .add("data", n.data)
                     .add("asked_fflags", n.sfflags)
                     .add("asked_data", n.sdata)
                     .add("udata", n.udata)
                     .add("status", n.status)
                     .add("link", n.link, form::internal));
  const core::interest it;
  interests_.show(c, core::catalogue::description("interest", &it)
                         .add("descriptor", it.descriptor)
                         .add("first_note", it.first, form::internal));
  core::counters& n_of = count_;
  c.show(core::catalogue::description("process", this)
             .add("hooked", env_.hooked)
             .add("timers", count_.timers)
             .add("limited_user_events", user_events_)
             .add("sleeps", n_of.sleeps)
             .add("spin_hits", n_of.spin_hits)
             .add("doorbells", n_of.doorbells)
             .add("epoll_ctls", n_of.epoll_ctls)
             .add("lazy_disarms", n_of.lazy_disarms)
             .add("identity_checks", n_of.identity_checks)
             .add("stale_dropped", n_of.stale_dropped)
             .add("rebuilds", n_of.rebuilds)
             .add("timer_programmings", n_of.timer_programmings)
             .add("forks_survived", n_of.forks_survived));
}

}  // namespace quay::kqueue
