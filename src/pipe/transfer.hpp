// SPDX-License-Identifier: BSD-2-Clause
//
// What: moving bytes: the two calls everything else is about.
// Contract: semantics/pipes-signalfd.md A3, A4, A5. A count, or -errno.
#pragma once

#include "pipe/cursor.hpp"
#include "pipe/pair.hpp"

namespace quay::pipe {

class system;

// What a call finds when the pipe became plain: from here on the kernel moves the bytes.
inline constexpr int kPlain = 4096;  // beyond every errno

long read(system& sys, const subject& call, cursor to) noexcept;
long write(system& sys, const subject& call, cursor from) noexcept;

}  // namespace quay::pipe
