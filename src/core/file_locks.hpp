// SPDX-License-Identifier: BSD-2-Clause
//
// What: fcntl()'s commands that lock a file for the process. A 32-bit library with large files, as this
//       is, has numbers for them that programs with small files do not have.
#pragma once

#include <fcntl.h>

namespace quay::core {

constexpr bool is_file_lock(int command) noexcept {
  constexpr int kSmallFirst = 5;  // F_GETLK, F_SETLK, F_SETLKW
  constexpr int kSmallLast = 7;
  return command == F_GETLK || command == F_SETLK || command == F_SETLKW ||
         (command >= kSmallFirst && command <= kSmallLast);
}

}  // namespace quay::core
