// SPDX-License-Identifier: BSD-2-Clause
//
// What: which descriptors of the process mean something to us: the owner interface (the seeds'
//       struct fileops, plus closing and forking) and the table that finds it by number.
// Contract: a number that no system of ours made or watches costs one look-up of one byte.
// Invariants:
//   1. The low bits of a byte name the number's owner, 0 when it is none of ours.
//   2. kWatched is set while some system may have registrations on the number; it may be stale, but
//      is never missing.
//   3. A signal handler that interrupts a holder of one of our mutexes takes none: the owners hear
//      of its closes from closed_before(), as soon as the interrupted thread holds no mutex. The number keeps
//      kClosing until then, or until it is assigned to something new.
// Ownership: owners and the table's pages live as long as the process.
// Locking: none, all atomics. An owner looks its object up again under its own lock.
#pragma once

#include <sys/stat.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/file_call.hpp"
#include "core/growable.hpp"

namespace quay::core {

// What an owner knows of one direction of its object without asking the kernel.
struct observation {
  bool ready = false;
  bool eof = false;
  bool last = false;         // with eof: nothing more will ever be observed, notes go with it
  std::int64_t data = 0;     // bytes to read, or room to write
  std::uint32_t fflags = 0;  // with eof: the error, 0 for none
};

class host;

// What a list of buffers asks for in all, or -errno for a list that no call takes.
long total_of(host& os, const iovec* parts, int count) noexcept;

// A system whose objects are named by descriptors. Calls return a result or -errno; the number may
// have ceased to be the owner's, then they answer -EBADF. kAskKernel: libc's own call is right.
class descriptor_owner {
 public:
  static constexpr int kAskKernel = INT32_MIN;

  // Both may be points of cancellation, as read(2) and write(2) are: they may be unwound. The list is
  // one that total_of() accepts; what it points to is anybody's guess.
  virtual long read(int fd, const iovec* parts, int count) = 0;
  virtual long write(int fd, const iovec* parts, int count) = 0;
  virtual int stat(int fd, struct stat& out) noexcept = 0;
  virtual int ioctl(int fd, unsigned long request, void* argument) noexcept = 0;
  // F_GETOWN, whose answer may be negative, puts it where `argument` points.
  virtual int fcntl(int fd, int command, void* argument) noexcept = 0;
  virtual int answer(int /*fd*/, file_call) noexcept { return kAskKernel; }
  // What poll() would report of `events` now.
  virtual int poll(int fd, short events) noexcept = 0;

  // The object's own view of a direction, for notes on the descriptor: true when it has one; the
  // kernel's readiness of the number is then no more than a hint to look. Called under the watching
  // queue's mutex: must not lock anything that is held across a call of changed().
  virtual bool observe(int /*fd*/, bool /*writing*/, observation&) noexcept { return false; }
  // Which of the events the kernel shows by itself. Not all: its edges, of whatever direction, say
  // to look at poll() or observe() again, its levels nothing.
  virtual short kernel_hints(int /*fd*/, short events) noexcept { return events; }
  // What another owner's object behind `fd` shows has changed: notes on the number must look.
  virtual void changed(int /*fd*/) noexcept {}
  // The same, of one direction only.
  virtual void changed(int fd, bool /*writing*/) noexcept { changed(fd); }

  // Of every number that is owned or watched by any system, before and after the kernel closes or
  // replaces it: drop what belongs to it.
  virtual void closing(int fd) noexcept = 0;
  virtual void closed(int fd) noexcept = 0;
  // The same, told only after the number was closed, and perhaps after it was given to another
  // object (invariant 3): what belongs to an object that lives now stays.
  virtual void closed_before(int fd) noexcept {
    closing(fd);
    closed(fd);
  }
  // Whether the number may be sent to another process (SCM_RIGHTS). Returns 0 or an errno.
  virtual int sending(int /*fd*/) noexcept { return 0; }
  // `to` has become another number of the owner's object behind `from`.
  virtual void duplicated(int from, int to) noexcept = 0;

  // fork: take all locks; give them back; or forget, in the child, what is the parent's.
  virtual void before_fork() noexcept = 0;
  virtual void after_fork_in_parent() noexcept = 0;
  virtual void after_fork_in_child() noexcept = 0;

