// SPDX-License-Identifier: BSD-2-Clause
//
// What: what may be asked of a file by its number, beyond the calls that core::descriptor_owner has
//       a member for; libquay-hooks passes it on.
#pragma once

#include <cstdint>

namespace quay::core {

enum class file_call : std::uint8_t {
  truncate,
  mode,   // fchmod
  owner,  // fchown
  times,
  lock,    // flock
  epoll,   // epoll_ctl of a set of the program's: from now on the kernel's readiness must be right
  splice,  // moving bytes without the program: splice, tee, vmsplice, sendfile
};

}  // namespace quay::core
