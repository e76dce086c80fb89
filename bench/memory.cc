// SPDX-License-Identifier: BSD-2-Clause
//
// What: the promise that a note takes at most 128 bytes of user memory, with a million user notes
//   and with a million timers on one queue.
// Contract: the growth of the resident set, all tables and rounding included, divided by the notes.
//   Each case has a process of its own, so nothing is left over from the other.

#include <string>

#include "support/harness.hpp"
#include "support/queue.hpp"
#include "support/timer_holders.hpp"

namespace quay::bench {
namespace {

constexpr double kBudgetBytes = 128;

template <typename Change>
void measure(context& ctx, const std::string& name, const std::string& subject, Change nth) {
  const std::size_t count = ctx.sized<std::size_t>(1'000'000, 1000);
  check(quay_tunable_set("kq_calloutmax", static_cast<long>(count + 1000)),
        "quay_tunable_set(kq_calloutmax)");
  kernel_queue queue(privacy::exclusive);
  // The first note brings in pages that do not depend on how many follow.
  queue.apply(nth(0));
  const std::int64_t before = resident_bytes();
  for (std::size_t i = 1; i <= count; ++i) queue.apply(nth(i));
  const std::int64_t after = resident_bytes();
  budgeted row;
  row.name = name;
  row.subject = subject;
  row.unit = "bytes";
  row.value = static_cast<double>(after - before) / static_cast<double>(count);
  row.budget = kBudgetBytes;
  row.note = std::to_string(count) + " notes on one queue";
  ctx.report(row);
}

void user_notes(context& ctx) {
  measure(ctx, "memory.user", "resident memory per EVFILT_USER note",
          [](std::size_t i) { return change(i, EVFILT_USER, EV_ADD | EV_CLEAR); });
}

void timer_notes(context& ctx) {
  measure(ctx, "memory.timer", "resident memory per EVFILT_TIMER note", [](std::size_t i) {
    return change(i, EVFILT_TIMER, EV_ADD, 0,
                  static_cast<std::intptr_t>(kFarMs) + static_cast<std::intptr_t>(i));
  });
}

}  // namespace
}  // namespace quay::bench

int main(int argc, char** argv) {
  using namespace quay::bench;
  return bench_main(argc, argv, "User memory per note",
                    {{"memory.user", user_notes}, {"memory.timer", timer_notes}});
}
