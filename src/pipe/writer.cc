// SPDX-License-Identifier: BSD-2-Clause
//
// What: writing to a pipe: into free space, or, from pipe_mindirect bytes on, as a direct write that
//       ends when readers have taken its bytes.
// Contract: semantics/pipes-signalfd.md A4, A5; docs/differences.md: the bytes of a direct write go
//           through the ring, which holds them when its writer is interrupted or killed.
// Invariants: a write of at most pipe_buf bytes is published by one store.
// Locking: holds `writing` of the outbound ring while it copies, never while it waits.
#include "pipe/transfer.hpp"

#include "pipe/wait.hpp"

namespace quay::pipe {
namespace {

// Larger writes are published in halves, of at least this size, so that the reader copies one while
// the writer copies the other; smaller pieces cost more than they gain.
constexpr std::size_t kLeastPiece = 8 * 1024;

class writer {
 public:
  [[gnu::always_inline]] writer(system& sys, const subject& call, cursor from) noexcept
      : sys_(sys),
        call_(call),
        from_(from),
        total_(from.left()),
        ring_(call.outbound()),
        bytes_(ring_of(call.memory(), 1 - call.end)),
        here_(sys, call),
        turn_(ring_.writing) {}

  [[gnu::always_inline]] long run() {
    int error = begin();
    if (error == kPlain) return core::descriptor_owner::kAskKernel;
    if (error != 0 && error != EPIPE) return -error;
    refused_ = error != 0;
    if (error == 0) {
      fit_size();
      error = drain();
    }
    if (turn_.held()) turn_.put_down();
    const std::size_t done = total_ - from_.left();
    if (error == kPlain) {
      return done > 0 ? static_cast<long>(done) : core::descriptor_owner::kAskKernel;
    }
    if (error == EPIPE && done > 0) error = 0;
    if (error == 0) ring_.changed.store(now_, std::memory_order_relaxed);
    if (!refused_) offer();
    if (wake_writers_) wake(ring_.writers);
    if (error == EPIPE) host::raise_sigpipe();
    // What went in is reported; only a bad buffer is an error even then.
    if (error != 0 && (error == EFAULT || done == 0)) return -error;
    return static_cast<long>(done);
  }

  // Room for up to the count, in one piece, for this thread to fill.
  long reserve(iovec& room) {
    int error = begin();
    if (error == 0) fit_size();
    while (error == 0) {
      if (ring_.eof.load(std::memory_order_acquire) != 0) {
        error = EPIPE;
      } else if (reserved_by_another()) {
        error = wait_for_commit();
      } else if (const iovec piece = has_window() ? iovec{} : room_in_one_piece();
                 piece.iov_len > 0) {
        ring_.reserved = static_cast<std::uint32_t>(piece.iov_len);
        ring_.reserved_by.store(host::thread_number(), std::memory_order_relaxed);
        room = piece;
        return static_cast<long>(piece.iov_len);
      } else {
        error = wait_for_room();
      }
    }
    if (turn_.held()) turn_.put_down();
    if (error == EPIPE) host::raise_sigpipe();
    return error == kPlain ? -EOPNOTSUPP : -error;
  }

  // What this thread reserved is written, as far as the count goes, and no longer reserved.
  long commit() noexcept {
    int error = begin();
    if (turn_.held() && error != EBADF) {
      if (ring_.reserved_by.load(std::memory_order_relaxed) != host::thread_number() ||
          total_ > ring_.reserved || ring_.reserved > kMost) {
        return -EINVAL;
      }
      ring_.reserved_by.store(0, std::memory_order_release);
      if (error == 0 && total_ > 0) {
        ring_.tail.fetch_add(total_, std::memory_order_release);
        ring_.changed.store(now_, std::memory_order_relaxed);
      }
      turn_.put_down();
      if (error == 0) offer();
      wake(ring_.writers);
    }
    if (error == EPIPE && total_ == 0) error = 0;
    if (error == EPIPE) host::raise_sigpipe();
    return error == kPlain ? -EOPNOTSUPP : error != 0 ? -error : static_cast<long>(total_);
  }

 private:
  [[gnu::always_inline]] int begin() noexcept {
    if (!turn_.held()) return EAGAIN;
    if (call_.stale()) return EBADF;
    if (is_plain()) return kPlain;
    put_right();
    ring_.writer_cpu.store(host::this_cpu(), std::memory_order_relaxed);
    now_ = host::coarse_wall();
    if (!call_.undivided()) {
      sys_.notice_death(call_, now_);
    }
    return ring_.eof.load(std::memory_order_acquire) != 0 ? EPIPE : 0;
  }

  void fit_size() noexcept {
    sys_.sizes().before_write(ring_, call_.memory().fixed, total_, call_.of->counted);
  }

  // The last holder may have died between announcing and copying.
  void put_right() noexcept {
    if (turn_.inherited()) ring_.forget_unwritten();
  }

