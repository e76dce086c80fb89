// SPDX-License-Identifier: BSD-2-Clause
//
// What: reading from a pipe.
// Contract: semantics/pipes-signalfd.md A3.
// Locking: holds `reading` of the inbound ring while it copies, never while it waits.
#include "pipe/transfer.hpp"

#include "pipe/wait.hpp"

namespace quay::pipe {
namespace {

class reader {
 public:
  reader(system& sys, const subject& call, cursor to) noexcept
      : sys_(sys),
        call_(call),
        to_(to),
        ring_(call.inbound()),
        bytes_(ring_of(call.memory(), call.end)),
        here_(sys, call),
        turn_(ring_.reading) {}

  long run() noexcept {
    if (!turn_.held()) return -EAGAIN;
    if (call_.stale()) return -EBADF;
    if (is_plain()) return core::descriptor_owner::kAskKernel;
    sys_.sizes().before_read(ring_, call_.memory().fixed, call_.of->counted);
    ring_.reader_cpu.store(host::this_cpu(), std::memory_order_relaxed);
    start_ = ring_.head.load(std::memory_order_relaxed);
    const int error = fill();
    if (turn_.held()) turn_.put_down();
    if (error == kPlain) return core::descriptor_owner::kAskKernel;
    finish(error);
    return error == 0 ? static_cast<long>(done_) : -error;
  }

 private:
  int fill() noexcept {
    while (to_.left() > 0) {
      const std::uint64_t head = ring_.head.load(std::memory_order_relaxed);
      std::uint64_t there = ring_.tail_seen - head;
      if (there - 1 >= kRing) {  // nothing, or nonsense
        ring_.tail_seen = ring_.tail.load(std::memory_order_acquire);
        there = ring_.tail_seen - head;
        if (there > kRing) return EIO;
      }
      if (there > 0) {
        const std::size_t n = std::min<std::uint64_t>(there, to_.left());
        if (!to_.writable(n)) return EFAULT;
        to_.get(bytes_, head, n);
        ring_.head.store(head + n, std::memory_order_release);
        done_ += n;
        continue;
      }
      if (ring_.written() != head) {
        wait_for_copier(head);
        continue;
      }
      if (ring_.eof.load(std::memory_order_acquire) != 0) {
        if (ring_.written() != head) continue;  // written before the end was closed
        return 0;
      }
      std::atomic_thread_fence(std::memory_order_seq_cst);
      wake(ring_.writers);
      if (done_ > 0) return 0;
      turn_.put_down();
      if (const int error = wait_for_bytes(head); error != 0) return error;
      turn_.take_up();
      if (!turn_.held()) return EAGAIN;
      if (call_.stale()) return EBADF;
      if (is_plain()) return kPlain;
    }
    return 0;
  }

  bool is_plain() const noexcept {
    return call_.memory().plain.load(std::memory_order_relaxed) != 0;
  }

  int wait_for_bytes(std::uint64_t head) noexcept {
    const auto arrived = [&] {
      return ring_.tail.load(std::memory_order_acquire) != head ||
             ring_.announced.load(std::memory_order_relaxed) > head ||
             ring_.eof.load(std::memory_order_relaxed) != 0 ||
             ring_.head.load(std::memory_order_relaxed) != head || is_plain();
    };
    return wait(here_, ring_.readers, call_.own().reading,
                ring_.writer_cpu.load(std::memory_order_relaxed), false, arrived, arrived);
  }

  // Bytes that were announced are being copied: they come in a moment, unless their writer died.
  void wait_for_copier(std::uint64_t head) noexcept {
    constexpr int kPatience = 2000;
    for (int i = 0; i < kPatience; ++i) {
      if (ring_.tail.load(std::memory_order_acquire) != head) return;
      core::pause();
    }
    const host::shared_hold copier(ring_.writing);
    if (copier.inherited()) ring_.announced.store(ring_.tail.load(std::memory_order_relaxed));
  }

  void finish(int error) noexcept {
    if (error == 0) ring_.used.store(host::coarse_wall(), std::memory_order_relaxed);
    const bool listened = ring_.listening.load(std::memory_order_relaxed) != 0;
    if (!listened && ring_.writers.asleep.load(std::memory_order_relaxed) == 0) return;
    const std::uint64_t window = ring_.window_end.load(std::memory_order_acquire);
    const bool in_window = start_ < window;
    if (!ring_.has_window() && (in_window || ring_.held() < call_.memory().fixed.low_mark)) {
      wake(ring_.writers);
    }
    if (done_ > 0 && (in_window || ring_.space() >= call_.memory().fixed.pipe_buf)) {
      sys_.announce(*call_.of, call_.end);
    }
  }

  system& sys_;
  const subject& call_;
  cursor to_;
  direction& ring_;
  unsigned char* const bytes_;
  presence here_;  // outlives the turn: its end may end the pipe
  host::shared_hold turn_;
  std::uint64_t start_ = 0;
  std::size_t done_ = 0;
};

}  // namespace

long read(system& sys, const subject& call, cursor to) noexcept {
  return reader(sys, call, to).run();
}

}  // namespace quay::pipe
