// SPDX-License-Identifier: BSD-2-Clause
//
// What: port_alert: a level that hides the queue and wakes everybody.
// Contract: event port semantics 2.6 and 3.8.
#include "support/port.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;

TEST(Port_Alert, IsALevelThatEveryGetSees) {
  const test_port port;
  ASSERT_THAT(::port_alert(port, PORT_ALERT_SET, 3, cookie(8)), Works());
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(getn_for(port, 8, 4, 0).events, ElementsAre(Is(PORT_SOURCE_ALERT, 3, 0, 8u)));
    port_event_t event{};
    EXPECT_THAT(::port_get(port, &event, nullptr), Works());
    EXPECT_THAT(event, Is(PORT_SOURCE_ALERT, 3, 8u));
  }
}

TEST(Port_Alert, HidesTheQueueUntilItIsCleared) {
  const test_port port;
  ::port_send(port, 1, nullptr);
  ::port_alert(port, PORT_ALERT_SET, 3, nullptr);
  EXPECT_THAT(::port_send(port, 2, nullptr), Works());
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_ALERT, 3, 0u)));
  EXPECT_THAT(::port_alert(port, PORT_ALERT_SET, 0, nullptr), Works());
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_USER, 1, 0u), Is(PORT_SOURCE_USER, 2, 0u)));
}

TEST(Port_Alert, SetAndClearedAtOnceStillWakesEverySleeper) {
  const test_port port;
  std::vector<std::unique_ptr<thread_in_call<fetched>>> sleepers;
  for (uint_t i = 0; i < 4; ++i) {
    sleepers.push_back(std::make_unique<thread_in_call<fetched>>(
        [&port, i] { return getn(port, 8, 1 + i, nullptr); }));
    ASSERT_TRUE(sleepers.back()->falls_asleep());
  }
  ::port_alert(port, PORT_ALERT_SET, 77, cookie(1));
  ::port_alert(port, PORT_ALERT_SET, 0, nullptr);
  for (auto& s : sleepers) {
    EXPECT_THAT(s->result().events, ElementsAre(Is(PORT_SOURCE_ALERT, 77, 1u)));
  }
  EXPECT_TRUE(taken(port).empty());
}

TEST(Port_Alert, UpdateLosesAgainstAnAlertThatIsOn) {
  const test_port port;
  EXPECT_THAT(::port_alert(port, PORT_ALERT_UPDATE, 1, nullptr), Works());
  EXPECT_THAT(::port_alert(port, PORT_ALERT_UPDATE, 2, nullptr), Fails(EBUSY));
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_ALERT, 1, 0u)));
  EXPECT_THAT(::port_alert(port, PORT_ALERT_SET, 3, nullptr), Works());
  EXPECT_THAT(taken(port), ElementsAre(Is(PORT_SOURCE_ALERT, 3, 0u)));
}

TEST(Port_Alert, InvalidFlagsMatterOnlyWithEvents) {
  const test_port port;
  ::port_alert(port, PORT_ALERT_SET, 1, nullptr);
  EXPECT_THAT(::port_alert(port, PORT_ALERT_INVALID, 2, nullptr), Fails(EINVAL));
  EXPECT_THAT(::port_alert(port, 7, 2, nullptr), Fails(EINVAL));
  EXPECT_THAT(::port_alert(port, PORT_ALERT_INVALID, 0, nullptr), Works());
  EXPECT_TRUE(taken(port).empty());
}

}  // namespace
}  // namespace quay::test
