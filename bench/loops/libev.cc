// SPDX-License-Identifier: BSD-2-Clause
//
// What: libev's loop on epoll: one ev_io for each descriptor; level-triggered, as libev always is.

#include <ev.h>
#include <unistd.h>

#include <stdexcept>

#include "loop.hpp"

namespace quay::bench {
namespace {

class libev_loop : public foreign_loop {
 public:
  explicit libev_loop(const std::vector<int>& readers)
      : loop_(ev_loop_new(EVBACKEND_EPOLL), ev_loop_destroy), watched_(readers.size()) {
    if (!loop_) throw std::runtime_error("ev_loop_new");
    for (std::size_t i = 0; i < readers.size(); ++i) {
      ev_io_init(&watched_[i], ready, readers[i], EV_READ);
      watched_[i].data = this;
      ev_io_start(loop_.get(), &watched_[i]);
    }
  }
  ~libev_loop() override {
    for (ev_io& each : watched_) ev_io_stop(loop_.get(), &each);
  }
  std::size_t consume() override {
    seen_ = 0;
    ev_run(loop_.get(), EVRUN_ONCE);
    return seen_;
  }

 private:
  static void ready(struct ev_loop*, ev_io* io, int) {
    char byte;
    if (::read(io->fd, &byte, 1) == 1) ++static_cast<libev_loop*>(io->data)->seen_;
  }

  std::unique_ptr<struct ev_loop, decltype(&ev_loop_destroy)> loop_;
  std::vector<ev_io> watched_;
  std::size_t seen_ = 0;
};

}  // namespace

std::unique_ptr<foreign_loop> libev_level(const std::vector<int>& readers) {
  return std::make_unique<libev_loop>(readers);
}

std::string libev_version() {
  return "libev " + std::to_string(ev_version_major()) + "." + std::to_string(ev_version_minor());
}

}  // namespace quay::bench
