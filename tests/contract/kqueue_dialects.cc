// SPDX-License-Identifier: BSD-2-Clause
//
// What: the rows of the table of disagreements that concern kevent() itself: flags, identifiers,
// posting, filters that exist or not.
// Contract: kqueue semantics, section 7; each test names its row. Rows with a file of their own are
// not repeated here: 8 to 10 kqueue_timeout, 24 to 27 kqueue_timer*, 30 and 50 to 55 kqueue_user,
// 31 and 32 kqueue_write, 35 kqueue_nesting, 41 and 49 kqueue_threads, 42 kqueue_read_files, 43
// kqueue_except_empty, 54 kqueue_efault.
#include "support/dialects.hpp"
#include "support/matchers.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class Kqueue_Dialects : public dialect_test {
 protected:
  uintptr_t fd() const { return static_cast<uintptr_t>(channel_.here.get()); }
  event_matcher event(intptr_t bytes) const { return Event(fd(), EVFILT_READ).data(bytes); }

  socket_pair channel_ = make_socketpair();
};

TEST_P(Kqueue_Dialects, Row2FiltersThatExist) {
  const socket_pair tcp = make_tcp_pair();
  const auto offered = [&](int filter) { return alter(kq, {add(tcp.here, filter)}).result == 0; };
  EXPECT_TRUE(offered(EVFILT_USER));
  EXPECT_EQ(offered(EVFILT_EXCEPT), expected<bool>({false, false, true, true}));
  EXPECT_EQ(offered(EVFILT_EMPTY), expected<bool>({true, true, false, false}));
}

TEST_P(Kqueue_Dialects, Row2FiltersThatDoNotExistAreInvalid) {
  for (const int filter : {EVFILT_EXCEPT, EVFILT_EMPTY}) {
    const outcome got = alter(kq, {add(fd(), filter)});
    if (got.result != 0) {
      EXPECT_THAT(got, FailsWith(EINVAL)) << filter;
    }
  }
}

// The table's N09 ignores the flag; the dialect takes over from newer NetBSD what that kernel
// lacks.
TEST_P(Kqueue_Dialects, Row4ReceiptsAreGiven) {
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_RECEIPT)}),
              Returns(ElementsAre(Receipt(fd(), EVFILT_READ))));
}

// Row 7: DragonFly fails without saying why; all others come back at once. None writes behind the
// list.
TEST_P(Kqueue_Dialects, Row7AReceiptWithoutRoomEndsTheCall) {
  put(channel_.there, "x");
  const outcome got = alter(kq, {add(fd(), EVFILT_READ, EV_RECEIPT), add(1, EVFILT_USER)});
  if (is(QUAY_DIALECT_DRAGONFLY)) {
    EXPECT_EQ(got.result, -1);
  } else {
    EXPECT_THAT(got, Succeeds());
  }
  EXPECT_THAT(poll(kq), ElementsAre(event(1).flags(EV_RECEIPT))) << "the change itself was applied";
  EXPECT_THAT(alter(kq, {trigger(1)}), FailsWith(ENOENT)) << "the changes behind it were not";
}

TEST_P(Kqueue_Dialects, Row7ReceiptsThatOverflowTheListAreNotWrittenBehindIt) {
  const changes list{add(fd(), EVFILT_READ, EV_RECEIPT), add(fd(), EVFILT_WRITE, EV_RECEIPT)};
  std::vector<struct kevent> room(3);
  for (struct kevent& e : room) e.data = 4711;
  const timespec zero{};
  EXPECT_LE(::kevent(kq, &list[0].entry, 2, room.data(), 1, &zero), 1);
  EXPECT_EQ(room[1].data, 4711);
  EXPECT_EQ(room[2].data, 4711);
}

TEST_P(Kqueue_Dialects, Row11APlainModificationOfLowWater) {
  put(channel_.there, "abc");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ).fflags(NOTE_LOWAT).data(10).udata(1)}), Succeeds());
  // Neither EV_ADD nor EV_DELETE: three bytes are enough now, if the change is taken.
  const outcome got =
      submit(kq, {change(fd(), EVFILT_READ, 0).fflags(NOTE_LOWAT).data(2).udata(2)});
  if (expected<bool>({true, false, true, false})) {
    EXPECT_THAT(got, Returns(ElementsAre(event(3).udata(2))));
  } else {
    EXPECT_THAT(got, Succeeds());
    put(channel_.there, "defghijk");
    EXPECT_THAT(poll(kq), ElementsAre(event(11).udata(1)));
  }
}

