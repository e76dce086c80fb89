// SPDX-License-Identifier: BSD-2-Clause
//
// What: turning a pipe into the kernel's, for a program that finds no memory of ours behind the
//       descriptor it inherits.
// Contract: semantics/pipes-signalfd.md A12.16: bytes already in the ring arrive first and in order.
// Locking: both locks of the forward ring, so that every call finds the pipe plain or not at all.
// Wakeups: all sleepers; they go on in the kernel.
#include "pipe/wait.hpp"

namespace quay::pipe {

void system::before_exec() noexcept {
  for (std::uint32_t c = 0; c < kChunks; ++c) {
    const entry* chunk = chunks_[c].load(std::memory_order_acquire);
    if (chunk == nullptr) continue;
    for (std::uint32_t i = 0; i < 1u << kChunkBits; ++i) {
      const int fd = static_cast<int>(c << kChunkBits | i);
      subject s{};
      if (chunk[i].load(std::memory_order_relaxed) == 0 || !look_up(fd, s)) continue;
      if (host::survives_exec(fd)) make_plain(s);
    }
  }
}

void system::make_plain(const subject& s) noexcept {
  shared_pipe& memory = s.memory();
  direction& ring = memory.to[0];
  const int own = s.own().descriptor.load();
  const int other = host::other_side(own, s.end == 0);
  if (other < 0) return;
  const int reading = s.end == 0 ? own : other;
  const int writing = s.end == 0 ? other : own;
  {
    const host::biased_hold writers(ring.writing);
    const host::biased_hold readers(ring.reading);
    if (writers.held() && readers.held() && memory.plain.load() == 0) {
      host::take_tokens(reading);
      host::widen_kernel_pipe(writing);
      const std::uint64_t tail = ring.tail.load();
      std::uint64_t head = ring.head.load();
      while (head != tail && tail - head <= kRing) {
        const std::size_t at = head % kRing;
        const std::size_t n = std::min<std::uint64_t>(tail - head, kRing - at);
        host::put_into_kernel_pipe(writing, ring_of(memory, 0) + at, n);
        head += n;
      }
      ring.announced.store(tail);
      ring.head.store(tail);
      ring.taken.store(tail);
      memory.plain.store(1);
    }
  }
  os_.discard(other);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  for (direction& d : memory.to) {
    wake(d.readers);
    wake(d.writers);
  }
}

}  // namespace quay::pipe
