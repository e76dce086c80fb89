// SPDX-License-Identifier: BSD-2-Clause
//
// What: a system call by number as a point of cancellation: for what libc has no function (futex), or
//       one that the hooks stand in front of (reading our own objects).
// Contract: as syscall(2). A cancelled thread is unwound through here: no caller is noexcept up to the
//           public call. As with libc's own points, a call that has just succeeded may be cancelled.
#pragma once

namespace quay::host {

long cancellable_call(long number, long a, long b, long c, long d = 0, long e = 0);

}  // namespace quay::host
