// SPDX-License-Identifier: BSD-2-Clause
//
// What: libuv's loop: one uv_poll_t for each descriptor; level-triggered, as libuv always is.
// Ownership: a handle has to outlive its closing, which a last turn of the loop ends.

#include <unistd.h>
#include <uv.h>

#include <stdexcept>

#include "loop.hpp"

namespace quay::bench {
namespace {

void demand(int result, const char* what) {
  if (result != 0) throw std::runtime_error(std::string(what) + ": " + uv_strerror(result));
}

class libuv_loop : public foreign_loop {
 public:
  explicit libuv_loop(const std::vector<int>& readers) : watched_(readers.size()) {
    demand(uv_loop_init(&loop_), "uv_loop_init");
    for (std::size_t i = 0; i < readers.size(); ++i) {
      watched_[i].owner = this;
      watched_[i].fd = readers[i];
      demand(uv_poll_init(&loop_, &watched_[i].handle, readers[i]), "uv_poll_init");
      watched_[i].handle.data = &watched_[i];
      demand(uv_poll_start(&watched_[i].handle, UV_READABLE, ready), "uv_poll_start");
    }
  }
  ~libuv_loop() override {
    for (watched& each : watched_) uv_close(reinterpret_cast<uv_handle_t*>(&each.handle), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }
  std::size_t consume() override {
    seen_ = 0;
    uv_run(&loop_, UV_RUN_ONCE);
    return seen_;
  }

 private:
  struct watched {
    uv_poll_t handle;
    libuv_loop* owner;
    int fd;
  };
  static void ready(uv_poll_t* handle, int status, int) {
    const auto* which = static_cast<const watched*>(handle->data);
    char byte;
    if (status == 0 && ::read(which->fd, &byte, 1) == 1) ++which->owner->seen_;
  }

  uv_loop_t loop_;
  std::vector<watched> watched_;
  std::size_t seen_ = 0;
};

}  // namespace

std::unique_ptr<foreign_loop> libuv_level(const std::vector<int>& readers) {
  return std::make_unique<libuv_loop>(readers);
}

std::string libuv_version() { return std::string("libuv ") + uv_version_string(); }

}  // namespace quay::bench
