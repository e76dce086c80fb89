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

// Writing into the ring, and reading from it, without a copy: reserve, then commit; peek, then
// consume. -EOPNOTSUPP: the kernel moves this pipe's bytes; -EINVAL: more than was reserved or
// peeked at, or nothing was, by this thread.
long reserve(system& sys, const subject& call, std::size_t n, iovec& room) noexcept;
long commit(system& sys, const subject& call, std::size_t n) noexcept;
long peek(system& sys, const subject& call, iovec& bytes) noexcept;
long consume(system& sys, const subject& call, std::size_t n) noexcept;

long read(system& sys, const subject& call, cursor to) noexcept;
long write(system& sys, const subject& call, cursor from) noexcept;

}  // namespace quay::pipe
