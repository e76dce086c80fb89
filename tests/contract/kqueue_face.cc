// SPDX-License-Identifier: BSD-2-Clause
//
// What: quay::kqueue, its interests and events: what each asks for, what each tells, both forms of each call.
// Contract: include/quay/kqueue.hpp; the numbers of <sys/event.h>.
#include <quay/kqueue.hpp>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/child.hpp"
#include "support/kqueue.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using namespace std::chrono_literals;

// The C++ face writes the C headers' numbers down once more.
namespace face = quay::detail;
static_assert(sizeof(face::record) == sizeof(struct ::kevent));
static_assert(offsetof(face::record, ident) == offsetof(struct ::kevent, ident));
static_assert(offsetof(face::record, filter) == offsetof(struct ::kevent, filter));
static_assert(offsetof(face::record, flags) == offsetof(struct ::kevent, flags));
static_assert(offsetof(face::record, fflags) == offsetof(struct ::kevent, fflags));
static_assert(offsetof(face::record, data) == offsetof(struct ::kevent, data));
static_assert(offsetof(face::record, udata) == offsetof(struct ::kevent, udata));
static_assert(sizeof(quay::event) == sizeof(face::record) &&
              sizeof(quay::change) == sizeof(face::record));
static_assert(std::is_standard_layout_v<quay::event> && std::is_standard_layout_v<quay::change>);
static_assert(face::kRead == EVFILT_READ && face::kWrite == EVFILT_WRITE);
static_assert(face::kAio == EVFILT_AIO && face::kVnode == EVFILT_VNODE);
static_assert(face::kProc == EVFILT_PROC && face::kSignal == EVFILT_SIGNAL);
static_assert(face::kTimer == EVFILT_TIMER && face::kProcdesc == EVFILT_PROCDESC);
static_assert(face::kFs == EVFILT_FS && face::kUser == EVFILT_USER);
static_assert(face::kEmpty == EVFILT_EMPTY && face::kExcept == EVFILT_EXCEPT);
static_assert(face::kAdd == EV_ADD && face::kDelete == EV_DELETE && face::kEnable == EV_ENABLE);
static_assert(face::kDisable == EV_DISABLE && face::kOneshot == EV_ONESHOT);
static_assert(face::kClear == EV_CLEAR && face::kDispatch == EV_DISPATCH);
static_assert(face::kKeepTag == EV_KEEPUDATA && face::kError == EV_ERROR && face::kEof == EV_EOF);
static_assert(face::kLowWater == NOTE_LOWAT && face::kFilePoll == NOTE_FILE_POLL);
static_assert(face::kOutOfBand == NOTE_OOB && face::kNoData == QUAY_NOTE_NODATA);
static_assert(face::kExit == NOTE_EXIT && face::kFork == NOTE_FORK && face::kExec == NOTE_EXEC);
static_assert(face::kTrack == NOTE_TRACK && face::kTrackError == NOTE_TRACKERR);
static_assert(face::kChild == NOTE_CHILD && face::kMilliseconds == NOTE_MSECONDS);
static_assert(face::kSeconds == NOTE_SECONDS);
static_assert(face::kNanoseconds == NOTE_NSECONDS && face::kAbsolute == NOTE_ABSTIME);
static_assert(face::kTrigger == NOTE_TRIGGER && face::kMount == VQ_MOUNT);
static_assert(face::kUnmount == VQ_UNMOUNT);
constexpr bool same(quay::file_change ours, unsigned theirs) {
  return static_cast<unsigned>(ours) == theirs;
}
static_assert(same(file_change::removed, NOTE_DELETE) && same(file_change::written, NOTE_WRITE));
static_assert(same(file_change::extended, NOTE_EXTEND) &&
              same(file_change::attributes, NOTE_ATTRIB));
static_assert(same(file_change::linked, NOTE_LINK) && same(file_change::renamed, NOTE_RENAME));
static_assert(same(file_change::revoked, NOTE_REVOKE) && same(file_change::opened, NOTE_OPEN));
static_assert(same(file_change::closed, NOTE_CLOSE) && same(file_change::read, NOTE_READ));
static_assert(same(file_change::closed_after_write, NOTE_CLOSE_WRITE));

