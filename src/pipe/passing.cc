// SPDX-License-Identifier: BSD-2-Clause
//
// What: handing a pipe to a process that is no child: its memory goes along as an object.
// Contract: include/quay/quay.h, quay_pipe_send; semantics/pipes-signalfd.md A12.16, A12.17.
// Invariants:
//   1. Pipes are made in memory without a name, which costs no descriptor. Only this process has it
//      while `several` is 0: then it can be exchanged, at the same address, for an object's.
//   2. What children of fork have already cannot be exchanged: such a pipe becomes the kernel's.
//   3. A pipe that was sent is in nobody's budget: its end may come in a process that knows of none.
// Ownership: sender and receiver each keep one descriptor of the object, to hand the pipe on.
// Locking: all locks of both rings while the memory is exchanged, the system's lock under them.
// Wakeups: everybody who sleeps in the old memory, or is about to, looks again in the new.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "host/sharing.hpp"
#include "pipe/wait.hpp"

namespace quay::pipe {
namespace {

constexpr std::uint64_t kMark = 0x6570697079617571;  // "quaypipe"

template <class F>
void each_place(shared_pipe& p, F f) noexcept {
  for (direction& d : p.to) {
    f(d.readers);
    f(d.writers);
  }
}

// The same bytes in an object, where they were. The rings' locks are held, so whatever changes
// meanwhile is a hint, or the flag of somebody who goes to sleep: him we wake.
bool exchange_memory(shared_pipe& p, int object) noexcept {
  void* const old = host::view_again(&p, kSlot);
  void* const fresh = old != nullptr ? host::map_shared(kSlot) : nullptr;
  bool done = false;
  if (fresh != nullptr && host::map_object(object, fresh, kSlot)) {
    std::memcpy(fresh, old, kSlot);
    done = host::map_object(object, &p, kSlot);
  }
  if (fresh != nullptr) host::memory_unmap(fresh, kSlot);
  if (done) {
    for (direction& d : p.to) {
      d.writing.moved();
      d.reading.moved();
      d.listening.fetch_or(kObservers | kBytesAwaited | kRoomAwaited);
    }
    each_place(p, [](sleeping_place& at) {
      at.asleep.store(kSleeping);
      at.bell.fetch_add(1);
      host::wake_shared(at.bell);
    });
    each_place(*static_cast<shared_pipe*>(old),
               [](sleeping_place& at) { host::wake_shared(at.bell); });
  }
  if (old != nullptr) host::memory_unmap(old, kSlot);
  return done;
}

}  // namespace

// -EXDEV: children of fork have the memory as it is.
int system::object_of(const subject& s) noexcept {
  shared_pipe& p = s.memory();
  const host::biased_hold forward_writers(p.to[0].writing);
  const host::biased_hold forward_readers(p.to[0].reading);
  const host::biased_hold backward_writers(p.to[1].writing);
  const host::biased_hold backward_readers(p.to[1].reading);
  if (!forward_writers.held() || !forward_readers.held() || !backward_writers.held() ||
      !backward_readers.held()) {
    return -EAGAIN;
  }
  // A fork may begin only when this is done.
  core::guard hold(lock_);
  if (s.stale()) return -EBADF;
  if (s.of->object >= 0) return host::is_object(s.of->object, kSlot) ? s.of->object : -EBADF;
  // The program may be writing there: it would be lost.
  for (const direction& d : p.to) {
    if (const std::uint32_t who = d.reserved_by.load(); who != 0 && host::thread_exists(who)) {
      return -EBUSY;
    }
  }
  if (p.several.load() != 0 || p.plain.load() != 0) return -EXDEV;
  const int object = host::make_object(kSlot);
  if (object < 0) return object;
  for (direction& d : p.to) d.forget_unwritten();
  if (!exchange_memory(p, object)) {
    os_.discard(object);
    return -ENOMEM;
  }
  for (int end = 0; end < 2; ++end) {
    if (p.gone[end].load() == 0) sizes_.give_back(p.to[end].size.load());
  }
  s.of->counted = false;
  s.of->object = object;
  p.several.store(1);
  host::shorten_kernel_pipe(s.own().descriptor);
  return object;
}

int system::send(int socket, int fd) noexcept {
  int both[2] = {fd, -1};
  subject s{};
  if (look_up(fd, s)) {
    both[1] = object_of(s);
    if (both[1] == -EXDEV) {
      make_plain(s);
    } else if (both[1] < 0) {
      return both[1];
    }
  }
  return -host::send_descriptors(socket, kMark, both, both[1] >= 0 ? 2 : 1);
}

// A message of the program's own: who gets it may know nothing of us.
int system::sending(int fd) noexcept {
  if (subject s{}; look_up(fd, s)) make_plain(s);
  return 0;
}

int system::receive(int socket) noexcept {
  int both[2] = {-1, -1};
  std::uint64_t mark = 0;
  const int came = host::receive_descriptors(socket, mark, both, 2);
  if (came < 0) return came;
  int error = came > 0 && mark == kMark ? 0 : -EBADMSG;
  if (error == 0 && came == 2) error = adopt(both[0], both[1]);
  if (error == 0) return both[0];
  for (int i = 0; i < came; ++i) os_.discard(both[i]);
  return error;
}

// Both descriptors are the pipe's from now on, unless it fails.
int system::adopt(int fd, int object) noexcept {
  struct stat kernel {};
  const long flags = host::kernel_control(fd, F_GETFL, nullptr);
  if (flags < 0 || host::kernel_stat(fd, kernel) != 0 || !S_ISFIFO(kernel.st_mode) ||
      !host::is_object(object, kSlot)) {
    return -EBADMSG;
  }
  const int end = (flags & O_ACCMODE) == O_RDONLY ? 0 : 1;
  core::guard hold(lock_);
  pair* p = nullptr;
  for (std::uint32_t i = 0; i < made_ && p == nullptr; ++i) {
    if (pairs_[i].object >= 0 && host::is_same_object(pairs_[i].object, object)) p = &pairs_[i];
  }
  const bool known = p != nullptr;
  if (!known) p = make_locked();
  if (p == nullptr) return -ENOMEM;
  const bool mapped = known || host::map_object(object, p->shared, kSlot);
  if (mapped && give_locked(fd, *p, end)) {
    if (known) os_.discard(object);
    p->object = known ? p->object : object;
    p->counted = false;
    return 0;
  }
  if (!known) {
    if (mapped) host::renew_shared(p->shared, kSlot);
    p->next_free = free_;
    free_ = p;
  }
  return mapped ? -EMFILE : -ENOMEM;
}

}  // namespace quay::pipe
