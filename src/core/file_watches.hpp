// SPDX-License-Identifier: BSD-2-Clause
//
// What: which interests of a queue are told what the file watcher reports of a watch. Several
//       descriptors may name one file, which then is one watch; and a directory hangs off its
//       parent's watch too, for only the parent is told when it is removed.
// Invariants:
//   1. Links are named by number; 0 is none. A link is on the chain of its watch's bucket and on
//      the chain that starts at its interest's `files`.
//   2. While reports are handed out no link is freed and no bucket moves: a link that is removed
//      then has no interest any more and is swept afterwards.
// Ownership: the table owns its links; interests hold the number of their first one.
// Locking: the owning queue's mutex.
#pragma once

#include <cstdint>

#include "core/growable.hpp"
#include "core/slot.hpp"

namespace quay::core {

class file_watches {
 public:
  using number = std::uint32_t;

  struct link {
    std::int32_t watch;
    std::uint32_t what;    // file_change bits asked for
    slot_index interest;   // kNil: removed, to be swept
    std::uint32_t parent;  // 1: the watch is on the directory that the interest's directory is in
    number next_in_bucket;
    number next_of_interest;  // also the chain of free links
  };

  link& at(number l) noexcept { return links_[l]; }

  // The interest's link to itself or to its parent; 0 when there is none.
  number find(number first, bool parent) noexcept {
    while (first != 0 && (links_[first].parent != 0) != parent) {
      first = links_[first].next_of_interest;
    }
    return first;
  }

  // Adds a link to the chain at `first`. False: no memory.
  [[nodiscard]] bool add(number& first, slot_index interest, std::int32_t watch, std::uint32_t what,
                         bool parent) noexcept;
  // Takes one link off the chain at `first`; tells whether its watch has no other.
  bool remove(number& first, number l) noexcept;

  // Calls f(interest, parent) for every link of the watch, -1: of all watches.
  template <class F>
  void each(std::int32_t watch, F f) noexcept {
    handing_out_ = true;
    const std::size_t begin = watch >= 0 && buckets_ != 0 ? bucket(watch) : 0;
    const std::size_t end = watch >= 0 && buckets_ != 0 ? begin + 1 : buckets_;
    for (std::size_t b = begin; b < end; ++b) {
      for (number l = heads_[b]; l != 0; l = links_[l].next_in_bucket) {
        const link& at = links_[l];
        if ((watch < 0 || at.watch == watch) && at.interest != kNil) f(at.interest, at.parent != 0);
      }
    }
    handing_out_ = false;
    if (removed_ != 0) sweep();
  }

  void reset() noexcept;

 private:
  std::size_t bucket(std::int32_t watch) const noexcept {
    return static_cast<std::uint32_t>(watch) & (buckets_ - 1);  // the kernel counts watches up
  }
  bool grow() noexcept;
  void sweep() noexcept;
  void take_out(number l) noexcept;

  growable<link> links_;
  growable<number> heads_;
  std::size_t buckets_ = 0;  // a power of two, or 0
  std::size_t used_ = 1;     // links ever handed out, number 0 included
  std::size_t live_ = 0;
  std::size_t removed_ = 0;  // links that wait to be swept
  number free_ = 0;
  bool handing_out_ = false;
};

}  // namespace quay::core
