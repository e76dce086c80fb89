// SPDX-License-Identifier: BSD-2-Clause
//
// What: threads that wait in port_get and port_getn are cancelled: no lock stays behind, no event is
// lost, nobody else is kept asleep.
// Contract: port_get(3C): a point of cancellation.
#include "support/cancellation.hpp"
#include "support/port.hpp"

namespace quay::test {
namespace {

using testing::SizeIs;

void get_one(int port, std::atomic<int>* got = nullptr) {
  port_event_t event{};
  const int result = ::port_get(port, &event, nullptr);
  if (got != nullptr && result == 0) ++*got;
}

// The first sleeper looks at the kernel for all, the second waits to be told by others.
TEST(Port_Cancel, SleepersEndAndThePortGoesOn) {
  const test_port port;
  const pipe_ends p = make_pipe();
  ASSERT_THAT(
      ::port_associate(port, PORT_SOURCE_FD, static_cast<uintptr_t>(p.reader), POLLIN, nullptr),
      Works());
  for (int round = 0; round < 5; ++round) {
    cancellable_call first([&] { get_one(port); });
    ASSERT_TRUE(first.falls_asleep());
    cancellable_call second([&] { get_one(port); });
    ASSERT_TRUE(second.falls_asleep());
    cancellable_call& earlier = round % 2 == 0 ? first : second;
    cancellable_call& later = round % 2 == 0 ? second : first;
    earlier.cancel();
    EXPECT_TRUE(earlier.join());
    later.cancel();
    EXPECT_TRUE(later.join());
  }
  put(p.writer, "x");
  EXPECT_THAT(getn_for(port, 4, 1, kPatienceSeconds).events, SizeIs(1));
}

TEST(Port_Cancel, AnotherSleeperTakesOver) {
  const test_port port;
  for (int round = 0; round < 20; ++round) {
    cancellable_call first([&] { get_one(port); });
    ASSERT_TRUE(first.falls_asleep());
    std::atomic<int> got = 0;
    cancellable_call second([&] { get_one(port, &got); });
    ASSERT_TRUE(second.falls_asleep());
    first.cancel();
    EXPECT_TRUE(first.join());
    ASSERT_THAT(::port_send(port, 1, nullptr), Works());
    EXPECT_FALSE(second.join());
    EXPECT_EQ(got, 1);
  }
}

TEST(Port_Cancel, AnEventThatArrivesWithTheCancellationIsTakenOrStays) {
  const test_port port;
  const pipe_ends p = make_pipe();
  for (int round = 0; round < 200; ++round) {
    const bool from_kernel = round % 2 == 0;
    if (from_kernel) {
      ASSERT_THAT(
          ::port_associate(port, PORT_SOURCE_FD, static_cast<uintptr_t>(p.reader), POLLIN, nullptr),
          Works());
    }
    std::atomic<int> got = 0;
    cancellable_call leader([&] { get_one(port, &got); });
    cancellable_call follower([&] { get_one(port, &got); });
    if (round % 4 < 2) {
      ASSERT_TRUE(leader.falls_asleep());
      ASSERT_TRUE(follower.falls_asleep());
    }
    if (from_kernel) {
      put(p.writer, "x");
    } else {
      ASSERT_THAT(::port_send(port, 1, nullptr), Works());
    }
    leader.cancel();
    follower.cancel();
    leader.join();
    follower.join();
    ASSERT_EQ(static_cast<size_t>(got) + getn_for(port, 4, 0, 0).events.size() +
                  getn_for(port, 4, 1, 0).events.size(),
              1u)
        << "round " << round;
    if (from_kernel) drain(p.reader);
  }
}

TEST(Port_Cancel, ACancellationThatIsPendingActsAlsoWhenAnEventIsThere) {
  const test_port port;
  ASSERT_THAT(::port_send(port, 1, nullptr), Works());
  cancellable_call pending([&] { get_one(port); }, cancellable_call::start::when_cancelled);
  pending.cancel();
  EXPECT_TRUE(pending.join());
  EXPECT_THAT(getn_for(port, 4, 1, 0).events, SizeIs(1));
}

TEST(Port_Cancel, TheOtherCallsAreNoPointsOfCancellation) {
  const test_port port;
  const temporary_directory directory;
  const unique_fd file = directory.make_file("");
  const pipe_ends p = make_pipe();
  cancellable_call pending(
      [&] {
        ::port_send(port, 1, nullptr);
        ::port_associate(port, PORT_SOURCE_FD, static_cast<uintptr_t>(p.reader), POLLIN, nullptr);
        ::port_dissociate(port, PORT_SOURCE_FD, static_cast<uintptr_t>(p.reader));
        std::string name = directory.path() + "/file";
        file_obj_t watched{};
        watched.fo_name = name.data();
        const auto object = reinterpret_cast<uintptr_t>(&watched);
        ::port_associate(port, PORT_SOURCE_FILE, object, FILE_MODIFIED, nullptr);
        ::port_dissociate(port, PORT_SOURCE_FILE, object);
      },
      cancellable_call::start::when_cancelled);
  pending.cancel();
  EXPECT_FALSE(pending.join());
  EXPECT_THAT(getn_for(port, 4, 1, 0).events, SizeIs(1));
}

}  // namespace
}  // namespace quay::test
