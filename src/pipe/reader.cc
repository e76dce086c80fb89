// SPDX-License-Identifier: BSD-2-Clause
//
// What: reading from a pipe.
// Contract: semantics/pipes-signalfd.md A3.
// Invariants: a call that has taken bytes does not wait any more: one that is cancelled in its wait has taken
//             none.
// Locking: holds `reading` of the inbound ring while it copies, never while it waits.
#include "pipe/transfer.hpp"

#include "pipe/wait.hpp"

namespace quay::pipe {
namespace {

// So many are worth waiting for at once, and a few times as many if they come.
constexpr std::size_t kMessages = 16;

class reader {
 public:
  [[gnu::always_inline]] reader(system& sys, const subject& call, cursor to) noexcept
      : sys_(sys),
        call_(call),
        to_(to),
        ring_(call.inbound()),
        bytes_(ring_of(call.memory(), call.end)),
        here_(sys, call),
        turn_(ring_.reading) {}

  [[gnu::always_inline]] long run() {
    int error = begin();
    if (error == 0) error = fill();
    if (turn_.held()) turn_.put_down();
    if (error == kPlain) return core::descriptor_owner::kAskKernel;
    if (!refused_) finish(error);
    return error == 0 ? static_cast<long>(done_) : -error;
  }

  // What lies there in one piece, for this thread to look at: 0 at the end of file.
  long peek(iovec& bytes) {
    int error = begin();
    bool ended = false;
    while (error == 0 && !ended) {
      if (peeked_by_another()) {
        error = wait_for_consume();
        continue;
      }
      const std::uint64_t head = ring_.head.load(std::memory_order_relaxed);
      ring_.tail_seen = ring_.tail.load(std::memory_order_acquire);  // all there is
      const std::uint64_t there = available(head);
      if (there > kRing) return -EIO;
      if (const std::uint64_t n = std::min(there, kRing - head % kRing); n > 0) {
        ring_.peeked = static_cast<std::uint32_t>(n);
        ring_.peeked_by.store(host::thread_number(), std::memory_order_relaxed);
        bytes = {bytes_ + head % kRing, static_cast<std::size_t>(n)};
        return static_cast<long>(n);
      }
      error = await(head, ended);
    }
    bytes = {};
    return error == kPlain ? -EOPNOTSUPP : -error;
  }

  // Of what this thread peeked at, the count has been read.
  long consume(std::size_t n) noexcept {
    const int error = begin();
    if (error != 0) return error == kPlain ? -EOPNOTSUPP : -error;
    if (ring_.peeked_by.load(std::memory_order_relaxed) != host::thread_number() ||
        n > ring_.peeked || ring_.peeked > kRing) {
      return -EINVAL;
    }
    ring_.peeked_by.store(0, std::memory_order_release);
    done_ = n;
    ring_.taken.store(start_ + n, std::memory_order_release);
    ring_.head.store(start_ + n, std::memory_order_release);
    turn_.put_down();
    wake(ring_.readers);
    if (ring_.held() == 0) wake(ring_.writers);
    finish(0);
    return static_cast<long>(n);
  }

 private:
  [[gnu::always_inline]] int begin() noexcept {
    refused_ = true;
    if (!turn_.held()) return EAGAIN;
    if (call_.stale()) return EBADF;
    if (is_plain()) return kPlain;
    refused_ = false;
    sys_.sizes().before_read(ring_, call_.memory().fixed, call_.of->counted);
    ring_.reader_cpu.store(host::this_cpu(), std::memory_order_relaxed);
    start_ = ring_.head.load(std::memory_order_relaxed);
    give_back(start_);
    std::atomic<std::size_t>& asked = call_.own().asked;
    repeats_ = asked.load(std::memory_order_relaxed) == to_.left();
    asked.store(to_.left(), std::memory_order_relaxed);
    return 0;
  }

  // What was taken and not copied, because a reader or the writer died, is there again.
  void give_back(std::uint64_t head) noexcept {
    if (ring_.taken.load(std::memory_order_relaxed) != head) {
      ring_.taken.store(head, std::memory_order_release);
    }
  }

  // A thread that reads while it is peeking gives that up.
  bool peeked_by_another() noexcept {
    const std::uint32_t owner = ring_.peeked_by.load(std::memory_order_relaxed);
    if (owner == 0) return false;
    if (owner != host::thread_number() && host::thread_exists(owner)) return true;
    ring_.peeked_by.store(0, std::memory_order_relaxed);
    return false;
  }

  // Above kRing: what nobody but a hostile process could have stored.
  std::uint64_t available(std::uint64_t head) noexcept {
    std::uint64_t there = ring_.tail_seen - head;
    if (there - 1 >= kRing) {  // nothing, or nonsense
      ring_.tail_seen = ring_.tail.load(std::memory_order_acquire);
      there = ring_.tail_seen - head;
    }
    return there;
  }

  [[gnu::always_inline]] int fill() {
    bool ended = false;
    while (to_.left() > 0 && !ended) {
      if (peeked_by_another()) {
        if (done_ > 0) return 0;
        if (const int error = wait_for_consume(); error != 0) return error;
        continue;
      }
      const std::uint64_t head = ring_.head.load(std::memory_order_relaxed);
      const std::uint64_t there = available(head);
      if (there > kRing) return EIO;
      if (there > 0) {
        const std::size_t n = std::min({there, std::uint64_t{kMost}, std::uint64_t{to_.left()}});
        if (!to_.writable(n)) {
          give_back(head);
          return EFAULT;
        }
        take(head, n);
        to_.get(bytes_, head, n);
        ring_.head.store(head + n, std::memory_order_release);
        done_ += n;
        continue;
      }
      if (const int error = await(head, ended); error != 0) return error;
    }
    return 0;
  }

