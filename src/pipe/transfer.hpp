// SPDX-License-Identifier: BSD-2-Clause
//
// What: moving bytes: the two calls everything else is about.
// Contract: semantics/pipes-signalfd.md A3, A4, A5. A count, or -errno.
#pragma once

#include "pipe/cursor.hpp"
#include "pipe/pair.hpp"

namespace quay::pipe {

class system;

long read(system& sys, const subject& call, cursor to) noexcept;
long write(system& sys, const subject& call, cursor from) noexcept;

}  // namespace quay::pipe
