// SPDX-License-Identifier: BSD-2-Clause
//
// What: the process's pipes: which descriptor is which end, their making, closing, forking, and
//       the calls on them that are not reading or writing.
// Contract: semantics/pipes-signalfd.md A1, A6, A8; docs/design.md, "Pipes".
// Invariants:
//   1. Behind each pipe is one of the kernel's: its two descriptors are ours, it carries no bytes,
//      and its hang-up is what tells that the last descriptor of an end is gone.
//   2. While a pipe is this process's alone (shared_pipe::several is 0) our own count of numbers
//      says the same, and nobody asks the kernel.
//   3. `gone` of an end is set once, by whoever notices first; that one gives its memory back.
// Ownership: pairs and their memory are recycled; memory that another process may have is given
//            to that process for good.
// Locking: lock_ (a leaf) guards the pairs' sides and the free list. It is never held across a
//          wait, and taken under a ring's lock, never the other way round.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/descriptors.hpp"
#include "core/mutex.hpp"
#include "core/tunables.hpp"
#include "host/pipes.hpp"
#include "pipe/budget.hpp"
#include "pipe/pair.hpp"

namespace quay::pipe {

class system final : public core::descriptor_owner {
 public:
  system(core::host& os, core::descriptor_table& descriptors, core::tunables& tune) noexcept;
  system(const system&) = delete;
  system& operator=(const system&) = delete;

  // pipe2: 0 or -errno.
  int open(int fds[2], int flags) noexcept;

  // Hands a descriptor over a connected unix socket, and takes one: 0 or the descriptor, or -errno.
  // One that is no pipe of ours goes as it is.
  int send(int socket, int fd) noexcept;
  int receive(int socket) noexcept;

  // What may wait is a point of cancellation.
  long read(int fd, const iovec* parts, int count) override;
  long write(int fd, const iovec* parts, int count) override;
  // Without a copy (transfer.hpp); of what is no pipe of ours -EOPNOTSUPP.
  long reserve(int fd, std::size_t n, iovec& room);
  long commit(int fd, std::size_t n) noexcept;
  long peek(int fd, iovec& bytes);
  long consume(int fd, std::size_t n) noexcept;
  int stat(int fd, struct stat& out) noexcept override;
  int ioctl(int fd, unsigned long request, void* argument) noexcept override;
  int fcntl(int fd, int command, void* argument) noexcept override;
  int answer(int fd, core::file_call what) noexcept override;
  int poll(int fd, short events) noexcept override;

  bool observe(int fd, bool writing, core::observation& out) noexcept override;

  short kernel_hints(int fd, short events) noexcept override;

  int sending(int fd) noexcept override;
  void closing(int fd) noexcept override;
  void closed(int fd) noexcept override;
  void duplicated(int from, int to) noexcept override;

  void before_fork() noexcept override QUAY_NO_ANALYSIS;
  void after_fork_in_parent() noexcept override QUAY_NO_ANALYSIS;
  void after_fork_in_child() noexcept override QUAY_NO_ANALYSIS;

  // A program that knows nothing of us is about to be started in this process: the forward bytes of
  // every end that it inherits go into the kernel pipe, and so will all that follow, whoever moves
  // them. There is no way back; the backward direction ends.
  void before_exec() noexcept;

  // --- for the calls that move bytes -------------------------------------------------------------
  enum class advice : std::uint8_t { sleep, refuse, look_again };
  // Before a call would sleep: refuse, if its descriptor does not block; look again, if the other
  // end turned out to be gone. From its first sleep on a call keeps its end open: `counted` is set,
  // and the caller owes a leave() when it returns.
  advice enter_sleep(const subject& call, bool& counted) noexcept;
  void leave(const subject& call) noexcept;
  // Marks an end gone for good, and lets everybody know.
  void end_gone(pair& p, std::uint32_t life, int end) noexcept;
  // Asks the kernel whether the other end is gone, once a clock tick at most.
  void notice_death(const subject& call, std::int64_t now) noexcept;
  // The ring read at `end` changed, which is news at the end `for_whom`: tells who is not asleep in
  // a call but wants to know.
  void announce(pair& p, int end, int for_whom) noexcept {
    if (p.shared->to[end].listening.load(std::memory_order_relaxed) != 0) {
      tell_listeners(p, end, for_whom);
    }
  }

