// SPDX-License-Identifier: BSD-2-Clause
//
// What: the counting of signals against its model, in every dialect.
#include <gtest/gtest.h>

#include "dialects.hpp"
#include "signal_trial.hpp"

namespace {

using quay::model::explore;
using quay::model::signal_trial;
using quay::test::hooked;
using quay::test::model_operations;

constexpr unsigned kTests = 2 * 4;  // in four dialects

class Signal_Model : public testing::TestWithParam<int> {};

TEST_P(Signal_Model, EveryPostingCountsOnce) {
  signal_trial trial(GetParam(), {.dispositions = hooked()});
  EXPECT_EQ(explore(trial, model_operations(kTests, hooked()), 60), "");
}

// A blocked signal stays pending, and its delivery is no second posting.
TEST_P(Signal_Model, BlockedSignalsCountAtTheirPosting) {
  signal_trial trial(GetParam(), {.dispositions = hooked(), .blocking = true});
  EXPECT_EQ(explore(trial, model_operations(kTests, hooked()), 60), "");
}

TEST_P(Signal_Model, FindsOutAModelThatForgets) {
  EXPECT_NE(explore(signal_trial(GetParam(), {.forgets = true}), 20'000, 60), "");
}

QUAY_IN_ALL_DIALECTS(Signal_Model);

}  // namespace
