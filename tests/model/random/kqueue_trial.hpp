// SPDX-License-Identifier: BSD-2-Clause
//
// What: random calls of kevent(), and of what changes the watched objects, on the library and on the model at once.
// Contract: two kinds of sequences. `posted`: user events and timers on one queue, any room for events, order compared.
//           `objects`: pipes, socket pairs and a watched queue as well; always room for all, so that no order of the
//           kernel's reports matters.
#pragma once

#include <array>
#include <memory>

#include "exploration.hpp"
#include "kqueue_model.hpp"

namespace quay::model {

enum class kqueue_action { call, feed, drain, hang_up, renew, look };

struct kqueue_operation {
  kqueue_action action = kqueue_action::call;
  int queue = 0;
  int target = 0;  // an end of an object, by number
  int room = 0;
  struct change {
    int filter = EVFILT_USER;
    int ident = 0;  // an end for filters of descriptors, else itself
    unsigned flags = 0;
    unsigned fflags = 0;
    int data = 0;
    int udata = 0;
  };
  std::vector<change> changes;
};

std::string describe(const kqueue_operation& step);

class kqueue_trial : private world {
 public:
  using operation = kqueue_operation;

  // `like`: the dialect that the model follows; another one than the queue's must be found out.
  kqueue_trial(int dialect, int flags, bool objects, int like)
      : dialect_(dialect), flags_(flags), objects_(objects), rules_(rules_of(like)) {}
  kqueue_trial(int dialect, int flags, bool objects)
      : kqueue_trial(dialect, flags, objects, dialect) {}

  operation draw(dice& d) const;
  std::vector<operation> simpler(const operation& step) const;
  std::string run(const std::vector<operation>& steps);

 private:
  static constexpr int kObjects = 4;  // a pipe, a pipe, a socket pair, a socket pair
  static constexpr int kEnds = 2 * kObjects;
  static constexpr int kInner = kEnds;  // the watched queue, as an end
  static constexpr int kNowhere = kEnds + 1;

  struct end {
    int descriptor = -1;
    object state;
  };

  object look(std::uintptr_t ident) const override;
  std::size_t pending_of(int queue) const override {
    return models_[static_cast<std::size_t>(queue)]->pending();
  }
  void queue_grew(const queue_model& q) override;

  void open(int which);
  void hang_up(int which);
  std::string perform(const operation& step);
  std::string call(const operation& step);
  std::string look_at(int queue);
  struct kevent translate(const operation::change& c) const;
  bool writes(int which) const {
    return ends_[static_cast<std::size_t>(which)].state.writable_kind;
  }
  end& at(int which) { return ends_[static_cast<std::size_t>(which)]; }

  const int dialect_;
  const int flags_;
  const bool objects_;
  const rules& rules_;
  std::array<end, kEnds> ends_;
  std::array<int, 2> queues_{-1, -1};
  std::array<std::unique_ptr<queue_model>, 2> models_;
};

}  // namespace quay::model