// What cannot be asked for cannot be written.
template <class T>
concept has_low_water = requires(T t) { t.at_least(1); };
template <class T>
concept has_edges = requires(T t) { t.edge(); };
static_assert(has_low_water<readable> && has_edges<writable>);
static_assert(!has_low_water<every> && !has_low_water<child> && !has_edges<file> &&
              !has_edges<signal>);
static_assert(!std::is_convertible_v<int, change> && !std::is_convertible_v<int, readable>);
static_assert(!std::is_copy_constructible_v<quay::kqueue> &&
              std::is_nothrow_move_constructible_v<quay::kqueue>);

constexpr int kNeverOpen = 1000000;

class Kqueue_Face : public testing::Test {
 protected:
  // What one wait brings.
  std::span<const event> await() { return q.wait(room, kPatience); }
  std::span<const event> look() { return q.poll(room); }
  // The only event of a wait, of a type.
  template <class Event>
  Event only() {
    const auto got = await();
    EXPECT_EQ(got.size(), 1U);
    Event found;
    for (const event& e : got) {
      e.visit([&](const Event& right) { found = right; },
              [](const auto& wrong) { ADD_FAILURE() << "filter " << wrong.native().filter; });
    }
    return found;
  }

  quay::kqueue q;
  std::array<event, 8> room;
};

TEST_F(Kqueue_Face, ReadableAsksForItsBytesOnlyWhenAsked) {
  auto ends = make_pipe();
  q.add(readable(ends.reader).tag(this));
  EXPECT_TRUE(look().empty());
  ASSERT_EQ(::write(ends.writer, "four", 4), 4);
  const auto r = only<readable_event>();
  EXPECT_EQ(r.fd(), ends.reader);
  EXPECT_EQ(r.native().data, 0) << "nobody asked";
  EXPECT_EQ(r.bytes(), 4U);
  EXPECT_EQ(r.tag<Kqueue_Face>(), this);
  EXPECT_FALSE(r.eof());
  ends.writer.close();
  EXPECT_TRUE(only<readable_event>().eof());
}

TEST_F(Kqueue_Face, CountedReadableCarriesItsBytes) {
  const auto ends = make_pipe();
  q.add(readable(ends.reader).counted());
  ASSERT_EQ(::write(ends.writer, "four", 4), 4);
  EXPECT_EQ(only<readable_event>().native().data, 4);
}

TEST_F(Kqueue_Face, BytesOfAClosedDescriptorAreAnError) {
  const readable_event stale(
      face::record{static_cast<uintptr_t>(kNeverOpen), face::kRead, 0, 0, 0, nullptr});
  std::error_code error;
  EXPECT_EQ(stale.bytes(error), 0U);
  EXPECT_EQ(error, std::errc::bad_file_descriptor);
  EXPECT_THROW(static_cast<void>(stale.bytes()), std::system_error);
}

TEST_F(Kqueue_Face, LowWaterHoldsBack) {
  const auto ends = make_pipe();
  q.add(readable(ends.reader).at_least(3));
  ASSERT_EQ(::write(ends.writer, "ab", 2), 2);
  EXPECT_TRUE(look().empty());
  ASSERT_EQ(::write(ends.writer, "c", 1), 1);
  EXPECT_EQ(only<readable_event>().bytes(), 3U);
}

TEST_F(Kqueue_Face, EdgesComeOnceAndLevelsStay) {
  const auto ends = make_pipe();
  ASSERT_EQ(::write(ends.writer, "a", 1), 1);
  q.add(readable(ends.reader).edge());
  EXPECT_EQ(look().size(), 1U);
  EXPECT_TRUE(look().empty());
  q.remove(readable(ends.reader));
  q.add(readable(ends.reader));
  EXPECT_EQ(look().size(), 1U);
  EXPECT_EQ(look().size(), 1U);
}