 protected:
  constexpr descriptor_owner() noexcept = default;
  ~descriptor_owner() = default;
};

class descriptor_table {
 public:
  static constexpr int kMostOwners = 8;

  constexpr descriptor_table() noexcept = default;
  descriptor_table(const descriptor_table&) = delete;
  descriptor_table& operator=(const descriptor_table&) = delete;

  // Makes an owner known. Call once for each, before its first descriptor.
  // Several threads may.
  void enroll(descriptor_owner& owner) noexcept;
  // The owners in the order of their enrolment, which is the order of their locks.
  int enrolled() const noexcept { return enrolled_.load(std::memory_order_acquire); }
  descriptor_owner& owner(int n) const noexcept { return *owner_at(n); }

  descriptor_owner* owner_of(int fd) const noexcept {
    const int n = load(fd) & kOwner;
    return n != 0 ? owner_at(n - 1) : nullptr;
  }
  // Owned or watched: closing it must be announced.
  bool concerns_us(int fd) const noexcept { return load(fd) != 0; }
  // No number above this one concerns us.
  int highest() const noexcept;

  // False: no memory, or the number is beyond what the table holds (16 million).
  // `fresh`: from the kernel just now; a close that was announced is of what the number was before.
  bool assign(int fd, const descriptor_owner& owner, bool fresh = true) noexcept;
  // Unless the number, closed unseen, has become another system's meanwhile.
  void clear_owner(int fd, const descriptor_owner& of) noexcept {
    if (owner_of(fd) == &of) clear_owner(fd);
  }
  bool watch(int fd) noexcept;

  // An owner announces, with no lock held, that observe() of the number may now say more.
  void changed(int fd) noexcept {
    if ((load(fd) & kWatched) == 0) return;
    for (int n = 0; n < enrolled(); ++n) owner(n).changed(fd);
  }

  void changed(int fd, bool writing) noexcept {
    if ((load(fd) & kWatched) == 0) return;
    for (int n = 0; n < enrolled(); ++n) owner(n).changed(fd, writing);
  }

  // The two announcements of a close: every owner hears of each.
  void closing(int fd) noexcept;
  void closed(int fd) noexcept;
  bool is_closing(int fd) const noexcept { return (load(fd) & kClosing) != 0; }
  // Being closed right now: lets the kernel's part pass, so that the number means one thing. Not for long: the caller
  // may be a handler that interrupts the close.
  void await_close(host& os, int fd) const noexcept;
  // A close that this thread's signal handler put off; see pay_debts().
  void closed_before(int fd) noexcept;

  // In a forked child: nothing is watched any more. Owners clear what they own.
  void unwatch_all() noexcept;

 private:
  void clear_owner(int fd) noexcept {
    if (std::uint8_t* e = find(fd); e != nullptr) {
      std::atomic_ref(*e).fetch_and(static_cast<std::uint8_t>(~kOwner));
    }
  }
  static constexpr std::uint8_t kWatched = 0x80;
  static constexpr std::uint8_t kClosing = 0x40;
  static constexpr std::uint8_t kOwner = 0x3f;
  static constexpr std::uint32_t kChunkBits = 16;
  static constexpr std::uint32_t kChunks = 256;

  std::uint8_t* find(int fd) const noexcept {
    const auto n = static_cast<std::uint32_t>(fd);
    if (n >> kChunkBits >= kChunks) return nullptr;
    std::uint8_t* chunk = chunks_[n >> kChunkBits].load(std::memory_order_acquire);
    return chunk != nullptr ? &chunk[n & ((1u << kChunkBits) - 1)] : nullptr;
  }
  std::uint8_t load(int fd) const noexcept {
    std::uint8_t* entry = find(fd);
    return entry != nullptr ? std::atomic_ref(*entry).load(std::memory_order_acquire)
                            : std::uint8_t{0};
  }
  std::uint8_t* demand(int fd) noexcept;

  descriptor_owner* owner_at(int n) const noexcept {
    return owners_[n].load(std::memory_order_relaxed);
  }

  // A place is taken once, in order, before enrolled_ counts it.
  std::atomic<descriptor_owner*> owners_[kMostOwners] = {};
  std::atomic<int> enrolled_{0};
  std::atomic<std::uint8_t*> chunks_[kChunks] = {};
};

}  // namespace quay::core
