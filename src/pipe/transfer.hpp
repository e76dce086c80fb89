// SPDX-License-Identifier: BSD-2-Clause
//
// What: moving bytes: the two calls everything else is about.
// Contract: semantics/pipes-signalfd.md A3, A4, A5, A12.21. A count, or -errno. Who sleeps in one that is
//           not noexcept may be cancelled: nothing above it is noexcept, and what it claimed is given back
//           by destructors.
#pragma once

#include "pipe/cursor.hpp"
#include "pipe/pair.hpp"

namespace quay::pipe {

class system;

// What a call finds when the pipe became plain: from here on the kernel moves the bytes.
inline constexpr int kPlain = 4096;  // beyond every errno

// Writing into the ring, and reading from it, without a copy: reserve, then commit; peek, then
// consume. -EOPNOTSUPP: the kernel moves this pipe's bytes; -EINVAL: more than was reserved or
// peeked at, or nothing was, by this thread.
long reserve(system& sys, const subject& call, std::size_t n, iovec& room);
long commit(system& sys, const subject& call, std::size_t n) noexcept;
long peek(system& sys, const subject& call, iovec& bytes);
long consume(system& sys, const subject& call, std::size_t n) noexcept;

long read(system& sys, const subject& call, cursor to);
long write(system& sys, const subject& call, cursor from);

}  // namespace quay::pipe
