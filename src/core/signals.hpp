// SPDX-License-Identifier: BSD-2-Clause
//
// What: what queues and signal handlers say to each other: a queue's bell, which a handler may ring
//       without a lock, and the interface of the engine that counts the process's signals.
// Contract: semantics/pipes-signalfd.md B8; docs/design.md, "Signals".
// Invariants:
//   1. Words that a handler touches are plain and reached through shared:: only, whose functions no
//      sanitizer instruments: its runtime may be what the handler interrupted.
//   2. A bell that was enlisted once stays in the engine's list for ever; bell.signals says what it
//      is to be rung for now.
#pragma once

#include <cstdint>

#if defined(__clang__)
#define QUAY_HANDLER_SAFE __attribute__((disable_sanitizer_instrumentation))
#else
#define QUAY_HANDLER_SAFE __attribute__((no_sanitize("thread")))
#endif

namespace quay::core {

// Sequentially consistent: posting is "count, then look for sleepers", sleeping is "say so, then
// look at the count", and one of the two must see the other.
namespace shared {
template <class T>
QUAY_HANDLER_SAFE inline T load(const T& word) noexcept {
  return __atomic_load_n(&word, __ATOMIC_SEQ_CST);
}
template <class T>
QUAY_HANDLER_SAFE inline void store(T& word, T value) noexcept {
  __atomic_store_n(&word, value, __ATOMIC_SEQ_CST);
}
template <class T>
QUAY_HANDLER_SAFE inline T exchange(T& word, T value) noexcept {
  return __atomic_exchange_n(&word, value, __ATOMIC_SEQ_CST);
}
template <class T>
QUAY_HANDLER_SAFE inline void add(T& word, T more) noexcept {
  __atomic_fetch_add(&word, more, __ATOMIC_SEQ_CST);
}
template <class T>
QUAY_HANDLER_SAFE inline bool replace(T& word, T expected, T value) noexcept {
  return __atomic_compare_exchange_n(&word, &expected, value, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST);
}
}  // namespace shared

// What a poster without the queue's mutex must know to wake the queue. Written under the mutex,
// but for `rung`, which posters set too.
struct bell {
  std::uint64_t signals = 0;   // bit for each signal the queue wants to hear of, 1 << (number - 1)
  bell* next = nullptr;        // the engine's
  int set = -1;                // where a handler rings: all who wait for the queue hear it
  std::uint32_t sleepers = 0;  // threads that sleep in the kernel
  bool pollable = false;
  bool rung = false;  // by a handler, since the bell was last harvested
  bool enlisted = false;
};

inline constexpr int kSignals = 64;
QUAY_HANDLER_SAFE constexpr std::uint64_t signal_bit(int number) noexcept {
  return number >= 1 && number <= kSignals ? std::uint64_t{1} << (number - 1) : 0;
}

// How often a signal was posted to the process. Both figures only grow, modulo 2^32.
struct postings {
  std::uint32_t heeded;   // while the program handled it, blocked it or left it to its default
  std::uint32_t ignored;  // while the program ignored it
};

class signal_counter {
 public:
  // From here on the signal's postings are counted; `ignored_too`: also while the program ignores
  // it, which may cost its other threads an EINTR. Each call is undone by one forget().
  virtual void watch(int number, bool ignored_too) noexcept = 0;
  virtual void forget(int number, bool ignored_too) noexcept = 0;
  virtual postings posted(int number) noexcept = 0;
  // Raised by every posting of a watched signal.
  virtual std::uint64_t tally() noexcept = 0;
  // Counts those of `signals` that are blocked and pending and were not counted yet.
  virtual void look(std::uint64_t signals) noexcept = 0;
  // Whether some of `signals` were counted while pending and may have been taken since.
  virtual bool worth_a_look(std::uint64_t signals) noexcept = 0;
  // Takes note of what the program did to its dispositions behind our back (unhooked processes).
  virtual void recheck(std::uint64_t signals) noexcept = 0;

  // A descriptor that is readable when a watched signal is blocked and pending; -1: none.
  virtual int descriptor() noexcept = 0;
  // From here on the bell is rung for what bell.signals names.
  virtual void enlist(bell& b) noexcept = 0;

 protected:
  ~signal_counter() = default;
};

}  // namespace quay::core
