// SPDX-License-Identifier: BSD-2-Clause
//
// What: the numbers of an event port: who uses one between the two announcements of its close.
// Contract: faces/hook_points.hpp; docs/design.md, "The two modes".
#include <sys/syscall.h>

#include "faces/hook_points.hpp"
#include "support/port.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

TEST(Port_Numbers, ADuplicateThatIsUsedDuringItsCloseKeepsNoPortOpen) {
  test_port port;
  const int other = ::dup(port);
  EXPECT_THAT(::port_send(other, 1, nullptr), Works());
  EXPECT_THAT(taken(port), testing::SizeIs(1));
  quay_hook_closing(other);
  EXPECT_THAT(::port_send(other, 1, nullptr), Fails(EBADF));
  ASSERT_EQ(::syscall(SYS_close, other), 0);
  quay_hook_closed(other);
  const int number = port;
  const thread_in_call<fetched> waiter(
      [number] { return getn_for(number, 1, 1, kPatienceSeconds); });
  ASSERT_TRUE(waiter.falls_asleep());
  port.close();
  EXPECT_FALSE(waiter.falls_asleep());  // for it was the last number
}

}  // namespace
}  // namespace quay::test
