// SPDX-License-Identifier: BSD-2-Clause
//
// What: how a struct sigevent names a port: SIGEV_PORT.
// Contract: semantics/ports.md 4.5 to 4.7; the port_notify_t is read once and may go.
#pragma once

#include <signal.h>
#include <sys/port.h>

#include <cerrno>

#include "host/linux_host.hpp"

namespace quay::faces {

// 0 or EFAULT.
inline int read_port_notify(const sigevent& from, port_notify_t& to) noexcept {
  const auto* notify = static_cast<const port_notify_t*>(from.sigev_value.sival_ptr);
  core::host& os = host::linux_host::instance();
  if (notify == nullptr || os.readable_prefix(notify, sizeof *notify) < sizeof *notify) {
    return EFAULT;
  }
  to = *notify;
  return 0;
}

}  // namespace quay::faces