  bool is_plain() const noexcept {
    return call_.memory().plain.load(std::memory_order_relaxed) != 0;
  }

  bool has_window() noexcept {
    const std::uint64_t end = ring_.window_end.load(std::memory_order_relaxed);
    if (end <= ring_.taken_seen) return false;
    ring_.taken_seen = ring_.taken.load(std::memory_order_acquire);
    return end > ring_.taken_seen;
  }

  bool holds_anything() noexcept {
    ring_.taken_seen = ring_.taken.load(std::memory_order_acquire);
    return ring_.tail.load(std::memory_order_relaxed) != ring_.taken_seen;
  }

  // A window that was read, and whose writer has not come back from waiting for that.
  bool belongs_to_another() const noexcept {
    const std::uint32_t owner = ring_.window_owner.load(std::memory_order_relaxed);
    return owner != 0 && owner != host::thread_number() && host::thread_exists(owner);
  }

  // A thread that writes while it has room reserved gives the reservation up.
  bool reserved_by_another() noexcept {
    const std::uint32_t owner = ring_.reserved_by.load(std::memory_order_relaxed);
    if (owner == 0) return false;
    if (owner != host::thread_number() && host::thread_exists(owner)) return true;
    ring_.reserved_by.store(0, std::memory_order_relaxed);
    return false;
  }

  iovec room_in_one_piece() noexcept {
    const std::size_t at = ring_.tail.load(std::memory_order_relaxed) % kRing;
    return {bytes_ + at, std::min({space(total_), total_, kRing - at})};
  }

  std::size_t space(std::size_t wanted) noexcept {
    const std::uint64_t tail = ring_.tail.load(std::memory_order_relaxed);
    const std::uint32_t limit = ring_.limit();
    std::uint64_t held = tail - ring_.taken_seen;
    if (held > limit || wanted > limit - held) {
      ring_.taken_seen = ring_.taken.load(std::memory_order_acquire);
      held = tail - ring_.taken_seen;
    }
    return held < limit ? limit - held : 0;
  }

  [[gnu::always_inline]] int drain() {
    while (from_.left() > 0) {
      if (ring_.eof.load(std::memory_order_acquire) != 0) return EPIPE;
      if (reserved_by_another()) {
        if (const int error = wait_for_commit(); error != 0) return error;
        continue;
      }
      const auto direct =
          static_cast<std::size_t>(sys_.tune().pipe_mindirect.load(std::memory_order_relaxed));
      if (from_.left_here() >= direct && ring_.limit() >= direct && blocks()) {
        if (const int error = write_directly(); error != 0) return error;
        continue;
      }
      if (has_window()) {
        if (const int error = wait_for_room(); error != 0) return error;
        continue;
      }
      std::size_t n = std::min(space(from_.left()), from_.left());
      if (total_ <= call_.memory().fixed.pipe_buf && n < from_.left()) n = 0;
      if (n == 0) {
        if (const int error = wait_for_room(); error != 0) return error;
        continue;
      }
      if (!from_.readable(n)) return EFAULT;
      publish(n);
    }
    return 0;
  }

  bool blocks() const noexcept {
    return !interrupted_ &&
           call_.memory().nonblocking[call_.end].load(std::memory_order_relaxed) == 0;
  }

  [[gnu::always_inline]] void publish(std::size_t n) noexcept {
    std::uint64_t tail = ring_.tail.load(std::memory_order_relaxed);
    const std::size_t piece = std::max(kLeastPiece, n / 2);
    if (n > piece) ring_.announced.store(tail + n, std::memory_order_release);
    while (n > 0) {
      const std::size_t k = std::min(n, piece);
      from_.put(bytes_, tail, k);
      tail += k;
      n -= k;
      ring_.tail.store(tail, std::memory_order_release);
    }
  }

  // An interrupted window stays as ordinary content; so does that of a descriptor that turned out not
  // to block.
  void leave_window(std::uint64_t end, bool interrupted) noexcept {
    ring_.window_owner.store(0, std::memory_order_release);
    if (interrupted && ring_.window_end.load(std::memory_order_relaxed) == end) {
      ring_.window_end.store(0, std::memory_order_release);
    }
  }

  // A window whose writer waits; cancelling the writer interrupts it.
  struct window {
    writer& of;
    const std::uint64_t end;
    bool unwound = true;
    ~window() {
      if (unwound) of.abandon(end);
    }
  };

  void abandon(std::uint64_t end) noexcept {
    turn_.take_up();
    if (!turn_.held()) return;
    put_right();
    if (!call_.stale() && !is_plain()) leave_window(end, true);
    turn_.put_down();
    wake(ring_.writers);
    sys_.announce(*call_.of, 1 - call_.end, call_.end);
  }

