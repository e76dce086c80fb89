// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay::port, what is associated with it and what it delivers, both forms of each call.
// Contract: include/quay/port.hpp; the numbers of <port.h>.
#include <quay/port.hpp>

#include <port.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "support/child.hpp"
#include "support/kqueue.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using namespace std::chrono_literals;

// The C++ face writes the C headers' numbers down once more.
namespace face = quay::detail;
static_assert(sizeof(quay::port_event) == sizeof(port_event_t));
static_assert(std::is_standard_layout_v<quay::port_event>);
static_assert(offsetof(face::port_record, events) == offsetof(port_event_t, portev_events));
static_assert(offsetof(face::port_record, source) == offsetof(port_event_t, portev_source));
static_assert(offsetof(face::port_record, object) == offsetof(port_event_t, portev_object));
static_assert(offsetof(face::port_record, user) == offsetof(port_event_t, portev_user));
static_assert(sizeof(face::file_object) == sizeof(file_obj_t));
static_assert(offsetof(face::file_object, accessed) == offsetof(file_obj_t, fo_atime));
static_assert(offsetof(face::file_object, modified) == offsetof(file_obj_t, fo_mtime));
static_assert(offsetof(face::file_object, changed) == offsetof(file_obj_t, fo_ctime));
static_assert(offsetof(face::file_object, name) == offsetof(file_obj_t, fo_name));
static_assert(sizeof(face::port_notify) == sizeof(port_notify_t));
static_assert(offsetof(face::port_notify, user) == offsetof(port_notify_t, portnfy_user));
static_assert(face::kSigevPort == SIGEV_PORT && face::kAlertSet == PORT_ALERT_SET);
static_assert(face::kSourceAio == PORT_SOURCE_AIO && face::kSourceTimer == PORT_SOURCE_TIMER);
static_assert(face::kSourceUser == PORT_SOURCE_USER && face::kSourceFd == PORT_SOURCE_FD);
static_assert(face::kSourceAlert == PORT_SOURCE_ALERT && face::kSourceMq == PORT_SOURCE_MQ);
static_assert(face::kSourceFile == PORT_SOURCE_FILE);
constexpr bool same(path_change ours, int theirs) { return static_cast<int>(ours) == theirs; }
static_assert(same(path_change::accessed, FILE_ACCESS) &&
              same(path_change::modified, FILE_MODIFIED));
static_assert(same(path_change::attributes, FILE_ATTRIB) &&
              same(path_change::truncated, FILE_TRUNC));
static_assert(same(path_change::no_follow, FILE_NOFOLLOW) &&
              same(path_change::removed, FILE_DELETE));
static_assert(same(path_change::renamed_over, FILE_RENAME_TO));
static_assert(same(path_change::renamed, FILE_RENAME_FROM) &&
              same(path_change::unmounted, UNMOUNTED));
static_assert(!std::is_copy_constructible_v<port> && !std::is_move_constructible_v<watched_file>);

class Port_Face : public testing::Test {
 protected:
  template <class Event>
  Event only() {
    const auto got = p.wait(room, kPatience);
    EXPECT_EQ(got.size(), 1U);
    Event found;
    for (const quay::port_event& e : got) {
      e.visit([&](const Event& right) { found = right; },
              [](const auto& wrong) { ADD_FAILURE() << "source " << wrong.native().source; });
    }
    return found;
  }

  port p;
  std::array<quay::port_event, 8> room;
};

TEST_F(Port_Face, ADescriptorFiresOnceForEachAssociation) {
  const auto ends = make_pipe();
  ASSERT_EQ(::write(ends.writer, "x", 1), 1);
  for (int i = 0; i < 2; ++i) {
    p.associate(ends.reader, readiness::in, this);
    const auto e = only<port_fd_event>();
    EXPECT_EQ(e.fd(), ends.reader);
    EXPECT_TRUE(e.ready(readiness::in));
    EXPECT_FALSE(e.ready(readiness::out | readiness::hangup));
    EXPECT_EQ(e.user<Port_Face>(), this);
    EXPECT_TRUE(p.poll(room).empty());
  }
}

TEST_F(Port_Face, WhatIsSentArrivesWithItsCookie) {
  p.send(5, this);
  const auto e = only<port_user_event>();
  EXPECT_EQ(e.events(), 5);
  EXPECT_EQ(e.user(), this);
}

TEST_F(Port_Face, DissociationTellsWhetherThereWasAnything) {
  const auto ends = make_pipe();
  p.associate(ends.reader, readiness::in);
  EXPECT_TRUE(p.dissociate(ends.reader));
  EXPECT_FALSE(p.dissociate(ends.reader));
}

TEST_F(Port_Face, AFileTellsWhatHappenedToIt) {
  std::string name = ::testing::TempDir() + "quay-port-XXXXXX";
  const unique_fd fd(checked(::mkstemp(name.data()), "mkstemp"));
  const watched_file watched(name);
  p.associate(watched, path_change::modified, this);
  ASSERT_EQ(::write(fd, "x", 1), 1);
  const auto modified = only<port_file_event>();
  EXPECT_TRUE(modified.of(watched));
  EXPECT_TRUE(modified.has(path_change::modified));
  p.associate(watched, path_change::modified);
  ::unlink(name.c_str());
  EXPECT_TRUE(only<port_file_event>().has(path_change::removed));
}

