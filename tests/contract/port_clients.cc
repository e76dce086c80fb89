// SPDX-License-Identifier: BSD-2-Clause
//
// What: how known programs use event ports, each as the pattern that it relies on.
// Contract: event port semantics section 9: what each of them would break on.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <string>

#include "support/port.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

void put_byte(int fd) { ASSERT_EQ(::write(fd, "x", 1), 1); }
void take_byte(int fd) {
  char byte = 0;
  ASSERT_EQ(::read(fd, &byte, 1), 1);
}

// libevent: what fired is associated again at the start of the next wait, in one sweep; what did not
// fire may be dissociated, and of the errors only EBADFD is forgiven.
TEST(Port_Clients, FiredDescriptorsAreAssociatedAgainBeforeTheNextWait) {
  const test_port port;
  const pipe_ends pipes[3] = {make_pipe(), make_pipe(), make_pipe()};
  std::map<int, bool> fired;
  for (const auto& p : pipes) {
    ASSERT_THAT(associate(port, p.reader, POLLIN), Works());
    fired[p.reader] = false;
  }
  int seen = 0;
  for (int round = 0; round < 20; ++round) {
    for (auto& [fd, was] : fired) {
      if (was) {
        ASSERT_THAT(associate(port, fd, POLLIN), Works());
      }
      was = false;
    }
    put_byte(pipes[round % 3].writer);
    const fetched f = getn_for(port, 8, 1, kPatienceSeconds);
    ASSERT_EQ(f.result, 0);
    for (const port_event_t& e : f.events) {
      const int fd = static_cast<int>(e.portev_object);
      take_byte(fd);
      EXPECT_FALSE(fired.at(fd)) << "dispatched twice";
      fired.at(fd) = true;
      ++seen;
    }
  }
  EXPECT_EQ(seen, 20);
  for (const auto& [fd, was] : fired) {
    if (!was) {
      EXPECT_THAT(dissociate(port, fd), Works());
    }
  }
}

TEST(Port_Clients, ADescriptorClosedUnseenIsForgivenByItsErrno) {
  const test_port port;
  pipe_ends p = make_pipe();
  const int number = p.reader;
  ASSERT_THAT(associate(port, number, POLLIN), Works());
  p.reader.close();
  EXPECT_THAT(dissociate(port, number), Fails(EBADFD));
  EXPECT_THAT(associate(port, number, POLLIN), Fails(EBADFD));
}

// libuv: whether a descriptor can be watched is asked by associating and dissociating it.
TEST(Port_Clients, AProbeOfAReadyDescriptorSucceedsAndLeavesNothing) {
  const test_port port;
  const pipe_ends p = make_pipe();
  put_byte(p.writer);
  for (int n = 0; n < 3; ++n) {
    ASSERT_THAT(associate(port, p.reader, POLLIN), Works());
    ASSERT_THAT(dissociate(port, p.reader), Works());
  }
  EXPECT_THAT(taken(port), IsEmpty());
}

// libuv, libev: whether a timed-out call brought something is seen by a sentinel in the first entry.
TEST(Port_Clients, ASentinelTellsWhetherATimeoutBroughtEvents) {
  const test_port port;
  port_event_t list[4];
  list[0].portev_source = 0;
  uint_t n = 1;
  timespec soon{0, 1000000};
  EXPECT_THAT(::port_getn(port, list, 4, &n, &soon), Fails(ETIME));
  EXPECT_EQ(list[0].portev_source, 0);
  EXPECT_EQ(n, 0u);
}

// libuv: files live on a port of their own, which the loop's port watches.
TEST(Port_Clients, FileEventsArriveThroughAPortThatIsWatched) {
  const temporary_directory directory;
  const unique_fd file = directory.make_file("x");
  std::string path = directory.path() + "/file";
  const test_port loop;
  const test_port files;
  file_obj_t object{};  // no stamps: no check
  object.fo_name = path.data();
  const auto address = reinterpret_cast<uintptr_t>(&object);
  ASSERT_THAT(associate(loop, files, POLLIN), Works());
  ASSERT_THAT(
      ::port_associate(files, PORT_SOURCE_FILE, address, FILE_ATTRIB | FILE_MODIFIED, nullptr),
      Works());
  EXPECT_THAT(taken(loop), IsEmpty());
  put_byte(file);
  ASSERT_THAT(arrivals(loop), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, static_cast<int>(files), 0)));
  const fetched f = getn_for(files, 1, 1, 0);
  ASSERT_THAT(f.events, SizeIs(1));
  EXPECT_THAT(getn_for(files, 1, 1, 0).events, IsEmpty());
  // The handle is closed between event and re-association: nothing is left to wait for.
  EXPECT_THAT(::port_dissociate(files, PORT_SOURCE_FILE, address), Fails(ENOENT));
  EXPECT_EQ(queued(files), 0u);
}

// redis: the cookie is the mask; less interest is a new association, none a dissociation that must
// succeed also while the event is queued.
TEST(Port_Clients, InterestIsNarrowedByAssociatingAndEndedByDissociating) {
  const test_port port;
  const socket_pair s = make_socketpair();
  ASSERT_THAT(associate(port, s.here, POLLIN | POLLOUT, 3), Works());
  ASSERT_THAT(associate(port, s.here, POLLIN, 1), Works());
  EXPECT_THAT(taken(port), IsEmpty()) << "masks replace each other";
  put_byte(s.there);
  ASSERT_THAT(dissociate(port, s.here), Works());
  EXPECT_THAT(taken(port), IsEmpty());
}

