// SPDX-License-Identifier: BSD-2-Clause
//
// What: a pipe in shared memory: two byte rings, one for each direction, each the inbound queue of
//       one end.
// Contract: semantics/pipes-signalfd.md A1, A5, A12.
// Invariants:
//   1. head <= tail, and both only grow; taken lies between head and what is announced. A position's
//      byte lies at position mod kRing. tail is published after the bytes are there, head after they have been copied out: who dies in
//      between has written, or read, nothing.
//   2. A reader takes bytes, at most kMost, before it copies them: to everybody else they are read then,
//      and the other half of the ring has room for what may be written meanwhile. taken goes back
//      to head when the reader dies, or when a writer dies whose announced bytes it had taken.
//   3. size is a limit on what the ring may hold and not a piece of memory: it may become smaller
//      than the content.
//   4. [tail, announced) is being copied by the holder of `writing`; to everybody else it is there
//      already, so that a large write is seen whole although its bytes arrive in pieces.
//   5. While taken < window_end the bytes before window_end are a direct write: its writer returns
//      when they are taken. Readers need not know; others may not write, and nobody finds the ring
//      writable. window_owner keeps other direct writes out until its thread has gone on, so that
//      the windows of one call follow one another.
//   6. What a hostile process may have stored here is only ever used as a position mod kRing, a
//      count cut to kRing, or a flag, and is read once for each use: it may change between two looks.
//      What decides about other memory or other processes is in pair, not here.
//   7. reserved_by's thread alone may write, and peeked_by's read, until it says that it is done or is
//      no more: the program works in the ring itself meanwhile, without any lock of ours.
// Locking: `writing` guards tail, announced, window_end, window_owner, taken_seen,
//          changed, reserved, reserved_by; `reading` guards head, taken, tail_seen, used, peeked,
//          peeked_by. Every other field is atomic. Where a thread holds several locks of a pipe
//          (closing it) they were taken in the order of the lines below, direction 0 first.
// Wakeups: a sleeper stores its asleep flag, then looks again, then sleeps on the bell; who changes
//          what it waits for publishes, then looks at the flag, with a full barrier between the
//          two on both sides: the sleeper's is direction::synchronize(), which makes up for the one that a
//          biased lock does not have. Observers store `listening` in the sleeper's place.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "host/barriers.hpp"
#include "host/biased_mutex.hpp"

namespace quay::pipe {

inline constexpr std::size_t kMost = 64 * 1024;  // the largest size
inline constexpr std::size_t kRing = 2 * kMost;
inline constexpr std::size_t kLine = 64;
inline constexpr std::size_t kPage = 4096;

// Where a side was last seen running, before it was seen at all.
inline constexpr std::uint32_t kNowhere = ~0u;

// A place where threads of any process sleep.
inline constexpr std::uint32_t kNobody = 0;
inline constexpr std::uint32_t kSleeping = 1;
inline constexpr std::uint32_t kWaking = 2;
struct sleeping_place {
  std::atomic<std::uint32_t> asleep{kNobody};
  std::atomic<std::uint32_t> bell{0};
};

// Who has to hear that the ring changed, apart from sleepers: bits of direction::listening.
inline constexpr std::uint32_t kObservers = 1;  // notes or polls of some process, or were once
inline constexpr std::uint32_t kAsync = 2;      // FIOASYNC
// Some process has looked, and nobody has rung since: one ring for each look.
inline constexpr std::uint32_t kBytesAwaited = 4;
inline constexpr std::uint32_t kRoomAwaited = 8;

struct direction {
  alignas(kLine) host::biased_mutex writing;
  std::uint64_t taken_seen = 0;                // taken was here
  std::atomic<std::uint32_t> window_owner{0};  // thread that waits for its window: invariant 5
  std::uint32_t reserved = 0;                  // bytes behind tail
  std::atomic<std::uint32_t> reserved_by{0};
  std::atomic<std::uint32_t> writer_cpu{kNowhere};
  std::atomic<std::int64_t> changed{0};  // mtime of the end that reads this, nanoseconds

