// SPDX-License-Identifier: BSD-2-Clause
//
// What: kqueue against its model, in every dialect, pollable and private, by random calls.
#include <gtest/gtest.h>

#include "dialects.hpp"
#include "kqueue_trial.hpp"

namespace {

using quay::model::explore;
using quay::model::kqueue_trial;
using quay::test::hooked;
using quay::test::model_operations;

// Of each dialect's four parts those with objects, which do most, take two.
constexpr unsigned kParts = 4 * 4;

class Kqueue_Model : public testing::TestWithParam<int> {};

TEST_P(Kqueue_Model, PostedEventsComeAsTheModelHasThem) {
  EXPECT_EQ(explore(kqueue_trial(GetParam(), 0, false), model_operations(kParts, hooked()), 60),
            "");
}

TEST_P(Kqueue_Model, PrivateQueuesDeliverThePostedEventsOfTheModel) {
  EXPECT_EQ(explore(kqueue_trial(GetParam(), QUAY_PRIVATE, false),
                    model_operations(kParts, hooked()), 60),
            "");
}

TEST_P(Kqueue_Model, ObjectsAndNestedQueuesAreAsTheModelHasThem) {
  EXPECT_EQ(explore(kqueue_trial(GetParam(), 0, true), 2 * model_operations(kParts, hooked()), 60),
            "");
}

// A model that could not tell would prove nothing above.
TEST_P(Kqueue_Model, FindsOutEveryOtherDialect) {
  for (int other = QUAY_DIALECT_FREEBSD; other <= QUAY_DIALECT_OPENBSD; ++other) {
    if (other == GetParam()) continue;
    EXPECT_NE(explore(kqueue_trial(GetParam(), 0, true, other), 20'000, 60), "")
        << "dialect " << other;
  }
}

QUAY_IN_ALL_DIALECTS(Kqueue_Model);

}  // namespace
