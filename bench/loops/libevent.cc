// SPDX-License-Identifier: BSD-2-Clause
//
// What: libevent's loop on epoll: one persistent event for each descriptor.

#include <event2/event.h>
#include <unistd.h>

#include <stdexcept>

#include "loop.hpp"

namespace quay::bench {
namespace {

class libevent_loop : public foreign_loop {
 public:
  libevent_loop(const std::vector<int>& readers, short how)
      : base_(event_base_new(), event_base_free) {
    if (!base_) throw std::runtime_error("event_base_new");
    for (const int fd : readers) {
      watched_.emplace_back(
          event_new(base_.get(), fd, static_cast<short>(EV_READ | EV_PERSIST | how), ready, this),
          event_free);
      if (!watched_.back() || event_add(watched_.back().get(), nullptr) != 0) {
        throw std::runtime_error("event_add");
      }
    }
  }
  std::size_t consume() override {
    seen_ = 0;
    if (event_base_loop(base_.get(), EVLOOP_ONCE) < 0) throw std::runtime_error("event_base_loop");
    return seen_;
  }

 private:
  static void ready(int fd, short, void* self) {
    char byte;
    if (::read(fd, &byte, 1) == 1) ++static_cast<libevent_loop*>(self)->seen_;
  }

  std::unique_ptr<event_base, decltype(&event_base_free)> base_;
  std::vector<std::unique_ptr<event, decltype(&event_free)>> watched_;
  std::size_t seen_ = 0;
};

}  // namespace

std::unique_ptr<foreign_loop> libevent_level(const std::vector<int>& readers) {
  return std::make_unique<libevent_loop>(readers, 0);
}

std::unique_ptr<foreign_loop> libevent_edge(const std::vector<int>& readers) {
  return std::make_unique<libevent_loop>(readers, EV_ET);
}

std::string libevent_version() { return std::string("libevent ") + event_get_version(); }

}  // namespace quay::bench