TEST_F(Kqueue_Face, WritableTellsItsRoomWhenCounted) {
  auto ends = make_pipe();
  q.add(writable(ends.writer).counted());
  EXPECT_GT(only<writable_event>().room(), 0U);
  ends.reader.close();
  EXPECT_TRUE(only<writable_event>().eof());
}

TEST_F(Kqueue_Face, ARegistrationIsDisabledEnabledAndRemovedByItsInterest) {
  const auto ends = make_pipe();
  ASSERT_EQ(::write(ends.writer, "a", 1), 1);
  const auto wanted = readable(ends.reader).tag(this);
  q.add(wanted.disabled());
  EXPECT_TRUE(look().empty());
  q.enable(wanted);
  EXPECT_EQ(only<readable_event>().tag(), this) << "the interest carries its tag along";
  q.disable(wanted);
  EXPECT_TRUE(look().empty());
  q.remove(wanted);
  std::error_code error;
  q.remove(wanted, error);
  EXPECT_EQ(error, std::errc::no_such_file_or_directory);
  EXPECT_THROW(q.remove(wanted), std::system_error);
  EXPECT_THROW(q.enable(wanted), std::system_error);
}

TEST_F(Kqueue_Face, DispatchedWaitsToBeEnabledAgain) {
  const auto ends = make_pipe();
  ASSERT_EQ(::write(ends.writer, "a", 1), 1);
  const auto wanted = readable(ends.reader).dispatched();
  q.add(wanted);
  EXPECT_EQ(look().size(), 1U);
  EXPECT_TRUE(look().empty());
  q.enable(wanted);
  EXPECT_EQ(look().size(), 1U);
}

TEST_F(Kqueue_Face, OnceEndsWithItsEvent) {
  q.add(user(4).once());
  q.trigger(4);
  EXPECT_EQ(only<user_event>().id(), 4U);
  EXPECT_THROW(q.trigger(4), std::system_error);
}

TEST_F(Kqueue_Face, ATriggerCarriesItsValueAndLeavesTheTag) {
  q.add(user(9).tag(this));
  q.trigger(9, 1);
  q.trigger(9, 77);
  const auto u = only<user_event>();
  EXPECT_EQ(u.value(), 77);
  EXPECT_EQ(u.tag(), this);
  EXPECT_TRUE(look().empty()) << "one event for all triggers";
}

TEST_F(Kqueue_Face, ALatchedUserEventStaysReady) {
  q.add(user(1).latched());
  q.trigger(1);
  EXPECT_EQ(look().size(), 1U);
  EXPECT_EQ(look().size(), 1U);
}

TEST_F(Kqueue_Face, ATriggerWakesAWaitingThread) {
  q.add(user(1));
  thread_in_call<size_t> waiter([this] { return q.wait(room).size(); });
  ASSERT_TRUE(waiter.falls_asleep());
  q.trigger(1);
  EXPECT_EQ(waiter.result(), 1U);
}

TEST_F(Kqueue_Face, TimersOfTheirOwnIdsDoNotMeet) {
  const after first(1ms);
  const after second(1ms);
  EXPECT_NE(first.id(), second.id());
  q.apply({first, second});
  std::vector<uintptr_t> seen;
  while (seen.size() < 2) {
    for (const event& e : await()) {
      e.visit([&](const timer_event& t) { seen.push_back(t.id()); }, [](const auto&) {});
    }
  }
  EXPECT_THAT(seen, testing::UnorderedElementsAre(first.id(), second.id()));
  EXPECT_TRUE(look().empty()) << "after() is for once";
}

TEST_F(Kqueue_Face, APeriodicTimerCounts) {
  q.add(every(100us, 3));
  for (uintptr_t n = 0; n < 3; n += only<timer_event>().expirations()) {
  }
  q.remove(every(100us, 3));
  EXPECT_TRUE(look().empty());
}

TEST_F(Kqueue_Face, AWallClockTimerExpires) {
  q.add(at(std::chrono::system_clock::now() + 2ms));
  EXPECT_EQ(only<timer_event>().expirations(), 1U);
}

