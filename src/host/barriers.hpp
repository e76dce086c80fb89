// SPDX-License-Identifier: BSD-2-Clause
//
// What: memory barriers that a thread has the kernel execute in others, so that they need none themselves.
// Contract: membarrier(2). What the others stored before is seen when the call returns, and what they
//           load afterwards is as it was before the call at the earliest. Takes 0.4 us when nobody else runs, 5 to 11
//           us here with one who does. Where the kernel refuses, 20 ms are waited instead: whatever a
//           processor has stored is seen at its next interrupt at the latest.
#pragma once

namespace quay::host {

// In every thread of this process.
[[gnu::cold]] void barrier_in_own_threads() noexcept;
// In every thread of the processes that take part.
[[gnu::cold]] void barrier_in_all_threads() noexcept;
// Has this process take part from now on; false: the kernel refuses. The first time takes some 10 ms in a
// process that has threads.
[[gnu::cold]] bool take_part_in_barriers() noexcept;
// In a child of fork: what its parent registered counts no more.
void forget_barriers() noexcept;

}  // namespace quay::host
