// SPDX-License-Identifier: BSD-2-Clause
//
// What: the requests that name the process, or with a negative number the process group, that hears
//       of a pipe by SIGIO.
// Contract: semantics/pipes-signalfd.md A8. The terminal's two requests are of the other sign.
#pragma once

#include <sys/ioctl.h>

// What <sys/ioctl.h> leaves to <asm/sockios.h>.
#ifndef FIOSETOWN
#define FIOSETOWN 0x8901
#define FIOGETOWN 0x8903
#endif

namespace quay::pipe {

constexpr bool names_sigio_owner(unsigned long request) noexcept {
  return request == FIOSETOWN || request == TIOCSPGRP;
}
constexpr bool asks_for_sigio_owner(unsigned long request) noexcept {
  return request == FIOGETOWN || request == TIOCGPGRP;
}
// Between the number in such a request and a process: its own inverse. The smallest number, which
// has no negative, is nobody's either way.
constexpr int sigio_owner(unsigned long request, int number) noexcept {
  const bool terminals = request == TIOCSPGRP || request == TIOCGPGRP;
  return terminals ? static_cast<int>(0u - static_cast<unsigned>(number)) : number;
}

}  // namespace quay::pipe