TEST_P(Kqueue_Dialects, Row11ABareEnableWipesOrKeepsWhatWasAskedFor) {
  put(channel_.there, "abc");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_DISABLE).fflags(NOTE_LOWAT).data(10).udata(1)}),
              Succeeds());
  const outcome got = submit(kq, {enable(fd(), EVFILT_READ).udata(2)});
  if (expected<bool>({true, false, true, false})) {
    EXPECT_THAT(got, Returns(ElementsAre(event(3).udata(2))))
        << "low water is gone, udata replaced";
  } else {
    EXPECT_THAT(got, Succeeds());
    put(channel_.there, "defghij");
    EXPECT_THAT(poll(kq), ElementsAre(event(10).udata(1)));
  }
}

// Row 11: where the filter is run, an edge fires again.
TEST_P(Kqueue_Dialects, Row11APlainModificationRunsTheFilterOrDoesNot) {
  put(channel_.there, "x");
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}), Returns(SizeIs(1)));
  const outcome got = submit(kq, {change(fd(), EVFILT_READ, 0)});
  if (expected<bool>({true, false, true, false})) {
    EXPECT_THAT(got, Returns(ElementsAre(event(1).flags(EV_CLEAR))));
  } else {
    EXPECT_THAT(got, Succeeds());
  }
}

TEST_P(Kqueue_Dialects, Row12AddAndDeleteOfANoteThatExists) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ).udata(1)}), Succeeds());
  const outcome got = submit(kq, {change(fd(), EVFILT_READ, EV_ADD | EV_DELETE).udata(2)});
  if (is(QUAY_DIALECT_FREEBSD)) {
    EXPECT_THAT(got, Succeeds());
    EXPECT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), FailsWith(ENOENT));
  } else {
    EXPECT_THAT(got, Returns(ElementsAre(event(1).udata(2)))) << "EV_DELETE has no effect";
  }
}

TEST_P(Kqueue_Dialects, Row12AddAndDeleteOfANoteThatDoesNotExistCreatesIt) {
  put(channel_.there, "x");
  EXPECT_THAT(submit(kq, {change(fd(), EVFILT_READ, EV_ADD | EV_DELETE)}),
              Returns(ElementsAre(event(1))));
  EXPECT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), Succeeds());
}

TEST_P(Kqueue_Dialects, Row13EnableAndDisableTogether) {
  put(channel_.there, "x");
  const outcome got = submit(kq, {add(fd(), EVFILT_READ, EV_ENABLE | EV_DISABLE)});
  if (is(QUAY_DIALECT_FREEBSD)) {
    EXPECT_THAT(got, Returns(ElementsAre(ErrorEntry(fd(), EVFILT_READ, EINVAL))));
    EXPECT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), FailsWith(ENOENT));
  } else {
    EXPECT_THAT(got, Returns(ElementsAre(event(1)))) << "the note ends up enabled";
  }
}

TEST_P(Kqueue_Dialects, Row14ADescriptorNumberWiderThanInt) {
  if (sizeof(uintptr_t) == sizeof(int)) GTEST_SKIP() << "no ident is wider than int here";
  put(channel_.there, "x");
  const uintptr_t wide = (uintptr_t{1} << (sizeof(uintptr_t) * 4)) + fd();
  const outcome got = submit(kq, {add(wide, EVFILT_READ)});
  if (is(QUAY_DIALECT_FREEBSD) || is(QUAY_DIALECT_OPENBSD)) {
    EXPECT_THAT(got, Returns(ElementsAre(ErrorEntry(wide, EVFILT_READ, EBADF))));
    return;
  }
  EXPECT_THAT(got, Returns(ElementsAre(Event(wide, EVFILT_READ).data(1))))
      << "the low bits are the descriptor";
  const outcome narrow = alter(kq, {remove(fd(), EVFILT_READ)});
  if (is(QUAY_DIALECT_NETBSD)) {
    EXPECT_THAT(narrow, Succeeds()) << "both names are one note";
  } else {
    EXPECT_THAT(narrow, FailsWith(ENOENT)) << "the wide name is a note of its own";
  }
}

