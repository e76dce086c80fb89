// SPDX-License-Identifier: BSD-2-Clause
//
// What: event ports against their model, pollable and private, by random calls.
#include <gtest/gtest.h>
#include <quay/quay.h>

#include "kqueue.hpp"
#include "port_trial.hpp"

namespace {

using quay::model::explore;
using quay::model::port_trial;
using quay::test::hooked;
using quay::test::model_operations;

TEST(Port_Model, EventsComeAsTheModelHasThem) {
  EXPECT_EQ(explore(port_trial(0), model_operations(2, hooked()), 60), "");
}

TEST(Port_Model, PrivatePortsDeliverTheEventsOfTheModel) {
  EXPECT_EQ(explore(port_trial(QUAY_PRIVATE), model_operations(2, hooked()), 60), "");
}

TEST(Port_Model, FindsOutAnotherLimit) { EXPECT_NE(explore(port_trial(0, true), 20'000, 60), ""); }

}  // namespace