TEST_F(Port_Face, AFileThatChangedSinceItWasSeenFiresAtOnce) {
  std::string name = ::testing::TempDir() + "quay-port-XXXXXX";
  const unique_fd fd(checked(::mkstemp(name.data()), "mkstemp"));
  struct stat before {};
  ASSERT_EQ(::stat(name.c_str(), &before), 0);
  before.st_mtim.tv_sec -= 10;
  const watched_file watched(name, before);
  p.associate(watched, path_change::modified);
  EXPECT_EQ(p.poll(room).size(), 1U);
  ::unlink(name.c_str());
}

TEST_F(Port_Face, ATimerExpires) {
  port_timer timer(p, this);
  timer.expire_after(1ms);
  const auto once = only<port_timer_event>();
  EXPECT_EQ(once.expirations(), 1);
  EXPECT_EQ(once.user(), this);
  timer.expire_every(100us);
  for (int n = 0; n < 3; n += only<port_timer_event>().expirations()) {
  }
  port_timer moved = std::move(timer);
  moved.stop();
}

TEST_F(Port_Face, WaitTakesNoFewerThanAskedFor) {
  p.send(1);
  std::error_code error;
  EXPECT_EQ(p.wait(room, 1ms, 2, error).size(), 1U) << "the time was over";
  EXPECT_FALSE(error);
  p.send(1);
  p.send(2);
  EXPECT_EQ(p.queued(), 2U);
  EXPECT_EQ(p.wait(room, 2).size(), 2U);
}

TEST_F(Port_Face, MoreThanThereIsRoomForIsAnError) {
  std::error_code error;
  p.wait(room, 1ms, 9, error);
  EXPECT_EQ(error, std::errc::invalid_argument);
  EXPECT_THROW(p.wait(room, 9), std::system_error);
}

TEST_F(Port_Face, AnAlertHidesEventsUntilItIsCleared) {
  p.send(1);
  p.alert(4, this);
  p.alert(5, this);
  for (int i = 0; i < 2; ++i) {
    const auto a = only<port_alert_event>();
    EXPECT_EQ(a.events(), 5);
    EXPECT_EQ(a.user(), this);
  }
  p.clear_alert();
  EXPECT_EQ(only<port_user_event>().events(), 1);
}

TEST_F(Port_Face, IsPrivateUntilItsHandleIsAskedFor) {
  p.send(1);
  EXPECT_TRUE(becomes_readable(p.native_handle()));
  EXPECT_EQ(p.poll(room).size(), 1U);
  EXPECT_FALSE(looks_readable(p.native_handle()));
}

TEST_F(Port_Face, AForkedChildHasTheSamePort) {
  test::child c([this](const std::function<void()>& wait) {
    wait();
    p.send(6);
    return 0;
  });
  c.step();
  EXPECT_EQ(only<port_user_event>().events(), 6);
  EXPECT_EQ(c.wait(), 0);
}

TEST_F(Port_Face, TheWordOfAChildThatEndsAtOnceIsHeard) {
  for (int round = 0; round < 50; ++round) {
    port fresh;
    const pid_t child = checked(::fork(), "fork");
    if (child == 0) {
      fresh.send(round);
      ::_exit(0);
    }
    const auto got = fresh.wait(room);  // a word that is lost is waited for without end
    EXPECT_EQ(got.size(), 1U);
    ::waitpid(child, nullptr, 0);
  }
}

TEST_F(Port_Face, APortGoesThroughASocket) {
  const auto pair = make_socketpair();
  p.send_to(pair.here);
  port same = port::receive(pair.there);
  same.send(3);
  EXPECT_EQ(only<port_user_event>().events(), 3);
}

TEST_F(Port_Face, ErrorsAreThrownOrStored) {
  std::error_code error;
  p.associate(1000000, readiness::in, nullptr, error);
  EXPECT_TRUE(error);
  EXPECT_THROW(p.associate(1000000, readiness::in), std::system_error);
  p.associate(watched_file("/no/such/file"), path_change::modified, nullptr, error);
  EXPECT_EQ(error, std::errc::no_such_file_or_directory);
  const port moved = std::move(p);
  p.send(1, nullptr, error);  // NOLINT(bugprone-use-after-move): that is the question
  EXPECT_EQ(error, std::errc::bad_file_descriptor);
  EXPECT_THROW(p.send(1), std::system_error);
  EXPECT_TRUE(port::open(error));
  EXPECT_FALSE(error);
}

TEST_F(Port_Face, SendingWakesAWaiter) {
  thread_in_call<size_t> waiter([this] { return p.wait(room).size(); });
  ASSERT_TRUE(waiter.falls_asleep());
  p.send(1);
  EXPECT_EQ(waiter.result(), 1U);
}

}  // namespace
}  // namespace quay::test
