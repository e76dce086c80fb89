// SPDX-License-Identifier: BSD-2-Clause
//
// What: which filters there are, and which a dialect offers.
// Contract: semantics/kqueue.md 3.1 (unknown filters), 5.0 and 7 row 2.
#pragma once

#include "kqueue/dialect.hpp"
#include "kqueue/queue.hpp"

namespace quay::kqueue {

// One instance each, without state of its own.
filter& read_filter() noexcept;
filter& write_filter() noexcept;
filter& except_filter() noexcept;
filter& empty_filter() noexcept;
filter& timer_filter() noexcept;
filter& user_filter() noexcept;

struct lookup {
  filter* source;  // null: no such filter in this dialect, or one that refuses registration
};
lookup find_filter(const dialect& d, std::int16_t number) noexcept;

// The errno for a change of a filter that cannot be registered.
int refuse(core::event& change, queue& q) noexcept;

}  // namespace quay::kqueue