TEST_F(Kqueue_Face, EveryDialectTakesMilliseconds) {
  for (const dialect d :
       {dialect::freebsd, dialect::netbsd, dialect::dragonfly, dialect::openbsd}) {
    quay::kqueue other(d);
    other.add(after(1ms, 1));
    EXPECT_EQ(other.wait(room, kPatience).size(), 1U) << static_cast<int>(d);
  }
}

TEST_F(Kqueue_Face, LongTimesAreNoShortOnes) {
  q.add(every(std::chrono::hours(24 * 365 * 200), 1));
  q.add(user(1));
  q.trigger(1);
  EXPECT_EQ(q.wait(room, std::chrono::hours::max()).size(), 1U);
}

TEST_F(Kqueue_Face, SignalsAreCounted) {
  q.add(signal(SIGURG));  // ignored by default
  ASSERT_EQ(::raise(SIGURG), 0);
  ASSERT_EQ(::raise(SIGURG), 0);
  const auto s = only<signal_event>();
  EXPECT_EQ(s.signal_number(), SIGURG);
  EXPECT_EQ(s.count(), 2U);
}

TEST_F(Kqueue_Face, AChildsEndHasItsCode) {
  test::child c = ends_with(7);
  q.add(quay::child(c.pid()));
  c.step();
  const auto end = only<child_event>();
  EXPECT_EQ(end.pid(), c.pid());
  EXPECT_TRUE(end.ended() && end.exited() && !end.killed());
  EXPECT_EQ(end.exit_code(), 7);
}

TEST_F(Kqueue_Face, AKilledChildShowsTheSignal) {
  test::child c = ends_with(0);
  q.add(quay::child(c.pid()));
  ::kill(c.pid(), SIGKILL);
  const auto end = only<child_event>();
  EXPECT_TRUE(end.killed() && !end.exited());
  EXPECT_EQ(end.killed_by(), SIGKILL);
}

TEST_F(Kqueue_Face, AFileTellsWhatWasAskedFor) {
  std::string name = ::testing::TempDir() + "quay-face-XXXXXX";
  const unique_fd fd(checked(::mkstemp(name.data()), "mkstemp"));
  q.add(file(fd, file_change::written | file_change::removed));
  ASSERT_EQ(::write(fd, "x", 1), 1);
  EXPECT_TRUE(only<file_event>().has(file_change::written));
  EXPECT_TRUE(look().empty()) << "a change is told once";
  ::unlink(name.c_str());
  EXPECT_TRUE(only<file_event>().has(file_change::removed));
}

TEST_F(Kqueue_Face, AFailedChangeIsAnEventOfAnExchange) {
  const std::array<quay::change, 2> changes = {readable(kNeverOpen).tag(this), user(1)};
  const auto got = q.exchange(changes, room, kPatience);
  ASSERT_EQ(got.size(), 1U);
  bool seen = false;
  got[0].visit(
      [&](const failed_change& f) {
        seen = f.error() == std::errc::bad_file_descriptor && f.tag() == this &&
               f.ident() == static_cast<uintptr_t>(kNeverOpen);
      },
      [](const auto&) {});
  EXPECT_TRUE(seen);
  q.trigger(1);  // the second change was made all the same
}

TEST_F(Kqueue_Face, ApplyStopsAtTheFirstThatFails) {
  std::error_code error;
  q.apply({user(1), readable(kNeverOpen), user(2)}, error);
  EXPECT_EQ(error, std::errc::bad_file_descriptor);
  q.trigger(1, 0, error);
  EXPECT_FALSE(error);
  q.trigger(2, 0, error);
  EXPECT_EQ(error, std::errc::no_such_file_or_directory);
}

TEST_F(Kqueue_Face, VisitReturnsWhatTheHandlersReturn) {
  q.add(user(1));
  q.trigger(1, 5);
  for (const event& e : await()) {
    const auto value = e.visit([](const user_event& u) { return u.value(); },
                               [](const auto&) { return intptr_t{-1}; });
    EXPECT_EQ(value, 5);
  }
}

