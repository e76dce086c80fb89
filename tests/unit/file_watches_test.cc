// SPDX-License-Identifier: BSD-2-Clause
//
// What: the links between file watches and interests: who is told, and what may happen meanwhile.
#include "core/file_watches.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace quay::core {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class File_Watches : public testing::Test {
 protected:
  std::vector<slot_index> told(std::int32_t watch) {
    std::vector<slot_index> all;
    table_.each(watch, [&](slot_index i, bool) { all.push_back(i); });
    return all;
  }
  file_watches table_;
};

TEST_F(File_Watches, EveryInterestOfAWatchIsToldAndNoOther) {
  file_watches::number a = 0;
  file_watches::number b = 0;
  file_watches::number c = 0;
  ASSERT_TRUE(table_.add(a, 1, 7, 1, false));
  ASSERT_TRUE(table_.add(b, 2, 7, 1, false));
  ASSERT_TRUE(table_.add(c, 3, 7 + 64, 1, false));  // the same bucket
  EXPECT_THAT(told(7), UnorderedElementsAre(1, 2));
  EXPECT_THAT(told(-1), UnorderedElementsAre(1, 2, 3)) << "lost reports are told to all";
  EXPECT_THAT(told(8), IsEmpty());
}

TEST_F(File_Watches, TheLastLinkOfAWatchIsKnownAsTheLast) {
  file_watches::number a = 0;
  file_watches::number b = 0;
  ASSERT_TRUE(table_.add(a, 1, 7, 1, false));
  ASSERT_TRUE(table_.add(b, 2, 7, 1, false));
  EXPECT_FALSE(table_.remove(a, a));
  EXPECT_TRUE(table_.remove(b, b));
  EXPECT_EQ(a, 0U);
  EXPECT_THAT(told(7), IsEmpty());
}

TEST_F(File_Watches, AnInterestHasOneLinkToItselfAndOneToItsParent) {
  file_watches::number a = 0;
  ASSERT_TRUE(table_.add(a, 1, 7, 1, false));
  ASSERT_TRUE(table_.add(a, 1, 9, 1, true));
  EXPECT_EQ(table_.at(table_.find(a, false)).watch, 7);
  EXPECT_EQ(table_.at(table_.find(a, true)).watch, 9);
}

TEST_F(File_Watches, LinksMayComeAndGoWhileReportsAreHandedOut) {
  file_watches::number of[4] = {};
  for (slot_index i = 1; i <= 3; ++i) ASSERT_TRUE(table_.add(of[i], i, 7, 1, false));
  std::vector<slot_index> all;
  table_.each(7, [&](slot_index i, bool) {
    all.push_back(i);
    if (i == 3) table_.remove(of[2], of[2]);  // the newest is told first
    if (i == 1) {
      EXPECT_TRUE(table_.add(of[0], 9, 7, 1, false));
    }
  });
  EXPECT_THAT(all, ElementsAre(3, 1));
  EXPECT_THAT(told(7), UnorderedElementsAre(1, 3, 9));
}

TEST_F(File_Watches, ThousandsOfWatchesAreFoundAgain) {
  constexpr slot_index kMany = 5000;
  std::vector<file_watches::number> first(kMany + 1);
  for (slot_index i = 1; i <= kMany; ++i) {
    ASSERT_TRUE(table_.add(first[i], i, static_cast<std::int32_t>(i), 1, false));
  }
  for (slot_index i = 1; i <= kMany; i += 2) EXPECT_TRUE(table_.remove(first[i], first[i]));
  EXPECT_THAT(told(4000), ElementsAre(4000));
  EXPECT_THAT(told(4001), IsEmpty());
  EXPECT_EQ(told(-1).size(), kMany / 2);
}

}  // namespace
}  // namespace quay::core
