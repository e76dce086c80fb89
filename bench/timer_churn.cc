// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that cancelling and adding a timer among many costs a fraction of what kernel
//   timers cost, whether a program makes a timerfd each (create, arm, register, close) or keeps
//   timerfds and arms them anew (disarm, arm).
// Contract: random timers are chosen, with random deadlines one to two hours ahead. Of the
//   baseline's outstanding timers as many as fit belong to this process, the rest to helper
//   processes on the same processor; the row says how many of each there really were.

#include <sys/timerfd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "support/harness.hpp"
#include "support/queue.hpp"
#include "support/timer_holders.hpp"

namespace quay::bench {
namespace {

// Descriptors left for everything else than the baseline's timers.
constexpr std::size_t kSpareDescriptors = 1000;
constexpr std::size_t kMostTimers = 18'000;

std::intptr_t random_ms(quick_random& random) {
  return static_cast<std::intptr_t>(kFarMs + static_cast<std::int64_t>(random.below(kFarMs)));
}

itimerspec random_expiry(quick_random& random) {
  const auto ms = random_ms(random);
  itimerspec when{};
  when.it_value.tv_sec = ms / 1000;
  when.it_value.tv_nsec = ms % 1000 * 1'000'000;
  return when;
}

class timer_notes {
 public:
  explicit timer_notes(std::size_t count) : queue_(privacy::exclusive), count_(count) {
    for (std::size_t i = 0; i < count_; ++i) add(i);
  }
  void cancel_and_add() {
    const std::size_t ident = random_.below(count_);
    queue_.apply(change(ident, EVFILT_TIMER, EV_DELETE));
    add(ident);
  }

 private:
  void add(std::size_t ident) {
    queue_.apply(change(ident, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, random_ms(random_)));
  }

  kernel_queue queue_;
  std::size_t count_;
  quick_random random_;
};

// A timerfd that is armed and registered.
class timer_descriptors {
 public:
  explicit timer_descriptors(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) timers_.push_back(make());
  }

 protected:
  unique_fd make() {
    unique_fd timer(
        check(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create"));
    arm(timer.get(), random_expiry(random_));
    queue_.control(EPOLL_CTL_ADD, timer.get(), EPOLLIN);
    return timer;
  }
  static void arm(int timer, const itimerspec& when) {
    check(timerfd_settime(timer, 0, &when, nullptr), "timerfd_settime");
  }

  epoll_queue queue_;
  quick_random random_;
  std::vector<unique_fd> timers_;
};

class created_each_time : public timer_descriptors {
 public:
  using timer_descriptors::timer_descriptors;
  void cancel_and_add() {
    unique_fd& timer = timers_[random_.below(timers_.size())];
    timer.reset();
    timer = make();
  }
};

class armed_anew : public timer_descriptors {
 public:
  using timer_descriptors::timer_descriptors;
  void cancel_and_add() {
    const int timer = timers_[random_.below(timers_.size())].get();
    arm(timer, itimerspec{});
    arm(timer, random_expiry(random_));
  }
};

template <typename Mechanism>
variant_factory churn(batch_sizes size, std::size_t count) {
  return [=] {
    auto state = std::make_shared<Mechanism>(count);
    return variant([=](slice& out) { run_batches(size, out, [&] { state->cancel_and_add(); }); });
  };
}

std::string holders_note(std::size_t outstanding, std::size_t own, std::size_t held) {
  if (own == outstanding) return "";
  std::string note = std::to_string(own) + " timerfds in the process, " + std::to_string(held) +
                     " in helper processes";
  if (own + held < outstanding) note += " (system limit)";
  return note;
}

void run(context& ctx, const std::string& label, std::size_t outstanding) {
  pin_to_last();
  const std::size_t limit = raise_descriptor_limit();
  const std::size_t fit = std::min(limit - kSpareDescriptors, kMostTimers) / ctx.baselines();
  const std::size_t own = std::min(outstanding, fit);
  const timer_holders holders(outstanding - own, fit);
  check(quay_tunable_set("kq_calloutmax", static_cast<long>(outstanding + 1000)),
        "quay_tunable_set(kq_calloutmax)");

  const batch_sizes size = ctx.sized(batch_sizes{2, 128}, batch_sizes{2, 8, 0});
  comparison row;
  row.name = "timer.churn." + label + ".create";
  row.subject = "EVFILT_TIMER delete + add, private queue, " + label + " outstanding";
  row.baseline = "timerfd each: create, arm, register, close";
  row.target = 0.05;
  row.note = holders_note(outstanding, own, holders.count());
  row.repetitions = 240;
  row.ours = churn<timer_notes>(size, outstanding);
  row.base = churn<created_each_time>(size, own);
  ctx.compare(row);

  row.name = "timer.churn." + label + ".rearm";
  row.baseline = "existing timerfd: disarm + arm";
  row.target = 0.15;
  row.base = churn<armed_anew>(size, own);
  ctx.compare(row);
}

bench_case make_case(const std::string& label, std::size_t full, std::size_t tiny) {
  return {"timer.churn." + label, [=](context& ctx) { run(ctx, label, ctx.sized(full, tiny)); }};
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "Cancel and add among many timers against timerfds",
                    {make_case("1", 1, 1), make_case("1k", 1000, 20),
                     make_case("100k", 100'000, 50), make_case("1M", 1'000'000, 100)});
}