  // n bytes at head are about to be copied; what is announced behind them will be.
  void take(std::uint64_t head, std::size_t n) noexcept {
    const std::uint64_t most = std::min<std::uint64_t>(kMost, to_.left());
    std::uint64_t end = head + n;
    // Only who wants more takes the writer's line away to look.
    if (n < most) end = head + std::max<std::uint64_t>(n, std::min(ring_.written() - head, most));
    if (ring_.taken.load(std::memory_order_relaxed) < end) {
      ring_.taken.store(end, std::memory_order_release);
    }
  }

  // There is nothing at head: waits until there may be, unless something was read before. `ended`
  // tells that this is all.
  int await(std::uint64_t head, bool& ended) {
    if (ring_.written() != head || ring_.has_window()) {
      const int error = wait_for_copier(head);
      ended = error != 0 && done_ > 0;
      return ended ? 0 : error;
    }
    if (ring_.eof.load(std::memory_order_acquire) != 0) {
      ended = ring_.written() == head;  // or written before the end was closed
      return 0;
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    wake(ring_.writers);
    ended = done_ > 0;
    if (ended) return 0;
    const int error = sleep(host::sleep::sound, [&] {
      return ring_.written() != head || ring_.eof.load(std::memory_order_relaxed) != 0 ||
             ring_.head.load(std::memory_order_relaxed) != head || is_plain();
    });
    if (error != 0) return error;
    gather(head);
    return go_on();
  }

  // Messages of the size that is asked for, as far as half the ring holds them, if the read before asked
  // for as much: who reads a header and then what it announces waits for nothing else. A peek takes
  // what there is, whatever its size.
  void gather(std::uint64_t head) noexcept {
    const std::size_t size = to_.left();
    const std::size_t most = ring_.limit() / 2;
    if (!repeats_ || size == 0 || size > most) return;
    if (sys_.tune().spin_us.load(std::memory_order_relaxed) <= 0) return;
    if (writer_cpu_ == host::this_cpu()) return;
    const std::size_t some = most / size / core::gathering::kRoomfuls;
    call_.own().more.wait(static_cast<std::uint32_t>(std::min(some, kMessages)), [&] {
      const std::uint64_t there = ring_.tail.load(std::memory_order_acquire) - head;
      return static_cast<std::uint32_t>(std::min<std::uint64_t>(there, kRing) / size);
    });
  }

  int wait_for_consume() {
    const int error = sleep(host::sleep::doubting, [this] {
      return ring_.peeked_by.load(std::memory_order_relaxed) == 0 || is_plain();
    });
    return error != 0 ? error : go_on();
  }

  bool is_plain() const noexcept {
    return call_.memory().plain.load(std::memory_order_relaxed) != 0;
  }

  // Without the turn: go_on() takes it up again.
  template <class Ready>
  int sleep(host::sleep how, Ready ready) {
    turn_.put_down();
    writer_cpu_ = ring_.writer_cpu.load(std::memory_order_relaxed);  // in a line of the writer's
    return wait(here_, ring_, ring_.readers, call_.own().reading, writer_cpu_, how, ready, ready);
  }

  int go_on() noexcept {
    turn_.take_up();
    if (!turn_.held()) return EAGAIN;
    if (call_.stale()) return EBADF;
    return is_plain() ? kPlain : 0;
  }

  // Bytes that were announced are being copied: they come in a moment, unless their writer died. Our
  // lock is given back meanwhile: who holds both takes `writing` first.
  int wait_for_copier(std::uint64_t head) noexcept {
    constexpr int kPatience = 2000;
    for (int i = 0; i < kPatience; ++i) {
      if (ring_.tail.load(std::memory_order_acquire) != head) return 0;
      core::pause();
    }
    give_back(head);
    turn_.put_down();
    {
      const host::biased_hold copier(ring_.writing);
      if (copier.held()) ring_.forget_unwritten();
    }
    return go_on();
  }

  [[gnu::always_inline]] void finish(int error) noexcept {
    if (error == 0) ring_.used.store(host::coarse_wall(), std::memory_order_relaxed);
    const bool listened = ring_.listening.load(std::memory_order_relaxed) != 0;
    if (!listened && ring_.writers.asleep.load(std::memory_order_relaxed) == 0) return;
    std::atomic_thread_fence(std::memory_order_seq_cst);  // see system::observe()
    const std::uint64_t window = ring_.window_end.load(std::memory_order_acquire);
    const bool in_window = start_ < window;
    if (!ring_.has_window() && (in_window || ring_.held() < call_.memory().fixed.low_mark)) {
      wake(ring_.writers);
    }
    if (done_ > 0 && (in_window || ring_.space() >= call_.memory().fixed.pipe_buf)) {
      sys_.announce(*call_.of, call_.end, 1 - call_.end);
    }
  }

  system& sys_;
  const subject& call_;
  cursor to_;
  direction& ring_;
  unsigned char* const bytes_;
  presence here_;  // outlives the turn: its end may end the pipe
  host::biased_hold turn_;
  std::uint64_t start_ = 0;
  std::size_t done_ = 0;
  std::uint32_t writer_cpu_ = kNowhere;  // as of the latest wait
  bool refused_ = false;
  bool repeats_ = false;  // the size of the read before
};

}  // namespace

long read(system& sys, const subject& call, cursor to) { return reader(sys, call, to).run(); }

long peek(system& sys, const subject& call, iovec& bytes) {
  return reader(sys, call, cursor(0)).peek(bytes);
}

long consume(system& sys, const subject& call, std::size_t n) noexcept {
  return reader(sys, call, cursor(0)).consume(n);
}

}  // namespace quay::pipe
