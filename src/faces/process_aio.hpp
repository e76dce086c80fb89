// SPDX-License-Identifier: BSD-2-Clause
//
// What: where the faces find the process's aio engine, and how a struct sigevent is read.
#pragma once

#include <signal.h>

#include "aio/engine.hpp"

namespace quay::faces {

// Made at first use, after the systems that it tells of ends; never destroyed.
aio::engine& process_aio() noexcept;

// What the sigevent wishes; null wishes nothing. Returns an errno: EINVAL, no such wish.
int read_sigevent(const sigevent* from, aio::notification& to) noexcept;

}  // namespace quay::faces
