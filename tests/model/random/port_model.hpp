// SPDX-License-Identifier: BSD-2-Clause
//
// What: an event port as illumos has it, small enough to be read: a queue, associations, an alert, a limit.
// Contract: sources USER, FD and ALERT in one process; calls that do not wait. What a descriptor is ready for is asked of
//           the caller, who asks the kernel.
// Invariants:
// 1. An association is armed, queued or idle; queued ones have exactly one entry in the queue.
// 2. An entry whose condition went away before the port was looked at is `faded`: that it comes or does not are both right.
#pragma once

#include <port.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <vector>

namespace quay::model {

class port_model {
 public:
  // What poll(2) says of a descriptor for a mask: bits, or -1 when it is not open.
  using asker = std::function<int(int descriptor, int mask)>;

  port_model(asker ready, unsigned limit) : ready_(std::move(ready)), limit_(limit) {}

  // Each answers with an errno, 0 for success.
  int associate(int descriptor, int events, void* user);
  int dissociate(int descriptor);
  int send(int events, void* user);
  int alert(int flags, int events, void* user);

  // The state of a descriptor may have changed; it was closed.
  void changed(int descriptor);
  void closed(int descriptor);

  // What a get of up to `max` events with zero timeout delivered. "" or what is wrong with it.
  std::string accept(const std::vector<port_event_t>& got, unsigned max);
  bool alerted() const { return alerted_; }
  const port_event_t& alert_event() const { return alert_; }
  // How many entries are in the queue: at least, at most.
  unsigned certain() const;
  unsigned queued() const { return static_cast<unsigned>(queue_.size()); }

 private:
  enum class state { armed, queued, idle };
  struct association {
    int events = 0;
    void* user = nullptr;
    state now = state::idle;
  };
  struct entry {
    port_event_t event{};
    bool faded = false;
  };

  bool full() const { return users_ + associations_.size() >= limit_; }
  void cancel(int descriptor);
  void look(int descriptor, association& a);
  std::string compare(const entry& e, const port_event_t& got) const;

  asker ready_;
  unsigned limit_;
  unsigned users_ = 0;
  bool ever_associated_ = false;
  bool alerted_ = false;
  port_event_t alert_{};
  std::list<entry> queue_;
  std::map<int, association> associations_;
};

std::string words(const port_event_t& e);

}  // namespace quay::model