TEST_P(Kqueue_Dialects, Row15ActionFlagsInDeliveredEvents) {
  put(channel_.there, "x");
  const unsigned echoed =
      expected<unsigned>({0, EV_ADD | EV_ENABLE, EV_ADD | EV_ENABLE, EV_ADD | EV_ENABLE});
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_ENABLE | EV_CLEAR)}),
              Returns(ElementsAre(event(1).exactly_flags(EV_CLEAR | echoed))));
}

TEST_P(Kqueue_Dialects, Row16SystemFlagsThatNoChangeMayBring) {
  put(channel_.there, "x");
  const unsigned echoed = expected<unsigned>({0, EV_ADD, EV_ADD, EV_ADD});
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_SYSFLAGS)}),
              Returns(ElementsAre(event(1).exactly_flags(echoed))));
  ASSERT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), Succeeds());
  // EV_HUP is a system bit in DragonFly and OpenBSD and nothing at all in the others.
  const outcome got = submit(kq, {add(fd(), EVFILT_READ, EV_HUP)});
  if (is(QUAY_DIALECT_DRAGONFLY) || is(QUAY_DIALECT_OPENBSD)) {
    EXPECT_THAT(got, Returns(ElementsAre(event(1).exactly_flags(EV_ADD))));
  } else {
    EXPECT_THAT(got, Returns(ElementsAre(event(1))));
  }
}

// Row 17: a note that is born disabled on a ready object waits in the queue, or never enters it.
// poll(2) tells.
TEST_P(Kqueue_Dialects, Row17AReadyObjectAddedDisabled) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_DISABLE)}), Succeeds());
  EXPECT_EQ(looks_readable(kq), expected<bool>({false, true, true, true}));
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_FALSE(looks_readable(kq)) << "the first scan that meets it drops it";
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}), Returns(ElementsAre(event(1))));
}

TEST_P(Kqueue_Dialects, Row33AFilterTheObjectDoesNotOffer) {
  const int error = expected<int>({EINVAL, EINVAL, EOPNOTSUPP, EINVAL});
  const pipe_ends p = make_pipe();
  const int filter = expected<int>({EVFILT_EMPTY, EVFILT_EMPTY, EVFILT_EXCEPT, EVFILT_EXCEPT});
  if (is(QUAY_DIALECT_OPENBSD)) {
    const temporary_directory directory;
    const unique_fd file = directory.make_file("x");
    EXPECT_THAT(alter(kq, {add(file, filter).fflags(NOTE_OOB)}), FailsWith(error));
  } else {
    EXPECT_THAT(alter(kq, {add(p.reader, filter).fflags(NOTE_OOB)}), FailsWith(error));
  }
  EXPECT_THAT(alter(kq, {add(p.reader, EVFILT_VNODE).fflags(NOTE_WRITE)}), FailsWith(error));
}

TEST_P(Kqueue_Dialects, Row34EndOfFileExtras) {
  put(channel_.there, "x");
  const unsigned echoed = expected<unsigned>({0, EV_ADD, EV_ADD, EV_ADD});
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ)}), Succeeds());
  ::shutdown(channel_.there, SHUT_WR);
  EXPECT_THAT(poll(kq), ElementsAre(event(1).exactly_flags(echoed | EV_EOF)))
      << "something is left to read";
  drain(channel_.here);
  const unsigned extra = is(QUAY_DIALECT_DRAGONFLY) ? EV_NODATA : 0;
  EXPECT_THAT(poll(kq), ElementsAre(event(0).exactly_flags(echoed | EV_EOF | extra)));
}

TEST_P(Kqueue_Dialects, Row34AWritersEndOfFile) {
  const unsigned echoed = expected<unsigned>({0, EV_ADD, EV_ADD, EV_ADD});
  pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.writer, EVFILT_WRITE)}), Succeeds());
  p.reader.close();
  const unsigned extra = is(QUAY_DIALECT_DRAGONFLY) ? EV_NODATA : 0;
  EXPECT_THAT(poll(kq),
              ElementsAre(Event(p.writer, EVFILT_WRITE).exactly_flags(echoed | EV_EOF | extra)));
}