  // The bytes go into the empty ring as a window, and the call waits until a reader has
  // taken them.
  int write_directly() {
    for (;;) {
      const bool occupied = has_window() || holds_anything();
      if (!occupied && !belongs_to_another()) break;
      wake_writers_ = true;
      const int error = occupied ? wait_for_room() : wait_for_owner();
      if (error != 0) return error;
      if (ring_.eof.load(std::memory_order_acquire) != 0) return EPIPE;
    }
    const std::size_t n = std::min<std::size_t>(from_.left_here(), ring_.limit());
    wake_writers_ = true;
    if (!from_.readable(n)) return EFAULT;
    wake_writers_ = false;
    const std::uint64_t end = ring_.tail.load(std::memory_order_relaxed) + n;
    ring_.window_end.store(end, std::memory_order_release);
    ring_.window_owner.store(host::thread_number(), std::memory_order_relaxed);
    window mine{*this, end};
    publish(n);
    from_.leave_used_up();
    int error = 0;
    while (error == 0 && ring_.taken.load(std::memory_order_acquire) < end &&
           ring_.eof.load(std::memory_order_acquire) == 0) {
      error = wait_for(how_to_sleep(),
                       [&] { return ring_.taken.load(std::memory_order_acquire) >= end; });
    }
    mine.unwound = false;
    if (!turn_.held() || error == EBADF || error == kPlain) return error;
    leave_window(end, error != 0);
    if (ring_.eof.load(std::memory_order_acquire) != 0) return EPIPE;
    if (error == EAGAIN) {
      interrupted_ = true;
      error = 0;
    }
    wake_writers_ = error == 0;
    return error;
  }

  // Until a reader made room as the seed's sleeping writers want it: the window read, the ring
  // nearly empty. Watching, before sleeping, is content with half. taken_seen is what had been
  // taken when there was no room: if more has been since, a wake-up may have gone by.
  int wait_for_room() {
    const std::uint64_t seen = ring_.taken_seen;
    return wait_for(how_to_sleep(), [this, seen] {
      return ring_.taken.load(std::memory_order_acquire) != seen && !ring_.has_window() &&
             ring_.held() <= ring_.limit() / 2;
    });
  }

  // Nothing in the ring moves when the owner of the window comes back: it is the owner that counts.
  int wait_for_owner() {
    const std::uint32_t owner = ring_.window_owner.load(std::memory_order_relaxed);
    return wait_for(host::sleep::doubting, [this, owner] {
      return ring_.window_owner.load(std::memory_order_acquire) != owner;
    });
  }

  int wait_for_commit() {
    ring_.taken_seen = ring_.taken.load(std::memory_order_acquire);
    return wait_for(host::sleep::doubting,
                    [this] { return ring_.reserved_by.load(std::memory_order_relaxed) == 0; });
  }

  host::sleep how_to_sleep() const noexcept {
    return from_.left() != total_ ? host::sleep::every_signal : host::sleep::sound;
  }

  template <class Ready>
  int wait_for(host::sleep how, Ready ready) {
    const std::uint64_t seen = ring_.taken_seen;
    turn_.put_down();
    offer();
    const auto over = [&] { return ring_.eof.load(std::memory_order_acquire) != 0 || is_plain(); };
    const int error = wait(
        here_, ring_, ring_.writers, call_.own().writing,
        ring_.reader_cpu.load(std::memory_order_relaxed), how, [&] { return ready() || over(); },
        [&] {
          return over() || ready() ||
                 (ring_.taken.load(std::memory_order_acquire) != seen && !ring_.has_window() &&
                  ring_.held() < call_.memory().fixed.low_mark);
        });
    turn_.take_up();
    if (!turn_.held()) return EAGAIN;
    put_right();
    if (call_.stale()) return EBADF;
    return is_plain() ? kPlain : error;
  }

  // There may be something to read: for who sleeps, polls or has notes. After the turn.
  [[gnu::always_inline]] void offer() noexcept {
    if (ring_.readers.asleep.load(std::memory_order_relaxed) != 0 && ring_.held() > 0) {
      wake(ring_.readers);
    }
    if (ring_.listening.load(std::memory_order_relaxed) == 0) return;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (ring_.held() > 0) sys_.announce(*call_.of, 1 - call_.end, 1 - call_.end);
  }

  system& sys_;
  const subject& call_;
  cursor from_;
  const std::size_t total_;
  std::int64_t now_ = 0;
  direction& ring_;
  unsigned char* const bytes_;
  presence here_;  // outlives the turn: its end may end the pipe
  host::biased_hold turn_;
  bool refused_ = false;
  bool wake_writers_ = false;  // a direct write ended, or could not begin
  bool interrupted_ = false;   // a direct write found that the descriptor does not block
};

}  // namespace

long write(system& sys, const subject& call, cursor from) { return writer(sys, call, from).run(); }

long reserve(system& sys, const subject& call, std::size_t n, iovec& room) {
  return writer(sys, call, cursor(n)).reserve(room);
}

long commit(system& sys, const subject& call, std::size_t n) noexcept {
  return writer(sys, call, cursor(n)).commit();
}

}  // namespace quay::pipe
