// SPDX-License-Identifier: BSD-2-Clause
//
// What: a process with queues forks very often: neither its memory nor its descriptors grow, and
// every child works.
// Contract: kqueue semantics, section 6 (fork). QUAY_STRESS_SECONDS says how long; with QUAY_SOAK_FORKS
// it forks that often, however long it takes.
#include "support/length.hpp"
#include "support/matchers.hpp"
#include "support/processes.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

TEST(Kqueue_ForkSoak, MemoryAndDescriptorsStayConstant) {
  const queue kq = make_queue();
  const queue copied(::kqueuex(KQUEUE_CPONFORK));
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ), add(1, EVFILT_TIMER).data(100'000'000),
                         add(2, EVFILT_USER, EV_CLEAR)}),
              Succeeds());
  ASSERT_THAT(alter(copied, {add(p.reader, EVFILT_READ, EV_CLEAR), add(2, EVFILT_USER, EV_CLEAR)}),
              Succeeds());
  const auto child = [&] {
    QUAY_CHILD_CHECK(::fcntl(kq, F_GETFD) < 0);
    const queue own = make_queue();
    QUAY_CHILD_CHECK(
        submit(own, {add(1, EVFILT_USER), trigger(1), add(p.writer, EVFILT_WRITE)}).result == 2);
    QUAY_CHILD_CHECK(submit(copied, {trigger(2)}).result == 1);
    return 0;
  };

  const auto wanted = static_cast<long>(from_environment("QUAY_SOAK_FORKS", 0));
  const time_limit limit(stress_time());
  constexpr long kWarmUp = 200;
#if defined(__SANITIZE_ADDRESS__)
  constexpr long kMostGrowth = 16 * 1024;  // the sanitizer keeps for a while what is freed
#else
  constexpr long kMostGrowth = 1024;  // kilobytes
#endif
  size_t descriptors = 0;
  long memory = 0;
  long forks = 0;
  while (wanted > 0 ? forks < wanted : forks <= kWarmUp || !limit.over()) {
    ASSERT_EQ(in_child(child), 0) << "fork " << forks;
    ASSERT_THAT(submit(kq, {trigger(2)}), Returns(testing::SizeIs(1)));
    if (++forks == kWarmUp) {
      descriptors = count_descriptors();
      memory = resident_kilobytes();
    }
  }
  EXPECT_EQ(count_descriptors(), descriptors);
  const long grown = resident_kilobytes() - memory;
  EXPECT_LE(grown, kMostGrowth) << "kilobytes, after " << forks << " forks";
  quay_stats stats{};
  quay_stats_get(&stats, sizeof stats);
  EXPECT_EQ(stats.notes, 5u);
  std::printf("%ld forks, %ld KiB grown\n", forks, grown);
}

}  // namespace
}  // namespace quay::test