// Row 53: whatever ENABLE runs, a disabled note whose condition holds is delivered.
TEST_P(Kqueue_Dialects, Row53EnableOfADisabledNote) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_CLEAR), disable(fd(), EVFILT_READ)}),
              Succeeds());
  put(channel_.there, "x");
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}),
              Returns(ElementsAre(event(1).flags(EV_CLEAR))));
}

// Row 53: an edge that was delivered fires again on re-enabling only where ENABLE runs the filter.
TEST_P(Kqueue_Dialects, Row53DisableAndEnableOfADeliveredEdge) {
  put(channel_.there, "x");
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}), Returns(SizeIs(1)));
  ASSERT_THAT(submit(kq, {disable(fd(), EVFILT_READ)}), Succeeds());
  const outcome got = submit(kq, {enable(fd(), EVFILT_READ)});
  if (is(QUAY_DIALECT_NETBSD)) {
    EXPECT_THAT(got, Succeeds());
  } else {
    EXPECT_THAT(got, Returns(ElementsAre(event(1).flags(EV_CLEAR))));
  }
}

QUAY_IN_ALL_DIALECTS(Kqueue_Dialects);

TEST(Kqueue_DialectFreebsd, EntriesWithFilterZeroAreSkipped) {
  const queue kq = make_queue();
  EXPECT_THAT(
      submit(kq, {change(1, 0, EV_ADD), add(1, EVFILT_USER), change(2, 0, EV_DELETE), trigger(1)}),
      Returns(ElementsAre(Event(1, EVFILT_USER))));
  for (const unsigned flags : {EV_ADD, EV_DELETE, EV_ADD | EV_RECEIPT}) {
    EXPECT_THAT(alter(kq, {change(1, 0, flags)}), Succeeds()) << "not even a receipt";
    EXPECT_THAT(alter(kq, {change(1, 0, flags), change(2, 0, flags)}), Succeeds());
  }
}

TEST(Kqueue_DialectFreebsd, ForceOneShotFiresOnceWhateverTheCondition) {
  const queue kq = make_queue();
  const pipe_ends p = make_pipe();
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ)}), Succeeds());
  EXPECT_THAT(submit(kq, {change(p.reader, EVFILT_READ, EV_FORCEONESHOT)}),
              Returns(ElementsAre(Event(p.reader, EVFILT_READ).any_flags().data(0))));
  EXPECT_THAT(alter(kq, {remove(p.reader, EVFILT_READ)}), FailsWith(ENOENT));
}

TEST(Kqueue_DialectDragonfly, HangUpIsShownWhenBothDirectionsAreShut) {
  const queue kq = make_queue(QUAY_DIALECT_DRAGONFLY);
  socket_pair s = make_tcp_pair();
  ASSERT_THAT(alter(kq, {add(s.here, EVFILT_READ)}), Succeeds());
  ::shutdown(s.there, SHUT_WR);
  ::shutdown(s.here, SHUT_WR);
  const events got = await(kq);
  ASSERT_THAT(got, SizeIs(1));
  ASSERT_TRUE(wait_readable(s.here));
  const events later = await(kq);
  ASSERT_THAT(later, SizeIs(1));
  EXPECT_EQ(later[0].flags & (EV_EOF | EV_NODATA | EV_HUP), EV_EOF | EV_NODATA | EV_HUP);
}

TEST(Kqueue_DialectDefault, KqueueMakesFreebsdQueues) {
  for (const int fd : {::kqueue(), ::kqueue1(0), ::kqueuex(0)}) {
    const queue kq(fd);
    const socket_pair s = make_socketpair();
    put(s.there, "x");
    EXPECT_THAT(submit(kq, {add(s.here, EVFILT_READ)}),
                Returns(ElementsAre(Event(s.here, EVFILT_READ).data(1).exactly_flags(0))));
  }
}

}  // namespace
}  // namespace quay::test
