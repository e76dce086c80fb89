// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that 100,000 timers due within one millisecond are delivered in a fraction of
//   the time that a timerfd each takes.
// Contract: the measured part begins at the first deadline, with the consumer already waiting, and
//   ends when the last event has been fetched (for a timerfd: fetched and read). Deadlines are
//   spread evenly at random over the window. As many timerfds as fit in one process are measured,
//   in a window shortened in proportion, so that both sides expire as densely; figures are per
//   timer.

#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/harness.hpp"
#include "support/queue.hpp"

namespace quay::bench {
namespace {

constexpr std::size_t kTimers = 100'000;
constexpr std::int64_t kWindowNs = 1'000'000;
constexpr std::size_t kSpareDescriptors = 1000;
constexpr std::size_t kMostTimerfds = 18'000;
constexpr std::size_t kMaxEvents = 256;

struct deadlines {
  deadlines(std::size_t count, std::int64_t lead_ns)
      : first(now_ns() + lead_ns),
        window(std::max<std::int64_t>(
            1, kWindowNs * static_cast<std::int64_t>(count) / std::int64_t{kTimers})) {}
  std::int64_t draw(quick_random& random) const {
    return first + static_cast<std::int64_t>(random.below(static_cast<std::size_t>(window)));
  }
  std::int64_t first;
  std::int64_t window;
};

// Sets all timers, each by set(index, deadline), before the first of them is due. On a busy machine
// that may take more than one attempt; setting a timer again replaces its deadline on both sides.
template <typename Set>
deadlines set_in_time(std::size_t count, quick_random& random, Set set) {
  constexpr int kAttempts = 6;
  std::int64_t lead_ns = 10'000'000 + static_cast<std::int64_t>(count) * 2000;
  for (int attempt = 0; attempt < kAttempts; ++attempt, lead_ns *= 2) {
    const deadlines due(count, lead_ns);
    for (std::size_t i = 0; i < count; ++i) set(i, due.draw(random));
    if (now_ns() < due.first) return due;
  }
  throw std::runtime_error("setting the timers takes longer than they are ahead");
}

class expiring_notes {
 public:
  explicit expiring_notes(std::size_t count) : queue_(privacy::exclusive), count_(count) {}

  void run(slice& out) {
    const deadlines due =
        set_in_time(count_, random_, [this](std::size_t i, std::int64_t deadline) {
          const std::int64_t ahead = std::max<std::int64_t>(deadline - now_ns(), 1);
          queue_.apply(change(i, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_NSECONDS,
                              static_cast<std::intptr_t>(ahead)));
        });
    std::array<struct kevent, kMaxEvents> events;
    for (std::size_t seen = 0; seen < count_;) {
      seen += queue_.get_events(events.data(), events.size(), nullptr);
    }
    out.add(now_ns() - due.first, count_);
  }

 private:
  kernel_queue queue_;
  std::size_t count_;
  quick_random random_;
};

class expiring_timerfds {
 public:
  explicit expiring_timerfds(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      timers_.emplace_back(
          check(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create"));
      queue_.control(EPOLL_CTL_ADD, timers_.back().get(), EPOLLIN);
    }
  }

  void run(slice& out) {
    const deadlines due =
        set_in_time(timers_.size(), random_, [this](std::size_t i, std::int64_t deadline) {
          itimerspec spec{};
          spec.it_value.tv_sec = deadline / 1'000'000'000;
          spec.it_value.tv_nsec = deadline % 1'000'000'000;
          check(timerfd_settime(timers_[i].get(), TFD_TIMER_ABSTIME, &spec, nullptr),
                "timerfd_settime");
        });
    std::array<epoll_event, kMaxEvents> events;
    for (std::size_t seen = 0; seen < timers_.size();) {
      const std::size_t count = queue_.get_events(events.data(), events.size(), -1);
      for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t expirations;
        if (::read(events[i].data.fd, &expirations, sizeof expirations) != sizeof expirations) {
          fail("read of a timerfd");
        }
      }
      seen += count;
    }
    out.add(now_ns() - due.first, timers_.size());
  }

 private:
  epoll_queue queue_;
  std::vector<unique_fd> timers_;
  quick_random random_;
};

template <typename Mechanism>
variant_factory expire(std::size_t count) {
  return [=] {
    auto state = std::make_shared<Mechanism>(count);
    return variant([state](slice& out) { state->run(out); });
  };
}

void run(context& ctx) {
  pin_to_last();
  const std::size_t limit = raise_descriptor_limit();
  const std::size_t count = ctx.sized<std::size_t>(kTimers, 500);
  const std::size_t descriptors =
      std::min(count, std::min(kMostTimerfds, limit - kSpareDescriptors) / ctx.baselines());
  check(quay_tunable_set("kq_calloutmax", static_cast<long>(count + 1000)),
        "quay_tunable_set(kq_calloutmax)");
  comparison row;
  row.name = "timer.expiry.100k";
  row.subject = "EVFILT_TIMER one-shot, 100k due within 1 ms, private queue, per timer";
  row.baseline = "timerfd each: epoll_wait + read, per timer";
  row.target = 0.25;
  row.repetitions = 10;
  if (descriptors < count) {
    row.note = std::to_string(descriptors) + " timerfds measured, same density of deadlines";
  }
  row.ours = expire<expiring_notes>(count);
  row.base = expire<expiring_timerfds>(descriptors);
  ctx.compare(row);
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "100,000 timers expiring at once against a timerfd each",
                    {{"timer.expiry.100k", run}});
}
