// SPDX-License-Identifier: BSD-2-Clause
//
// What: which filters there are, and which a dialect offers.
// Contract: semantics/kqueue.md 3.1 (unknown filters), 5.0 and 7 row 2.
#pragma once

#include "kqueue/dialect.hpp"
#include "kqueue/kfilter.hpp"
#include "kqueue/queue.hpp"

namespace quay::kqueue {

// Indexed by ~number, as the numbers count down from -1; null where there is no such filter.
inline constexpr std::size_t kFilterNumbers = 16;
extern filter* const kFilters[kFilterNumbers];
inline constexpr std::int16_t kChildFilter = -16;  // no dialect offers it to programs

// The filter of a note that exists.
inline filter& filter_of(const core::note& n) noexcept {
  if (n.filter > 0) return loaded_filter_of(n.filter);
  return *kFilters[static_cast<std::uint16_t>(~n.filter)];
}
// The filter a change names; null when the dialect has none such, or one that only refuses.
inline filter* find_filter(const dialect& d, std::int16_t number) noexcept {
  if (number > 0) return find_loaded_filter(number);
  const auto index = static_cast<std::uint16_t>(~number);
  return index < kFilterNumbers && (d.filters >> index & 1) != 0 ? kFilters[index] : nullptr;
}

// The instances, one for each filter, without state of their own; user_filter is in user.hpp.
extern filter& read_filter;
extern filter& write_filter;
extern filter& except_filter;
extern filter& empty_filter;
extern filter& signal_filter;
extern filter& timer_filter;
extern filter& vnode_filter;
extern filter& proc_filter;
extern filter& procdesc_filter;
extern filter& child_filter;
extern filter& fs_filter;
extern filter& aio_filter;  // EVFILT_AIO and EVFILT_LIO

// What NetBSD calls a filter, "EVFILT_READ"; null when the dialect has none of that number. And the
// number of a name, 0 for none.
const char* name_of_filter(const dialect& d, std::int32_t number) noexcept;
int filter_named(const dialect& d, const char* name) noexcept;

// The errno for a change of a filter that cannot be registered.
[[gnu::cold]] int refuse(core::event& change, queue& q) noexcept;

}  // namespace quay::kqueue
