// SPDX-License-Identifier: BSD-2-Clause
//
// What: how long who fetches waits for more.
// Contract: core/spin.hpp, docs/decisions/0013: as long as more come, not for ever, and not at all for
//           what has not been coming lately.
#include "core/spin.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdint>

namespace {

using quay::core::gathering;
using quay::core::many_cpus;

constexpr std::uint32_t kRoom = 64;

// What a wait sees: `growth` more at each look. Tells how often it looked.
int looks_of_wait(gathering& g, std::uint32_t there, std::uint32_t growth) {
  int looks = 0;
  g.wait(kRoom, [&] { return there + growth * static_cast<std::uint32_t>(looks++); });
  return looks;
}

void see_streams(gathering& g) {
  for (int n = 0; n < 8; ++n) looks_of_wait(g, 0, 16);
}

TEST(Gathering, PaysOnceEventsHaveComeInStreams) {
  gathering g;
  EXPECT_FALSE(g.pays());
  see_streams(g);
  EXPECT_EQ(g.pays(), many_cpus());
}

// Programs bind their event loops, and a bound thread says nothing of the others.
TEST(Gathering, PaysWhereTheFirstThreadIsBoundToOneOfManyProcessors) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  gathering g;
  see_streams(g);
  EXPECT_EQ(g.pays(), CPU_COUNT(&all) > 1);
  EXPECT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
}

TEST(Gathering, StopsLookingAfterSilence) {
  gathering g;
  see_streams(g);
  int looks = 0;
  for (int n = 0; n < 64; ++n) looks += looks_of_wait(g, 1, 0);
  EXPECT_FALSE(g.pays());
  EXPECT_LE(looks, 20);
}

TEST(Gathering, FindsOutThatAStreamHasBegun) {
  gathering g;
  for (int n = 0; n < 64; ++n) looks_of_wait(g, 1, 0);
  EXPECT_FALSE(g.pays());
  for (int n = 0; n < 256; ++n) looks_of_wait(g, 0, 16);
  EXPECT_EQ(g.pays(), many_cpus());
}

TEST(Gathering, WaitsForSeveralRoomfuls) {
  gathering g;
  EXPECT_EQ(looks_of_wait(g, 0, 2 * kRoom), 3);
}

TEST(Gathering, DoesNotWaitForWhatIsThere) {
  gathering g;
  see_streams(g);
  EXPECT_EQ(looks_of_wait(g, 4 * kRoom, 1), 1);
  EXPECT_EQ(g.pays(), many_cpus());
  g.wait(1, [] { return 0u; });
  EXPECT_EQ(g.pays(), many_cpus());
}

TEST(Gathering, EndsThoughMoreAndMoreCome) {
  gathering g;
  for (int n = 0; n < 100; ++n) EXPECT_LE(looks_of_wait(g, 0, 1), 16);
}

TEST(Gathering, EndsWhenSomebodyElseTakesThem) {
  gathering g;
  std::uint32_t left = 10;
  int looks = 0;
  g.wait(kRoom, [&] {
    ++looks;
    return left--;
  });
  EXPECT_EQ(looks, 2);
}

}  // namespace
