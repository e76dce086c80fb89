// SPDX-License-Identifier: BSD-2-Clause
//
// What: memory barriers that a thread has the kernel execute in others, so that they need none themselves.
// Contract: membarrier(2). What the others stored before is seen when the call returns, and what they
//           load afterwards is as it was before the call at the earliest. Takes 0.4 us when nobody else runs, 5 to 11
//           us here with one who does; the first time in a process that has threads, some 10 ms.
#pragma once

namespace quay::host {

// In every thread of this address space; false: the kernel refuses.
[[gnu::cold]] bool barrier_in_own_threads() noexcept;
// In every thread of the processes that take part. Where the kernel refuses, 20 ms are waited instead, in
// which a processor gets rid of what it has stored.
[[gnu::cold]] void barrier_in_all_threads() noexcept;
// Has this process take part from now on; false: the kernel refuses.
[[gnu::cold]] bool take_part_in_barriers() noexcept;
// In a child of fork: it registers anew.
void forget_barriers() noexcept;

}  // namespace quay::host
