// SPDX-License-Identifier: BSD-2-Clause
//
// What: the objects that the descriptor benchmarks watch: pairs whose writer makes the reader
//   ready.
// Invariants: both ends are non-blocking; a byte written is readable when write returns (TCP over
//   loopback: as good as always, and the consumers wait for the rest).

#pragma once

#include <cstddef>
#include <vector>

#include "system.hpp"

namespace quay::bench {

enum class object_kind { unix_socket, pipe, tcp };

struct channel {
  unique_fd reader;
  unique_fd writer;
};

std::vector<channel> make_channels(object_kind kind, std::size_t count);

}  // namespace quay::bench
