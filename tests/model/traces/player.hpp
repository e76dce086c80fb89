// SPDX-License-Identifier: BSD-2-Clause
//
// What: performs one recorded sequence with real descriptors and a real queue, up to the first
// difference.
// Invariants: (1) the number of a closed end or queue is never used again within a sequence, as in
// the recording; (2) all channels are non-blocking and every kevent() has a zero timeout, so only a
// defect can block.
// Ownership: the player closes what it opened.
#pragma once

#include <map>
#include <string>

#include "compare.hpp"
#include "trace.hpp"

namespace quay::traces {

enum class verdict { match, diverges, unplayable };

struct report {
  std::string id;
  int tier = 0;
  verdict outcome = verdict::unplayable;
  long operation_index = -1;
  int calls = 0;           // kevent() calls of the sequence
  int calls_matching = 0;  // before the first difference
  bool late = false;       // a timed call came too late to mean anything: play it again
  difference what;
};

class player {
 public:
  // `stretch` multiplies every time; `narrate` prints each operation to standard output.
  player(const sequence& script, int stretch, bool narrate);
  ~player();
  player(const player&) = delete;
  player& operator=(const player&) = delete;

  report play();

 private:
  // Each returns the reason why the sequence cannot be played further, or an empty string.
  std::string perform(const operation& op);
  std::string make_queue(const operation& op);
  std::string make_channel(const operation& op);
  std::string transfer(const operation& op);
  void sleep_until_advanced(const operation& op);

  answer call_kevent(const operation& op);
  uintptr_t ident_of(const entry& e) const;
  std::string object_of(int filter, uintptr_t ident) const;
  int descriptor_of(const std::string& object) const;
  bool overdue() const;
  void narrate_operation(size_t index, const operation& op, const report& so_far) const;

  const sequence& script_;
  const int stretch_;
  const bool narrate_;
  std::map<std::string, int>
      descriptors_;  // kept after a close: the number goes on naming the object
  std::map<std::string, bool> open_;
  int next_end_;
  int next_queue_;
  long long origin_ns_ = 0;
  long long advanced_ns_ = 0;
};

}  // namespace quay::traces
