// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_SIGNAL.
// Contract: semantics/kqueue.md 5.7 (SIGNAL) and 7 rows 28, 29: data is the number of postings since
//           the last retrieval, whether the program handles, ignores or blocks the signal; nothing
//           is taken from it. A number that is no signal never fires.
// Invariants: the note remembers the counter's figures; what lies between them and the counter's is
//             not in data yet.
#include <sys/event.h>

#include <cerrno>
#include <csignal>

#include "kqueue/filters/filters.hpp"
#include "kqueue/system.hpp"

namespace quay::kqueue {
namespace {

using core::note;
using core::slot_index;

class signal_filter_type final : public filter {
 public:
  constexpr signal_filter_type() noexcept : filter(false, false) {}

  int attach(queue& q, slot_index, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (q.rules().checks_signal_number && n.ident >= NSIG) return EINVAL;
    n.flags |= EV_CLEAR;
    n.data = 0;
    // The queue listens before the counter counts: no posting falls between.
    if (const int error = q.listen_locked(q.signals_locked() | bit(n)); error != 0) {
      return error;
    }
    if (bit(n) == 0) return 0;
    core::signal_counter& counter = *q.os().signals();
    counter.watch(number(n), counts_ignored(q, n));
    const core::postings now = counter.posted(number(n));
    n.signal = {now.heeded, now.ignored};
    return 0;
  }

  void detach(queue& q, slot_index, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (bit(n) == 0) return;
    q.listen_locked(q.signals_locked() & ~bit(n));
    q.os().signals()->forget(number(n), counts_ignored(q, n));
  }

  bool event(queue& q, slot_index, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (bit(n) == 0) return false;
    const core::postings now = q.os().signals()->posted(number(n));
    n.data += now.heeded - n.signal.heeded;
    if (counts_ignored(q, n)) n.data += now.ignored - n.signal.ignored;
    n.signal = {now.heeded, now.ignored};
    return n.data != 0;
  }

  int touch(queue& q, slot_index, note& n, core::event& change) noexcept override
      QUAY_REQUIRES(q.lock()) {
    if (!(q.rules().has_keep_udata && (change.flags & EV_KEEPUDATA))) n.udata = change.udata;
    n.sfflags = change.fflags;
    n.sdata = change.data;
    return 0;
  }

  int evaluate(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    if (event(q, i, n)) q.activate_locked(i);
    return 0;
  }
  void enabled(queue& q, slot_index i, note& n) noexcept override QUAY_REQUIRES(q.lock()) {
    evaluate(q, i, n);
  }

 private:
  static int number(const note& n) noexcept { return static_cast<int>(n.ident); }
  static std::uint64_t bit(const note& n) noexcept {
    return n.ident <= core::kSignals ? core::signal_bit(number(n)) : 0;
  }
  static bool counts_ignored(const queue& q, const note& n) noexcept {
    return q.rules().unrecorded_when_ignored != number(n);
  }
};

}  // namespace

namespace {
constinit signal_filter_type instance;
}  // namespace
constinit filter& signal_filter = instance;

}  // namespace quay::kqueue
