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

// How long the timers lie ahead while they are being set: longer than setting them takes.
std::int64_t lead_ns(std::size_t count) {
  return 20'000'000 + static_cast<std::int64_t>(count) * 2500;
}

struct deadlines {
  deadlines(std::size_t count, bool must_be_early)
      : strict(must_be_early),
        first(now_ns() + lead_ns(count)),
        window(std::max<std::int64_t>(
            1, kWindowNs * static_cast<std::int64_t>(count) / std::int64_t{kTimers})) {}
  std::int64_t draw(quick_random& random) const {
    return first + static_cast<std::int64_t>(random.below(static_cast<std::size_t>(window)));
  }
  // Every timer must have been set before the first is due.
  void check_lead() const {
    if (strict && now_ns() >= first) throw std::runtime_error("setting the timers took too long");
  }
  bool strict;
  std::int64_t first;
  std::int64_t window;
};

class expiring_notes {
 public:
  expiring_notes(std::size_t count, bool strict)
      : queue_(privacy::exclusive), count_(count), strict_(strict) {}

  void run(slice& out) {
    const deadlines due(count_, strict_);
    for (std::size_t i = 0; i < count_; ++i) {
      const std::int64_t ahead = due.draw(random_) - now_ns();
      queue_.apply(change(i, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_NSECONDS,
                          static_cast<std::intptr_t>(std::max<std::int64_t>(ahead, 1))));
    }
    due.check_lead();
    std::array<struct kevent, kMaxEvents> events;
    for (std::size_t seen = 0; seen < count_;) {
      seen += queue_.get_events(events.data(), events.size(), nullptr);
    }
    out.add(now_ns() - due.first, count_);
  }

 private:
  kernel_queue queue_;
  std::size_t count_;
  bool strict_;
  quick_random random_;
};

class expiring_timerfds {
 public:
  expiring_timerfds(std::size_t count, bool strict) : strict_(strict) {
    for (std::size_t i = 0; i < count; ++i) {
      timers_.emplace_back(
          check(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create"));
      queue_.control(EPOLL_CTL_ADD, timers_.back().get(), EPOLLIN);
    }
  }

  void run(slice& out) {
    const deadlines due(timers_.size(), strict_);
    for (const unique_fd& timer : timers_) {
      const std::int64_t when = due.draw(random_);
      itimerspec spec{};
      spec.it_value.tv_sec = when / 1'000'000'000;
      spec.it_value.tv_nsec = when % 1'000'000'000;
      check(timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &spec, nullptr), "timerfd_settime");
    }
    due.check_lead();
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
  bool strict_;
  quick_random random_;
};

template <typename Mechanism>
variant_factory expire(std::size_t count, bool strict) {
  return [=] {
    auto state = std::make_shared<Mechanism>(count, strict);
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
  row.ours = expire<expiring_notes>(count, !ctx.smoke());
  row.base = expire<expiring_timerfds>(descriptors, !ctx.smoke());
  ctx.compare(row);
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "100,000 timers expiring at once against a timerfd each",
                    {{"timer.expiry.100k", run}});
}
