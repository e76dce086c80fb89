// SPDX-License-Identifier: BSD-2-Clause
//
// What: how large a ring may be: the adaptive sizes and the memory budget they are taken from.
// Contract: semantics/pipes-signalfd.md A2, with the bands of sys_pipe.c's opening comment. The
//           ring's memory is always there; its size is a limit, so resizing copies nothing.
// Locking: none; sizes and the budget are atomic. Growth is decided by the holder of `writing`.
#pragma once

#include <algorithm>

#include "core/tunables.hpp"
#include "pipe/layout.hpp"

namespace quay::pipe {

class budget {
 public:
  budget(core::tunables& tune, core::pipe_counters& count) noexcept : tune_(tune), count_(count) {}

  // Where the bytes are counted: call once, before anything is taken.
  void share(domain& all) noexcept { all_.store(&all, std::memory_order_release); }

  std::int64_t used() const noexcept {
    const domain* const all = all_.load(std::memory_order_acquire);
    return all != nullptr ? all->bytes.load(std::memory_order_relaxed) : 0;
  }
  void give_back(std::int64_t bytes) noexcept { counter().fetch_sub(bytes); }

  // A fresh ring's size, 0 when there is no room for the smallest.
  std::uint32_t allot(bool forward, const constants& fixed) noexcept {
    std::uint32_t size = fixed.small_size;
    if (forward && !over(1, 2))
      size = whole_pages(static_cast<std::uint32_t>(tune(tune_.pipe_size)));
    if (take(size)) return size;
    if (size > fixed.small_size) {
      core::bump(count_.fragment_retries);
      if (take(fixed.small_size)) return fixed.small_size;
    }
    core::bump(count_.allocation_failures);
    return 0;
  }

  // At the start of a write of `bytes`. `counted`: the ring's memory is taken from this budget.
  void before_write(direction& d, const constants& fixed, std::size_t bytes,
                    bool counted) noexcept {
    const std::uint32_t size = d.limit();
    const bool fits = bytes <= size && size >= fixed.small_size &&
                      d.tail.load(std::memory_order_relaxed) - d.taken_seen + bytes <= size;
    if (const bool pressure = over(3, 4); pressure || !fits) {
      fit(d, fixed, bytes, counted, pressure);
    }
  }
  // At the start of a read.
  void before_read(direction& d, const constants& fixed, bool counted) noexcept {
    if (!over(3, 4)) return;
    const std::uint32_t held = d.held();
    if (!d.has_window() && d.limit() > fixed.small_size && held <= fixed.small_size && allowed()) {
      resize(d, held, fixed.small_size, counted);
    }
  }

  static std::uint32_t whole_pages(std::uint32_t n) noexcept {
    return static_cast<std::uint32_t>((n + kPage - 1) / kPage * kPage);
  }

 private:
  static long tune(const std::atomic<long>& t) noexcept {
    return t.load(std::memory_order_relaxed);
  }
  bool allowed() const noexcept { return tune(tune_.piperesizeallowed) == 1; }
  bool over(int part, int of) const noexcept { return used() * of > tune(tune_.maxpipekva) * part; }
  [[gnu::noinline]] void fit(direction& d, const constants& fixed, std::size_t bytes, bool counted,
                             bool pressure) noexcept {
    if (d.has_window()) return;
    const std::uint32_t size = d.limit();
    const std::uint32_t held = d.held();
    // What another process may have written over is cut to what ends the loop.
    const std::uint32_t most = std::min<std::uint32_t>(fixed.big_size, kMost);
    std::uint32_t wanted = std::max<std::uint32_t>({size, fixed.small_size, kPage});
    while (wanted < held + bytes && allowed() && !over(1, 2) && wanted < most) {
      wanted *= 2;
    }
    if (pressure && size > fixed.small_size && held <= fixed.small_size && allowed()) {
      wanted = fixed.small_size;
    }
    if (wanted != size) resize(d, held, wanted, counted);
  }
  bool take(std::int64_t bytes) noexcept {
    if (counter().fetch_add(bytes) + bytes <= tune(tune_.maxpipekva)) return true;
    counter().fetch_sub(bytes);
    return false;
  }
  // The new size is reserved before the old one is given back, as the kernel allocates.
  void resize(direction& d, std::uint32_t held, std::uint32_t wanted, bool counted) noexcept {
    const std::uint32_t fresh = std::min<std::uint32_t>(whole_pages(std::max(held, wanted)), kMost);
    if (!counted) {
      d.size.store(fresh);
      return;
    }
    if (!take(fresh)) {
      core::bump(count_.resize_failures);
      return;
    }
    give_back(d.size.exchange(fresh));
  }

  std::atomic<std::int64_t>& counter() noexcept {
    return all_.load(std::memory_order_acquire)->bytes;
  }

  std::atomic<domain*> all_{nullptr};
  core::tunables& tune_;
  core::pipe_counters& count_;
};

}  // namespace quay::pipe