// nginx: the loop is woken by an event of its own, and a call that timed out is not looked into.
TEST(Port_Clients, AWakeUpIsAnEventWithTheCookieOnly) {
  const test_port port;
  thread_in_call<fetched> loop([&] { return getn_for(port, 32, 1, kPatienceSeconds); });
  ASSERT_TRUE(loop.falls_asleep());
  ASSERT_THAT(::port_send(port, 0, cookie(17)), Works());
  const fetched f = loop.result();
  EXPECT_EQ(f.result, 0);
  EXPECT_THAT(f.events, ElementsAre(Is(PORT_SOURCE_USER, 0, 17)));
}

// nginx: a stale event is known by a bit of the cookie; a number that is closed and used again within
// one batch must not bring one at all.
TEST(Port_Clients, AConnectionClosedInABatchBringsNoEventForItsSuccessor) {
  QUAY_SKIP_UNLESS_HOOKED();
  const test_port port;
  pipe_ends first = make_pipe();
  pipe_ends second = make_pipe();
  put_byte(first.writer);
  put_byte(second.writer);
  ASSERT_THAT(associate(port, first.reader, POLLIN, 2), Works());
  ASSERT_THAT(associate(port, second.reader, POLLIN, 4), Works());
  ASSERT_THAT(getn_for(port, 1, 1, 0).events, ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 2)));
  const int number = second.reader;
  second.reader.close();
  const pipe_ends quiet = make_pipe();
  const unique_fd successor(::fcntl(quiet.reader, F_DUPFD_CLOEXEC, number));
  ASSERT_THAT(associate(port, successor, POLLIN, 5), Works());
  EXPECT_THAT(taken(port), IsEmpty());
}

// HAProxy: every event's descriptor is associated again with the same mask; after an interruption it
// looks at as many entries as *nget says.
TEST(Port_Clients, LevelsAreEmulatedByAssociatingAfterEachEvent) {
  const test_port port;
  const pipe_ends p = make_pipe();
  put_byte(p.writer);
  put_byte(p.writer);
  ASSERT_THAT(associate(port, p.reader, POLLIN), Works());
  for (int n = 0; n < 2; ++n) {
    ASSERT_THAT(arrivals(port), SizeIs(1));
    take_byte(p.reader);
    ASSERT_THAT(associate(port, p.reader, POLLIN), Works());
  }
  EXPECT_THAT(taken(port), IsEmpty());
}

TEST(Port_Clients, AnInterruptedCallLeavesNoEntryToLookAt) {
  const test_port port;
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  thread_in_call<fetched> loop([&] { return getn(port, 8, 1, nullptr); });
  ASSERT_TRUE(loop.falls_asleep());
  ::pthread_kill(loop.handle(), SIGUSR1);
  const fetched f = loop.result();
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_EQ(f.error, EINTR);
  EXPECT_EQ(f.count, 0u);
}

// Go: every descriptor is associated with nothing at first, cookies carry a number, and the poller is
// broken out of its wait by an alert that it clears itself.
TEST(Port_Clients, APollerIsBrokenByAnAlertThatItClears) {
  const test_port port;
  const socket_pair s = make_socketpair();
  ASSERT_THAT(associate(port, s.here, 0, 1), Works());
  put_byte(s.there);
  EXPECT_THAT(taken(port), IsEmpty());
  thread_in_call<fetched> poller([&] { return getn(port, 8, 1, nullptr); });
  ASSERT_TRUE(poller.falls_asleep());
  ASSERT_THAT(::port_alert(port, PORT_ALERT_UPDATE, POLLHUP, nullptr), Works());
  EXPECT_THAT(::port_alert(port, PORT_ALERT_UPDATE, POLLHUP, nullptr), Fails(EBUSY));
  EXPECT_THAT(poller.result().events, ElementsAre(Is(PORT_SOURCE_ALERT, POLLHUP, 0)));
  ASSERT_THAT(::port_alert(port, 0, 0, nullptr), Works());
  ASSERT_THAT(associate(port, s.here, POLLIN, 2), Works());
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 2)));
}

// mio, polling: an edge is what was not associated again for the part that was delivered.
TEST(Port_Clients, EdgesAreEmulatedByAssociatingWhatWasNotDelivered) {
  const test_port port;
  const socket_pair s = make_socketpair();
  put_byte(s.there);
  ASSERT_THAT(associate(port, s.here, POLLIN | POLLOUT, 1), Works());
  const auto both = arrivals(port);
  ASSERT_THAT(both, SizeIs(1));
  EXPECT_EQ(both[0].portev_events, POLLIN | POLLOUT);
  ASSERT_THAT(associate(port, s.here, 0, 1), Works());
  EXPECT_THAT(taken(port), IsEmpty());
  take_byte(s.here);
  ASSERT_THAT(associate(port, s.here, POLLIN, 1), Works());
  EXPECT_THAT(taken(port), IsEmpty());
}

// All of them, after fork: the child closes the port it inherited and makes its own.
TEST(Port_Clients, AChildReplacesItsPortAndTheParentsGoesOn) {
  const test_port port;
  const pipe_ends p = make_pipe();
  ASSERT_THAT(associate(port, p.reader, POLLIN, 1), Works());
  EXPECT_TRUE(in_child([&] {
    ::quay_close(port);
    const test_port own;
    return associate(own, p.reader, POLLIN, 2) == 0 && dissociate(own, p.reader) == 0;
  }));
  put_byte(p.writer);
  EXPECT_THAT(arrivals(port), ElementsAre(Is(PORT_SOURCE_FD, POLLIN, 1)));
}

}  // namespace
}  // namespace quay::test
