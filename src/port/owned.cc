// SPDX-License-Identifier: BSD-2-Clause
//
// What: associations of descriptors that another system of ours owns, a pipe's ends above all: what
//       is ready is the owner's to say, not the kernel's.
// Contract: core::descriptor_owner: observe() is the truth, changed() and the kernel's edges say
//           when to ask.
// Locking: observe() locks nothing that is held across changed(), so it may be asked under a port's.
#include "port/port.hpp"

namespace quay::port {
namespace {
constexpr short kBoth = POLLIN | POLLOUT;
constexpr std::uint32_t kIn = POLLIN | POLLRDNORM;
constexpr std::uint32_t kOut = POLLOUT | POLLWRNORM;
}  // namespace

// An owner whose readiness is the kernel's own is none to us.
bool port::is_owned(int fd) noexcept {
  core::descriptor_owner* owner = env_.descriptors.owner_of(fd);
  core::observation seen;
  return owner != nullptr && owner->kernel_hints(fd, kBoth) != kBoth &&
         owner->observe(fd, false, seen);
}

// As poll() would: what was wanted, and a hang-up whether wanted or not.
std::uint32_t port::owner_shows(const slot& s) noexcept {
  core::descriptor_owner* owner = env_.descriptors.owner_of(s.fd);
  core::observation in;
  core::observation out;
  if (owner == nullptr || !owner->observe(s.fd, false, in) || !owner->observe(s.fd, true, out)) {
    return 0;
  }
  const std::uint32_t wanted = about(s).wanted;
  std::uint32_t shown = 0;
  if (in.ready || in.eof) shown |= wanted & kIn;
  if (out.ready || out.eof) shown |= wanted & kOut;
  return in.eof && out.eof ? shown | POLLHUP : shown;
}

void port::ask_owner_locked(slot_index i) noexcept {
  const slot& s = slot_at(i);
  if (s.state != slot_state::armed) return;
  if (const std::uint32_t bits = owner_shows(s); bits != 0) fire_locked(i, bits);
}

void port::look_at(int fd) noexcept {
  each_own(fd, [this](slot_index i) {
    if (slot_at(i).kernel == watch::owned) ask_owner_locked(i);
  });
}

}  // namespace quay::port
