// SPDX-License-Identifier: BSD-2-Clause
//
// What: random calls of an event port, and of what changes the descriptors associated with it, on the library and on the
//       model at once.
#pragma once

#include <array>
#include <memory>

#include "exploration.hpp"
#include "port_model.hpp"

namespace quay::model {

enum class port_action {
  send,
  sendn,
  associate,
  dissociate,
  alert,
  get,
  getn,
  count,
  feed,
  drain,
  hang_up,
  renew,
  look
};

struct port_operation {
  port_action action = port_action::send;
  int port = 0;
  int target = 0;  // an end of an object
  int events = 0;
  int flags = 0;
  unsigned max = 0;
  unsigned want = 0;
  unsigned user = 0;
};

std::string describe(const port_operation& step);

class port_trial {
 public:
  using operation = port_operation;

  // `bluff`: the model is told a limit that is not the port's, which must be found out.
  explicit port_trial(int flags, bool bluff = false) : flags_(flags), bluff_(bluff) {}

  operation draw(dice& d) const;
  std::vector<operation> simpler(const operation& step) const;
  std::string run(const std::vector<operation>& steps);

 private:
  static constexpr int kEnds = 8;  // two pipes, two socket pairs
  static constexpr unsigned kLimit = 7;

  std::string perform(const operation& step);
  std::string send_many(const operation& step);
  std::string get(const operation& step);
  std::string getn(const operation& step);
  void move_bytes(const operation& step);
  void open(int which);
  void hang_up(int which);
  void tell(int which);
  std::size_t port_of(const operation& step) const { return static_cast<std::size_t>(step.port); }
  int descriptor_of(int target) const {
    return target < kEnds ? ends_[static_cast<std::size_t>(target)] : -1;
  }

  const int flags_;
  const bool bluff_;
  std::array<int, kEnds> ends_;
  std::array<int, 2> ports_{-1, -1};
  std::array<std::unique_ptr<port_model>, 2> models_;
};

}  // namespace quay::model
