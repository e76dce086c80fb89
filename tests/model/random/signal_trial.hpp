// SPDX-License-Identifier: BSD-2-Clause
//
// What: random postings of signals, caught, ignored or blocked, with notes on them in two queues: how many does each
//       note say there were?
// Contract: EVFILT_SIGNAL of the BSD kernels, with the one departure that Linux forces where kill() is not hooked:
//           postings that merge with a pending one are not counted. Signals are directed at the process, whose only thread this is.
#pragma once

#include <array>
#include <csignal>

#include "exploration.hpp"

namespace quay::model {

enum class signal_action { change, post, fetch, handle, ignore, block, unblock };

struct signal_operation {
  signal_action action = signal_action::post;
  int queue = 0;
  int which = 0;  // one of the signals
  unsigned flags = 0;
  unsigned times = 1;
};

std::string describe(const signal_operation& step);

class signal_trial {
 public:
  using operation = signal_operation;

  struct extent {
    bool dispositions =
        false;  // handle and ignore: an unhooked library learns of them only at its next call
    bool blocking = false;  // block and unblock
    bool forgets =
        false;  // the model misses what comes while a note is disabled: this must be found out
  };
  signal_trial(int dialect, extent scope) : dialect_(dialect), scope_(scope) {}

  operation draw(dice& d) const;
  std::vector<operation> simpler(const operation& step) const;
  std::string run(const std::vector<operation>& steps);

 private:
  static constexpr std::array<int, 4> kSignals{SIGUSR1, SIGUSR2, SIGCHLD, SIGCONT};

  struct note {
    bool exists = false;
    bool disabled = false;
    bool oneshot = false;
    bool dispatch = false;
    long count = 0;
  };
  struct situation {
    bool ignored = false;
    bool blocked = false;
    bool pending = false;
  };

  std::string perform(const operation& step);
  std::string change(const operation& step);
  std::string fetch(int queue);
  void post(const operation& step);
  void dispose(int which, bool ignored);
  void block(int which, bool blocked);
  int unrecorded() const;

  const int dialect_;
  const extent scope_;
  std::array<int, 2> queues_{-1, -1};
  std::array<std::array<note, 4>, 2> notes_{};
  std::array<situation, 4> now_{};
};

}  // namespace quay::model
