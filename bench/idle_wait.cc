// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that ten thousand idle descriptors cost a waiting queue nothing: a kevent that
//   looks and finds nothing is as cheap as epoll_wait.
// Contract: both sides watch the same idle sockets for reading and wait with a zero timeout.

#include <array>
#include <memory>
#include <stdexcept>
#include <vector>

#include "support/channels.hpp"
#include "support/harness.hpp"
#include "support/queue.hpp"

namespace quay::bench {
namespace {

constexpr std::size_t kDescriptors = 10'000;
constexpr std::size_t kMaxEvents = 64;

using channel_list = std::shared_ptr<std::vector<channel>>;

class idle_kqueue {
 public:
  idle_kqueue(const std::vector<channel>& channels, privacy how) : queue_(how) {
    for (const channel& each : channels) {
      for (const int fd : {each.reader.get(), each.writer.get()}) {
        queue_.apply(change(static_cast<std::uintptr_t>(fd), EVFILT_READ, EV_ADD));
      }
    }
  }
  std::size_t look() { return queue_.get_events(events_.data(), events_.size(), &kNoWait); }

 private:
  kernel_queue queue_;
  std::array<struct kevent, kMaxEvents> events_;
};

class idle_epoll {
 public:
  explicit idle_epoll(const std::vector<channel>& channels) {
    for (const channel& each : channels) {
      for (const int fd : {each.reader.get(), each.writer.get()}) {
        queue_.control(EPOLL_CTL_ADD, fd, EPOLLIN);
      }
    }
  }
  std::size_t look() { return queue_.get_events(events_.data(), events_.size(), 0); }

 private:
  epoll_queue queue_;
  std::array<epoll_event, kMaxEvents> events_;
};

template <typename Mechanism, typename... Args>
variant_factory looking(batch_sizes size, const channel_list& channels, Args... args) {
  return [=] {
    auto state = std::make_shared<Mechanism>(*channels, args...);
    return variant([=](slice& out) {
      run_batches(size, out, [&] {
        if (state->look() != 0) throw std::runtime_error("an idle descriptor is ready");
      });
    });
  };
}

void run(context& ctx) {
  pin_to_last();
  raise_descriptor_limit();
  const auto channels = std::make_shared<std::vector<channel>>(
      make_channels(object_kind::unix_socket, ctx.sized<std::size_t>(kDescriptors, 20) / 2));
  const batch_sizes size = ctx.sized(batch_sizes{5, 200}, batch_sizes{2, 20, 0});
  comparison row;
  row.name = "idle_wait.10k";
  row.subject = "kevent, zero timeout, 10k idle descriptors";
  row.baseline = "epoll_wait, zero timeout, 10k idle descriptors";
  row.target = 1.1;
  row.repetitions = 500;
  row.ours = looking<idle_kqueue>(size, channels, privacy::pollable);
  row.base = looking<idle_epoll>(size, channels);
  ctx.compare(row);
  if (!ctx.extra()) return;
  row.name = "idle_wait.10k.private";
  row.subject = "kevent, zero timeout, 10k idle descriptors, private queue";
  row.target.reset();
  row.ours = looking<idle_kqueue>(size, channels, privacy::exclusive);
  ctx.compare(row);
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "A wait that finds nothing among 10,000 idle descriptors",
                    {{"idle_wait.10k", run}});
}
