// SPDX-License-Identifier: BSD-2-Clause
//
// What: the two announcements around a call that runs another program.
// Contract: semantics/pipes-signalfd.md B8 rule 9: what the program ignores, and libquay only
//           pretends to ignore because a queue watches it, is ignored by the new program; what it
//           inherits of pipes is the kernel's. A failed exec leaves everything as it was.
// Invariants: between the announcements only libc's call runs; in a child of vfork they change no
//             memory.
#pragma once

#include "faces/hook_points.hpp"

namespace quay::hooks {

class another_program {
 public:
  another_program() noexcept { quay_hook_before_exec(); }
  ~another_program() { quay_hook_after_exec(); }
  another_program(const another_program&) = delete;
  another_program& operator=(const another_program&) = delete;
};

}  // namespace quay::hooks
