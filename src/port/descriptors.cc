// SPDX-License-Identifier: BSD-2-Clause
//
// What: PORT_SOURCE_FD: associating descriptors, taking them off, and what their closing means.
// Contract: semantics/ports.md 2.2, 2.3 and 4.1.
// Invariants: an association is named by the descriptor's number and its open file, which is
//             exactly how an epoll set names a registration: one of ours is one of the kernel's.
#include <cerrno>

#include "host/sharing.hpp"
#include "host/signal_files.hpp"
#include "port/port.hpp"

namespace quay::port {
namespace {

// Poll's bits are epoll's, up to here; above are epoll's own switches.
constexpr std::uint32_t kPollBits = 0x3fff;
constexpr std::uint32_t kReadyAlways = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
constexpr std::uint8_t kRegained = 16;  // re-associations until leaving armed is tried again

}  // namespace

// --- finding --------------------------------------------------------------------------------------

void port::put_in_bucket_locked(slot_index i) noexcept {
  auto& bucket = state_->buckets[bucket_of(slot_at(i).fd)];
  about(i).next_in_bucket = bucket.load(std::memory_order_relaxed);
  bucket.store(i, std::memory_order_release);
}

void port::take_from_bucket_locked(slot_index i) noexcept {
  auto& bucket = state_->buckets[bucket_of(slot_at(i).fd)];
  slot_index at = bucket.load(std::memory_order_relaxed);
  if (at == i) {
    bucket.store(about(i).next_in_bucket, std::memory_order_release);
    return;
  }
  walk_limit to(most_slots_);
  while (at != kNil && about(at).next_in_bucket != i) at = to(about(at).next_in_bucket);
  if (at != kNil) about(at).next_in_bucket = about(i).next_in_bucket;
}

bool port::has_own_locked(int fd) noexcept {
  shared_state& st = *state_;
  slot_index i = st.buckets[bucket_of(fd)].load(std::memory_order_relaxed);
  walk_limit to(most_slots_);
  while (i != kNil && (slot_at(i).fd != fd || slot_at(i).owner != me_)) {
    i = to(about(i).next_in_bucket);
  }
  return i != kNil;
}

// The association of what this process calls `fd`: its own, or another's if that is the same file.
slot_index port::find_locked(int fd) noexcept {
  shared_state& st = *state_;
  slot_index foreign = kNil;
  slot_index i = st.buckets[bucket_of(fd)].load(std::memory_order_relaxed);
  walk_limit to(most_slots_);
  for (; i != kNil; i = to(about(i).next_in_bucket)) {
    if (slot_at(i).fd != fd) continue;
    if (slot_at(i).owner == me_) return i;
    const bool own_view = (slot_at(i).traits & kOwnView) != 0;
    if (foreign == kNil && !own_view && same_file(slot_at(i))) foreign = i;
  }
  return foreign;
}

// --- associating ----------------------------------------------------------------------------------

void port::arm_locked(slot_index i, std::uint32_t wanted, void* user) noexcept {
  slot& s = slot_at(i);
  cancel_locked(i);
  about(i).wanted = wanted;
  s.user = reinterpret_cast<std::uintptr_t>(user);
  about(i).armed_at = ++state_->order;
  s.state = slot_state::armed;
  if (s.kernel == watch::owned) ask_owner_locked(i);
  if (s.kernel != watch::always) return;
  if ((wanted & kReadyAlways) != 0) fire_locked(i, wanted & kReadyAlways);
}

int port::associate(int fd, int events, void* user) noexcept {
  section hold(*this);
  if (hold.error() != 0) return hold.error();
  const std::uint32_t wanted = static_cast<std::uint32_t>(events) & kPollBits;
  for (int attempt = 0; attempt < 3; ++attempt) {
    const slot_index i = find_locked(fd);
    const int error = i != kNil ? associate_again_locked(i, wanted, user)
                                : associate_anew_locked(fd, wanted, user);
    if (error != ENOENT) return error;
  }
  return EBADFD;
}

// ENOENT: the number is another file by now; the old association is gone.
int port::associate_again_locked(slot_index i, std::uint32_t wanted, void* user) noexcept {
  slot& s = slot_at(i);
  if (!is_registered(s.kernel)) {
    // Nothing registered: only the program's closings tell, where they are announced.
    if (!env_.hooked && !env_.os.is_open(s.fd)) {
      drop_descriptor_locked(i, false);
      return EBADFD;
    }
    arm_locked(i, wanted, user);
    return 0;
  }
  if (s.kernel == watch::owned) {
    if (!env_.hooked && !still_open(s)) {
      drop_descriptor_locked(i, false);
      return ENOENT;
    }
    arm_locked(i, wanted, user);
    return 0;
  }
  const bool lazy = may_leave_armed();
  // An event that was never fetched goes, and its successor is younger than all there is.
  if (s.state == slot_state::queued) harvest_locked(false);
  if (lazy && s.kernel == watch::level && (about(i).registered & wanted) == wanted) {
    s.disarms = 0;
    arm_locked(i, wanted, user);
    return 0;
  }
  bool level = lazy && s.disarms < kPatience;
  if (lazy && !level && ++s.cleans >= kRegained) {
    s.cleans = s.disarms = 0;
    level = true;
  }
  if (state_->leader == 0 && state_->watched != 0) harvest_locked(false);
  core::bump(env_.count.epoll_ctls);
  const int error =
      env_.os.set_modify(descriptor(), s.fd, wanted | (level ? 0u : EPOLLONESHOT), name_of(i));
  if (error != 0) {
    drop_descriptor_locked(i, false);
    return error == EBADF ? EBADFD : ENOENT;
  }
  about(i).registered = wanted;
  set_watch_locked(s, level ? watch::level : watch::one_shot);
  arm_locked(i, wanted, user);
  if (state_->leader == 0) harvest_locked(false);
  return 0;
}

int port::associate_anew_locked(int fd, std::uint32_t wanted, void* user) noexcept {
  shared_state& st = *state_;
  if (st.used >= most_slots_ && !env_.os.is_open(fd)) return EBADFD;
  const slot_index i = reserve_locked();
  if (i == kNil) return EAGAIN;
  slot& s = slot_at(i);
  s.fd = fd;
  s.source = PORT_SOURCE_FD;
  s.object = static_cast<std::uint64_t>(fd);
  s.traits = kKept;
  if (shows_each_process_its_own(fd)) {
    s.traits |= kOwnView;
    asks_ = true;
  }
  if (st.leader == 0 && st.watched != 0) harvest_locked(false);
  const bool owned = is_owned(fd);
  if (env_.hooked || owned) env_.descriptors.watch(fd);
  const bool level = may_leave_armed();
  const std::uint32_t bits = owned   ? EPOLLIN | EPOLLOUT | static_cast<std::uint32_t>(EPOLLET)
                             : level ? wanted
                                     : wanted | EPOLLONESHOT;
  core::bump(env_.count.epoll_ctls);
  int error = env_.os.set_add(descriptor(), fd, bits, name_of(i));
  // A registration that no association stands behind: of a process that died, or of a number whose
  // closing nobody told us of.
  const bool asked = error == EEXIST && st.shared && (s.traits & kOwnView) != 0;
  if (asked) {
    error = 0;  // another process's: only there it is woken
  } else if (error == EEXIST) {
    error = env_.os.set_modify(descriptor(), fd, bits, name_of(i));
  }
  if (error != 0 && error != EPERM) {
    unreserve_locked(i);
    return error == EBADF ? EBADFD : error == ENOSPC ? ENOMEM : error;
  }
  st.had_descriptors = true;
  about(i) = {
      .next_in_bucket = kNil, .wanted = wanted, .registered = wanted, .look = 0, .armed_at = 0};
  s.state = slot_state::idle;
  put_in_bucket_locked(i);
  set_watch_locked(s, asked            ? watch::asked
                      : error == EPERM ? watch::always
                      : owned          ? watch::owned
                      : level          ? watch::level
                                       : watch::one_shot);
  arm_locked(i, wanted, user);
  if (st.leader == 0 && is_registered(s.kernel)) harvest_locked(false);
  return 0;
}

bool port::shows_each_process_its_own(int fd) noexcept {
  std::uint64_t mask = 0;
  return env_.descriptors.owner_of(fd) != nullptr && host::signal_file_mask(fd, mask);
}

// Only the process that registered a signalfd is woken for its signals, and when another one looks
// first the kernel finds nothing there and forgets the report. So where others have, or had, the
// port each process asks for what it associated, at every look and at every tick.
void port::ask_for_own_locked() noexcept {
  if (!forked_ || !asks_) return;
  asks_ = false;
  const slot_index last = last_slot();
  for (slot_index i = 1; i <= last; ++i) {
    slot& s = slot_at(i);
    if (s.state == slot_state::free || s.owner != me_ || (s.traits & kOwnView) == 0) continue;
    asks_ = true;
    if (s.state != slot_state::armed) continue;
    const std::uint32_t wanted = about(i).wanted;
    const std::uint32_t bits = env_.os.poll_now(s.fd, wanted) & (wanted | POLLERR | POLLHUP);
    if (bits != 0) fire_locked(i, bits);
  }
}

// --- taking off -----------------------------------------------------------------------------------

void port::drop_descriptor_locked(slot_index i, bool from_kernel) noexcept {
  slot& s = slot_at(i);
  const int fd = s.fd;
  const bool registered = is_registered(s.kernel);
  if (s.state == slot_state::queued) cancel_locked(i);
  free_locked(i);
  if (from_kernel && registered) env_.os.set_remove(descriptor(), fd);
}

int port::dissociate(int fd) noexcept {
  section hold(*this);
  if (hold.error() != 0) return hold.error();
  if (!state_->had_descriptors) return ENOENT;
  const slot_index i = find_locked(fd);
  // With the hooks an association of our own says that the number is open.
  if ((i == kNil || !env_.hooked) && !env_.os.is_open(fd)) return EBADFD;
  if (i == kNil) return ENOENT;
  slot& s = slot_at(i);
  if (!env_.hooked && s.owner == me_ && !still_open(s)) {
    drop_descriptor_locked(i, false);
    return ENOENT;
  }
  if (s.owner != me_) return EACCES;
  const bool pending = s.state == slot_state::armed || s.state == slot_state::queued;
  drop_descriptor_locked(i, true);
  return pending ? 0 : ENOENT;
}

// --- closing --------------------------------------------------------------------------------------

// Whether a number still is what was associated: nobody but the kernel knows.
bool port::still_open(const slot& s) noexcept {
  if (!is_registered(s.kernel)) return env_.os.is_open(s.fd);
  core::bump(env_.count.identity_checks);
  const int error = env_.os.set_add(descriptor(), s.fd, EPOLLONESHOT, 0);
  if (error == 0) env_.os.set_remove(descriptor(), s.fd);
  return error == EEXIST;
}

void port::forget(int fd) noexcept {
  each_own(fd, [this](slot_index i) { drop_descriptor_locked(i, true); });
}

void port::verify(int fd) noexcept {
  each_own(fd, [this](slot_index i) {
    if (!still_open(slot_at(i))) drop_descriptor_locked(i, false);
  });
}

}  // namespace quay::port
