// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay_signalfd, which is also <sys/signalfd.h>'s signalfd() for illumos programs.
// Contract: include/quay/quay.h; semantics/pipes-signalfd.md B2.
#include <quay/quay.h>

#include <cerrno>
#include <new>

#include "faces/first_use.hpp"
#include "faces/process_system.hpp"
#include "host/linux_host.hpp"
#include "host/signal_files.hpp"
#include "signalfd/system.hpp"

namespace {

quay::signalfd::system& process_signalfds() noexcept {
  static constinit quay::faces::first_use<quay::signalfd::system> only;
  return only.get([](void* storage) {
    const bool hooked = quay::faces::process_system().hooked();
    return ::new (storage) quay::signalfd::system(quay::host::linux_host::instance(),
                                                  quay::faces::descriptors(), hooked);
  });
}

}  // namespace

int quay_signalfd(int fd, const sigset_t* mask, int flags) {
  const int made = (flags & QUAY_SIGNALFD_LINUX) != 0
                       ? quay::host::signal_file_set(fd, mask, flags & ~QUAY_SIGNALFD_LINUX)
                       : process_signalfds().set(fd, mask, flags);
  if (made >= 0) return made;
  errno = -made;
  return -1;
}
