// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_USER: the beginning and the end of its notes; see user.hpp.
#include "kqueue/filters/user.hpp"

#include <cerrno>

#include "kqueue/system.hpp"

namespace quay::kqueue {

using core::note;
using core::slot_index;

int user_filter_type::attach(queue& q, slot_index i, note& n) noexcept {
  if (!q.owner().take_user_event(q.rules())) return ENOMEM;
  const std::uint32_t word = n.sfflags;
  bool fires = (word & NOTE_TRIGGER) != 0;
  switch (q.rules().creation) {
    case user_creation::applies_op:
      n.fflags = apply_op(0, word);
      break;
    case user_creation::stores_raw:
      n.fflags = word & NOTE_FFLAGSMASK;
      fires = false;
      break;
    case user_creation::stores_low:
      n.fflags = word & NOTE_FFLAGSMASK;
      break;
  }
  n.data = n.sdata;
  set_trigger(n, fires);
  q.add_poster_locked();
  return evaluate(q, i, n);
}

void user_filter_type::detach(queue& q, slot_index, note&) noexcept {
  q.remove_poster_locked();
  q.owner().return_user_event(q.rules());
}

constinit user_filter_type user_filter;

}  // namespace quay::kqueue
