// SPDX-License-Identifier: BSD-2-Clause
//
// What: the numbers of system calls that have a second one on 32-bit machines: for the 64-bit times
//       and offsets that the library is built with everywhere.
#pragma once

#include <sys/syscall.h>

namespace quay::host {

#if defined(SYS_futex_time64)
inline constexpr long kFutex = SYS_futex_time64;
inline constexpr long kPpoll = SYS_ppoll_time64;
#else
inline constexpr long kFutex = SYS_futex;
inline constexpr long kPpoll = SYS_ppoll;
#endif
#if defined(SYS_fcntl64)
inline constexpr long kFcntl = SYS_fcntl64;
#else
inline constexpr long kFcntl = SYS_fcntl;
#endif

}  // namespace quay::host
