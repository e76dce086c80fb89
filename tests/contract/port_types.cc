// SPDX-License-Identifier: BSD-2-Clause
//
// What: the headers in a program that has made macros of illumos' names for types, as configure scripts do on Linux, and
//   what illumos' own programs expect of them.
// Contract: port_create(3C), synopsis; siginfo.h(3HEAD).
#define uchar_t unsigned char
#define ushort_t unsigned short
#define uint_t unsigned int
#define ulong_t unsigned long
#include <gtest/gtest.h>
#include <port.h>
#include <quay/quay.h>
#include <siginfo.h>

namespace {

TEST(Port_Types, MayBeMacrosOfTheProgram) {
  const int port = ::port_create();
  ASSERT_GE(port, 0);
  ASSERT_EQ(::port_send(port, 7, nullptr), 0);
  port_event_t event;
  uint_t count = 1;
  timespec_t now = {0, 0};
  EXPECT_EQ(::port_getn(port, &event, 1, &count, &now), 0);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(event.portev_events, 7);
  EXPECT_EQ(event.portev_source, PORT_SOURCE_USER);
  ::quay_close(port);
}

// illumos' <time.h> names the structures of time so, and its programs of timers that tell a port do.
TEST(Port_Types, TimesHaveIllumosNames) {
  itimerspec_t every = {};
  timestruc_t period = {1, 0};
  every.it_interval = period;
  const timespec_t& interval = every.it_interval;
  EXPECT_EQ(interval.tv_sec, 1);
}

TEST(Port_Types, SiginfoHasTheKindsOfNotification) {
  struct sigevent event = {};
  event.sigev_notify = SIGEV_PORT;
  EXPECT_NE(event.sigev_notify, SIGEV_SIGNAL);
  EXPECT_NE(event.sigev_notify, SIGEV_NONE);
  EXPECT_NE(event.sigev_notify, SIGEV_THREAD);
}

}  // namespace
