// SPDX-License-Identifier: BSD-2-Clause
//
// What: the memory of a thread for ranges that were found good.
#include "core/known_memory.hpp"

#include <gtest/gtest.h>

namespace quay::core {
namespace {

constexpr std::uintptr_t kPage = 4096;

const void* at(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }

class Core_KnownMemory : public ::testing::Test {
 protected:
  void keep(std::uintptr_t address, std::size_t n) { known.keep(address, n, mapping_generation); }
  known_memory known;
};

TEST_F(Core_KnownMemory, HoldsNothingAtFirst) {
  EXPECT_FALSE(known.holds(at(kPage), 1));
  EXPECT_FALSE(known.holds(at(0), 1));
  EXPECT_FALSE(known.holds(at(UINTPTR_MAX), 1));
}

TEST_F(Core_KnownMemory, HoldsThePagesOfARangeAndNoByteMore) {
  keep(10 * kPage + 100, kPage);  // lies on two
  EXPECT_TRUE(known.holds(at(10 * kPage), 2 * kPage));
  EXPECT_TRUE(known.holds(at(12 * kPage - 1), 1));
  EXPECT_FALSE(known.holds(at(10 * kPage - 1), 1));
  EXPECT_FALSE(known.holds(at(12 * kPage), 1));
  EXPECT_FALSE(known.holds(at(12 * kPage - 1), 2));
  EXPECT_FALSE(known.holds(at(10 * kPage), SIZE_MAX));
}

TEST_F(Core_KnownMemory, RangesThatMeetAreOne) {
  keep(10 * kPage, kPage);
  keep(11 * kPage, kPage);
  EXPECT_TRUE(known.holds(at(10 * kPage), 2 * kPage));
}

TEST_F(Core_KnownMemory, HoldsFourRangesAndForgetsTheOldest) {
  for (std::uintptr_t n = 1; n <= 4; ++n) keep(10 * n * kPage, 1);
  for (std::uintptr_t n = 1; n <= 4; ++n) EXPECT_TRUE(known.holds(at(10 * n * kPage), kPage));
  keep(50 * kPage, 1);
  EXPECT_FALSE(known.holds(at(10 * kPage), 1));
  for (std::uintptr_t n = 2; n <= 5; ++n) EXPECT_TRUE(known.holds(at(10 * n * kPage), kPage));
}

TEST_F(Core_KnownMemory, AChangeOfAnyMappingEmptiesIt) {
  keep(10 * kPage, 1);
  const std::uint32_t before = mapping_generation++;
  EXPECT_FALSE(known.holds(at(10 * kPage), 1));
  known.keep(20 * kPage, 1, before);  // found good before the change
  EXPECT_FALSE(known.holds(at(20 * kPage), 1));
  keep(30 * kPage, 1);
  EXPECT_TRUE(known.holds(at(30 * kPage), 1));
  EXPECT_FALSE(known.holds(at(10 * kPage), 1));
  EXPECT_FALSE(known.holds(at(20 * kPage), 1));
}

}  // namespace
}  // namespace quay::core