TEST_F(Kqueue_Face, TimeOverIsAnEmptyRange) {
  EXPECT_TRUE(q.wait(room, 1ms).empty());
  std::error_code error = std::make_error_code(std::errc::io_error);
  EXPECT_TRUE(q.wait(room, -1h, error).empty());
  EXPECT_FALSE(error);
}

TEST_F(Kqueue_Face, AHandledSignalEndsTheWaitWithNothing) {
  struct sigaction handle {};
  struct sigaction before {};
  handle.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGUSR2, &handle, &before), 0);
  thread_in_call<bool> plain([this] { return q.wait(room, kPatience).empty(); });
  ASSERT_TRUE(plain.falls_asleep());
  ::pthread_kill(plain.handle(), SIGUSR2);
  EXPECT_TRUE(plain.result());
  std::error_code error;
  thread_in_call<bool> coded([&] { return q.wait(room, kPatience, error).empty(); });
  ASSERT_TRUE(coded.falls_asleep());
  ::pthread_kill(coded.handle(), SIGUSR2);
  EXPECT_TRUE(coded.result());
  EXPECT_EQ(error, std::errc::interrupted);
  ::sigaction(SIGUSR2, &before, nullptr);
}

TEST_F(Kqueue_Face, IsPrivateUntilItsHandleIsAskedFor) {
  q.add(user(1));
  q.trigger(1);
  const int fd = q.native_handle();
  EXPECT_TRUE(becomes_readable(fd)) << "what was pending before shows";
  EXPECT_EQ(look().size(), 1U);
  EXPECT_FALSE(looks_readable(fd));
  q.trigger(1);
  EXPECT_TRUE(becomes_readable(fd));
}

TEST_F(Kqueue_Face, TimersOfAnExposedQueueReachItsDescriptor) {
  q.add(after(1ms, 1));
  EXPECT_TRUE(becomes_readable(q.native_handle()));
}

TEST_F(Kqueue_Face, ExposeRefusesWhatIsNoQueue) {
  const auto ends = make_pipe();
  EXPECT_EQ(quay_expose(ends.reader), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(quay_expose(-1), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(Kqueue_Face, AQueueWatchesAQueue) {
  quay::kqueue outer;
  outer.add(readable(q));
  q.add(user(1));
  q.trigger(1);
  EXPECT_EQ(outer.wait(room, kPatience).size(), 1U);
}

TEST_F(Kqueue_Face, MovingMovesTheQueue) {
  q.add(user(1));
  quay::kqueue other = std::move(q);
  EXPECT_FALSE(q);  // NOLINT(bugprone-use-after-move): that is the question
  ASSERT_TRUE(other);
  other.trigger(1);
  EXPECT_EQ(other.poll(room).size(), 1U);
  std::error_code error;
  q.add(user(1), error);
  EXPECT_EQ(error, std::errc::bad_file_descriptor);
  q = std::move(other);
  q.trigger(1);
}

TEST_F(Kqueue_Face, TheDescriptorEndsWithTheObject) {
  int fd = -1;
  {
    const quay::kqueue scoped;
    fd = scoped.native_handle();
    EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
  }
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST_F(Kqueue_Face, AQueueOfTheCFaceCanBeAdopted) {
  auto adopted = quay::kqueue::adopt(::kqueue());
  adopted.add(user(1));
  adopted.trigger(1);
  EXPECT_EQ(adopted.poll(room).size(), 1U);
}

TEST_F(Kqueue_Face, OpenStoresItsError) {
  std::error_code error;
  const auto none = quay::kqueue::open(static_cast<dialect>(99), error);
  EXPECT_EQ(error, std::errc::invalid_argument);
  EXPECT_FALSE(none);
  EXPECT_THROW(quay::kqueue(static_cast<dialect>(99)), std::system_error);
  EXPECT_TRUE(quay::kqueue::open(dialect::netbsd, error));
  EXPECT_FALSE(error);
}

}  // namespace
}  // namespace quay::test