  alignas(kLine) std::atomic<std::uint64_t> tail{0};
  std::atomic<std::uint64_t> announced{0};
  std::atomic<std::uint64_t> window_end{0};

  alignas(kLine) host::biased_mutex reading;
  std::uint64_t tail_seen = 0;  // tail was at least here
  std::uint32_t peeked = 0;     // bytes from head on
  std::atomic<std::uint32_t> peeked_by{0};
  std::atomic<std::uint32_t> reader_cpu{kNowhere};
  std::atomic<std::int64_t> used{0};  // atime of the end that reads this

  alignas(kLine) std::atomic<std::uint64_t> taken{0};
  std::atomic<std::uint64_t> head{0};

  alignas(kLine) std::atomic<std::uint32_t> size{0};
  std::atomic<std::uint32_t> eof{0};  // no more bytes will come in, or none be taken out
  sleeping_place readers;
  sleeping_place writers;
  std::atomic<std::uint32_t> listening{0};
  std::atomic<std::int32_t> async_owner{0};

  // Between storing what holders of the locks are to see after their turns, and looking at what they
  // change.
  void synchronize() const noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (writing.is_biased() || reading.is_biased()) host::barrier_in_all_threads();
  }
  std::uint64_t written() const noexcept {
    const std::uint64_t t = tail.load(std::memory_order_acquire);
    const std::uint64_t a = announced.load(std::memory_order_acquire);
    return a > t && a - t <= kRing ? a : t;
  }
  // Bytes that wait for a reader.
  std::uint32_t held() const noexcept {
    const std::uint64_t n =
        written() - (reading.holder_died() ? head : taken).load(std::memory_order_acquire);
    return static_cast<std::uint32_t>(n <= kRing ? n : 0);
  }
  bool has_window() const noexcept {
    return taken.load(std::memory_order_acquire) < window_end.load(std::memory_order_acquire);
  }
  // Under `writing`, so that nobody copies: what is announced and not there was of a writer who died.
  void forget_unwritten() noexcept {
    const std::uint64_t t = tail.load(std::memory_order_relaxed);
    announced.store(t, std::memory_order_relaxed);
    if (window_end.load(std::memory_order_relaxed) > t) {
      window_end.store(t, std::memory_order_release);
    }
  }
  std::uint32_t limit() const noexcept {
    const std::uint32_t n = size.load(std::memory_order_relaxed);
    return n <= kMost ? n : kMost;
  }
  // Free space; the content may exceed a size that was cut.
  std::uint32_t space() const noexcept {
    const std::uint32_t n = held();
    const std::uint32_t all = limit();
    return all > n ? all - n : 0;
  }
};

// The constants a pipe was made with, the same for every process that uses it.
struct constants {
  std::uint32_t pipe_buf;
  std::uint32_t small_size;
  std::uint32_t big_size;
  std::uint32_t low_mark;  // sleeping writers are woken below this occupancy
};

struct shared_pipe {
  alignas(kLine) std::atomic<std::uint32_t> several{0};  // other processes may have it
  std::atomic<std::uint32_t> plain{0};             // bytes go through the kernel pipe from now on
  std::atomic<std::uint32_t> gone[2] = {};         // the end has been closed for good
  std::atomic<std::uint32_t> nonblocking[2] = {};  // as last set through us
  constants fixed{};
  std::uint64_t inode[2] = {};
  std::int64_t made = 0;  // ctime
  direction to[2];        // to[e] is read at end e
};

// In memory: the above, then the two rings.
inline constexpr std::size_t kHead = kPage;
static_assert(sizeof(shared_pipe) <= kHead);
inline constexpr std::size_t kSlot = kHead + 2 * kRing;

inline unsigned char* ring_of(shared_pipe& p, int end) noexcept {
  return reinterpret_cast<unsigned char*>(&p) + kHead + static_cast<std::size_t>(end) * kRing;
}

// What all pipes of a process tree share.
struct domain {
  std::atomic<std::int64_t> bytes{0};  // kern.ipc.pipekva
  std::atomic<std::uint64_t> next_inode{1};
};

}  // namespace quay::pipe