  // All pipes of the process, and what they take.
  void show(core::catalogue& c) const noexcept QUAY_NO_ANALYSIS;

  core::host& os() noexcept { return os_; }
  core::tunables& tune() noexcept { return tune_; }
  core::pipe_counters& count() noexcept { return count_; }
  budget& sizes() noexcept { return sizes_; }

 private:
  static constexpr std::uint32_t kChunkBits = 12;
  static constexpr std::uint32_t kChunks = 1u << 12;  // numbers below 16 million
  static constexpr std::uint32_t kMostPairs = 1u << 20;
  static constexpr std::uint32_t kSlotsAtOnce = 16;

  // What a number is: life << 32 | (index + 1) << 2 | kLast | end; 0: none of ours. kLast: it was the
  // last number of its end and is being closed.
  using entry = std::atomic<std::uint64_t>;
  static constexpr std::uint64_t kLast = 2;
  entry* find(int fd) const noexcept {
    const auto n = static_cast<std::uint32_t>(fd);
    if (n >> kChunkBits >= kChunks) return nullptr;
    entry* chunk = chunks_[n >> kChunkBits].load(std::memory_order_acquire);
    return chunk != nullptr ? &chunk[n & ((1u << kChunkBits) - 1)] : nullptr;
  }
  entry* demand(int fd) noexcept;
  bool look_up(int fd, subject& out) const noexcept {
    const entry* e = find(fd);
    const std::uint64_t value = e != nullptr ? e->load(std::memory_order_acquire) : 0;
    if (value == 0 || (value & kLast) != 0) return false;
    out.of = &pair_at(static_cast<std::uint32_t>(value >> 2 & 0x3fffffff) - 1);
    out.life = static_cast<std::uint32_t>(value >> 32);
    out.end = static_cast<int>(value & 1);
    return true;
  }
  bool give_locked(int fd, pair& p, int end) noexcept QUAY_REQUIRES(lock_);
  // The end has no descriptor in this process any more.
  void end_left(const subject& was) noexcept;
  void recycle(pair& p, bool with_strangers) noexcept;
  void make_plain(const subject& s) noexcept;
  int object_of(const subject& s) noexcept;
  int adopt(int fd, int object) noexcept;
  // The memory that all pipes share and the pairs; false while it is refused.
  bool provide_locked() noexcept QUAY_NO_ANALYSIS;
  pair* make_locked() noexcept QUAY_REQUIRES(lock_);
  int equip(pair& p, bool nonblocking) noexcept;
  void tell_listeners(pair& p, int end, int for_whom) noexcept;
  bool may_signal(const pair& p, int owner) const noexcept;
  void ring_doorbell(const pair& p, int end) noexcept;
  // Every number of an end in this process.
  template <class F>
  void each_number(const pair& p, int end, F f) const noexcept;
  pair& pair_at(std::uint32_t index) const noexcept { return pairs_[index]; }
  static void report_hangup(std::uint64_t name);

  core::host& os_;
  core::descriptor_table& descriptors_;
  core::tunables& tune_;
  core::pipe_counters count_;
  domain* domain_ = nullptr;  // set once, under the lock
  budget sizes_;
  host::hangup_watch watch_;
  mutable core::mutex lock_{core::rank::arena};
  pair* pairs_ = nullptr;  // set once, under the lock, before the first pipe has a number
  std::uint32_t made_ QUAY_GUARDED_BY(lock_) = 0;
  pair* free_ QUAY_GUARDED_BY(lock_) = nullptr;
  unsigned char* slots_ QUAY_GUARDED_BY(lock_) = nullptr;  // unused memory of the last mapping
  std::uint32_t slots_left_ QUAY_GUARDED_BY(lock_) = 0;
  std::atomic<entry*> chunks_[kChunks] = {};
};

}  // namespace quay::pipe
