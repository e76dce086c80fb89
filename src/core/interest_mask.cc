// SPDX-License-Identifier: BSD-2-Clause
//
// What: the pure mask functions; see interest_mask.hpp.
#include "core/interest_mask.hpp"

#include <sys/epoll.h>

namespace quay::core {

mask combine(mask so_far, const demand& d) noexcept {
  // A disabled edge note still has to remember edges (they are delivered when it is enabled); a
  // disabled level note needs nothing: enabling it looks at the level afresh.
  if (!d.enabled && !d.edge) return so_far;
  so_far.events |= d.events;
  so_far.edge = so_far.edge || d.edge;
  so_far.wanted = so_far.wanted || d.enabled;
  return so_far;
}

std::uint32_t epoll_bits(const mask& wanted) noexcept {
  if (wanted.events == 0) return disarmed_bits();
  return wanted.events | (wanted.edge ? static_cast<std::uint32_t>(EPOLLET) : 0u);
}

std::uint32_t disarmed_bits() noexcept { return static_cast<std::uint32_t>(EPOLLET); }

rearm compare(std::uint32_t armed, const mask& wanted) noexcept {
  if (wanted.events == 0) return rearm::none;
  const bool armed_edge = (armed & static_cast<std::uint32_t>(EPOLLET)) != 0;
  const std::uint32_t armed_events = armed & ~static_cast<std::uint32_t>(EPOLLET);
  if ((wanted.events & ~armed_events) != 0) return rearm::modify;
  return armed_edge == wanted.edge ? rearm::none : rearm::modify;
}

}  // namespace quay::core
