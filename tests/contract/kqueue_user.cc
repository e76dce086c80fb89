// SPDX-License-Identifier: BSD-2-Clause
//
// What: EVFILT_USER: triggers, the 24 bits of fflags and their operations, data, udata.
// Contract: kqueue semantics, 5.8 (USER); rows 30, 50, 51, 52 and 55 of section 7. Where OpenBSD's
// code and its own regression test disagree, the test counts. NetBSD's filter is that of its newer
// kernels.
#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Kqueue_User : public dialect_test {
 protected:
  static change user(uintptr_t ident, unsigned flags = 0) { return add(ident, EVFILT_USER, flags); }
  static event_matcher event(uintptr_t ident = 1) { return Event(ident, EVFILT_USER); }
  static change with(unsigned fflags, unsigned flags = 0) {
    return change(1, EVFILT_USER, flags).fflags(fflags);
  }
};

TEST_P(Kqueue_User, IsSilentUntilTriggered) {
  EXPECT_THAT(submit(kq, {user(1)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {trigger(1)}), Returns(ElementsAre(event())));
}

TEST_P(Kqueue_User, StaysTriggeredWithoutClear) {
  ASSERT_THAT(alter(kq, {user(1), trigger(1)}), Succeeds());
  for (int i = 0; i < 3; ++i) EXPECT_THAT(poll(kq), ElementsAre(event()));
  EXPECT_THAT(submit(kq, {remove(1, EVFILT_USER)}), Succeeds());
}

TEST_P(Kqueue_User, WithClearEveryTriggerIsDeliveredOnce) {
  ASSERT_THAT(alter(kq, {user(1, EV_CLEAR)}), Succeeds());
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(submit(kq, {trigger(1)}), Returns(ElementsAre(event().flags(EV_CLEAR))));
    EXPECT_THAT(poll(kq), IsEmpty());
  }
}

TEST_P(Kqueue_User, ManyTriggersAreOneEvent) {
  ASSERT_THAT(alter(kq, {user(1, EV_CLEAR), trigger(1), trigger(1), trigger(1)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(event().flags(EV_CLEAR)));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_User, AOneShotIsGoneAfterItsEvent) {
  ASSERT_THAT(alter(kq, {user(1, EV_ONESHOT)}), Succeeds());
  EXPECT_THAT(submit(kq, {trigger(1)}), Returns(ElementsAre(event().flags(EV_ONESHOT))));
  EXPECT_THAT(alter(kq, {trigger(1)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_User, DispatchDisablesAfterTheEvent) {
  ASSERT_THAT(alter(kq, {user(1, EV_DISPATCH)}), Succeeds());
  EXPECT_THAT(submit(kq, {trigger(1)}), Returns(ElementsAre(event().flags(EV_DISPATCH))));
  EXPECT_THAT(submit(kq, {trigger(1)}), Succeeds()) << "disabled";
  EXPECT_THAT(submit(kq, {enable(1, EVFILT_USER)}),
              Returns(ElementsAre(event().flags(EV_DISPATCH))));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_User, DispatchOutlivesModificationsAndEnables) {
  ASSERT_THAT(alter(kq, {user(1, EV_DISPATCH)}), Succeeds());
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(alter(kq, {user(1), enable(1, EVFILT_USER)}), Succeeds());
    EXPECT_THAT(submit(kq, {trigger(1)}), Returns(ElementsAre(event().flags(EV_DISPATCH))));
    EXPECT_THAT(poll(kq), IsEmpty());
  }
}

TEST_P(Kqueue_User, EnableAndTriggerInOneChangeFire) {
  ASSERT_THAT(alter(kq, {user(1, EV_DISPATCH)}), Succeeds());
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(submit(kq, {with(NOTE_TRIGGER, EV_ENABLE)}),
                Returns(ElementsAre(event().flags(EV_DISPATCH))));
  }
}

TEST_P(Kqueue_User, ATriggerWhileDisabledIsRemembered) {
  ASSERT_THAT(alter(kq, {user(1, EV_CLEAR), disable(1, EVFILT_USER)}), Succeeds());
  EXPECT_THAT(submit(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(submit(kq, {enable(1, EVFILT_USER)}), Returns(ElementsAre(event().flags(EV_CLEAR))));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_User, DisableDropsAPendingTriggerUntilEnable) {
  ASSERT_THAT(alter(kq, {user(1, EV_CLEAR), trigger(1)}), Succeeds());
  EXPECT_THAT(submit(kq, {disable(1, EVFILT_USER)}), Succeeds());
  EXPECT_THAT(submit(kq, {enable(1, EVFILT_USER)}), Returns(ElementsAre(event().flags(EV_CLEAR))));
}

TEST_P(Kqueue_User, DeleteDropsAPendingTrigger) {
  ASSERT_THAT(alter(kq, {user(1), trigger(1)}), Succeeds());
  EXPECT_THAT(submit(kq, {remove(1, EVFILT_USER)}), Succeeds());
  EXPECT_THAT(submit(kq, {user(1)}), Succeeds())
      << "a new note knows nothing of the old one's trigger";
}

TEST_P(Kqueue_User, ACopyReplacesTheBits) {
  ASSERT_THAT(alter(kq, {user(1), with(NOTE_FFCOPY | 0xabc)}), Succeeds());
  ASSERT_THAT(alter(kq, {with(NOTE_FFCOPY | 0x123)}), Succeeds());
  EXPECT_THAT(submit(kq, {trigger(1)}), Returns(ElementsAre(event().fflags(0x123))));
}

TEST_P(Kqueue_User, AndOrAndNopCombine) {
  ASSERT_THAT(alter(kq, {user(1), with(NOTE_FFCOPY | 0x0f0)}), Succeeds());
  EXPECT_THAT(submit(kq, {with(NOTE_FFOR | NOTE_TRIGGER | 0xf00)}),
              Returns(ElementsAre(event().fflags(0xff0))));
  EXPECT_THAT(submit(kq, {with(NOTE_FFAND | 0x3c0)}), Returns(ElementsAre(event().fflags(0x3c0))));
  EXPECT_THAT(submit(kq, {with(NOTE_FFNOP | 0xffffff)}),
              Returns(ElementsAre(event().fflags(0x3c0))));
  EXPECT_THAT(submit(kq, {with(NOTE_FFAND)}), Returns(ElementsAre(event().fflags(0))));
}

TEST_P(Kqueue_User, TriggersAccumulateTheirBits) {
  ASSERT_THAT(alter(kq, {user(1, EV_CLEAR), with(NOTE_FFCOPY), with(NOTE_FFOR | NOTE_TRIGGER | 1),
                         with(NOTE_FFOR | NOTE_TRIGGER | 2), with(NOTE_FFOR | 4)}),
              Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(event().flags(EV_CLEAR).fflags(7)));
}

TEST_P(Kqueue_User, TriggerAndOperationBitsNeverComeBack) {
  ASSERT_THAT(alter(kq, {user(1)}), Succeeds());
  EXPECT_THAT(submit(kq, {with(NOTE_FFCOPY | NOTE_TRIGGER | 0xffffffu)}),
              Returns(ElementsAre(event().fflags(0xffffff))));
  EXPECT_THAT(submit(kq, {with(NOTE_FFCOPY | 0x3e000000u)}),
              Returns(ElementsAre(event().fflags(0))));
}

TEST_P(Kqueue_User, DataTravelsWithTheEvent) {
  ASSERT_THAT(alter(kq, {user(1)}), Succeeds());
  EXPECT_THAT(submit(kq, {add(1, EVFILT_USER).fflags(NOTE_TRIGGER).data(INTPTR_MIN)}),
              Returns(ElementsAre(event().data(INTPTR_MIN))));
  EXPECT_THAT(submit(kq, {add(1, EVFILT_USER).data(42)}), Returns(ElementsAre(event().data(42))));
}

TEST_P(Kqueue_User, EveryIdentifierIsItsOwn) {
  const uintptr_t wide = UINTPTR_MAX;
  ASSERT_THAT(alter(kq, {user(0), user(1), user(wide),
                         user(wide - (uintptr_t{1} << (sizeof(uintptr_t) * 4)))}),
              Succeeds());
  EXPECT_THAT(submit(kq, {trigger(wide)}), Returns(ElementsAre(event(wide))));
  EXPECT_THAT(submit(kq, {remove(wide, EVFILT_USER), trigger(0)}), Returns(ElementsAre(event(0))));
}

TEST_P(Kqueue_User, EventsComeInTheOrderOfTheirTriggers) {
  ASSERT_THAT(alter(kq, {user(1, EV_CLEAR), user(2, EV_CLEAR), user(3, EV_CLEAR)}), Succeeds());
  ASSERT_THAT(alter(kq, {trigger(3), trigger(1), trigger(2)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(event(3).flags(EV_CLEAR), event(1).flags(EV_CLEAR),
                                    event(2).flags(EV_CLEAR)));
}

TEST_P(Kqueue_User, TwoQueuesDoNotShareIdentifiers) {
  const queue other = make_queue(dialect());
  ASSERT_THAT(alter(kq, {user(1)}), Succeeds());
  EXPECT_THAT(alter(other, {trigger(1)}), FailsWith(ENOENT));
  ASSERT_THAT(alter(other, {user(1)}), Succeeds());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(poll(other), IsEmpty());
}

TEST_P(Kqueue_User, ATriggerFromAnotherThreadWakesAWaiter) {
  ASSERT_THAT(alter(kq, {user(1, EV_CLEAR)}), Succeeds());
  waiter thread(kq);
  ASSERT_TRUE(thread.falls_asleep());
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), Returns(ElementsAre(event().flags(EV_CLEAR))));
}

// Row 50: FreeBSD and NetBSD look for the trigger where it has just been zeroed.
TEST_P(Kqueue_User, ATriggerInTheCreatingAddFiresOrIsIgnored) {
  const outcome got = submit(kq, {user(1, EV_CLEAR).fflags(NOTE_TRIGGER).data(7)});
  if (is(QUAY_DIALECT_FREEBSD) || is(QUAY_DIALECT_NETBSD)) {
    EXPECT_THAT(got, Succeeds());
    EXPECT_THAT(submit(kq, {trigger(1)}), Returns(testing::SizeIs(1)));
  } else {
    EXPECT_THAT(got, Returns(ElementsAre(event().flags(EV_CLEAR).data(7))));
  }
}

TEST_P(Kqueue_User, ATriggerInALaterAddFires) {
  ASSERT_THAT(alter(kq, {user(1, EV_CLEAR)}), Succeeds());
  EXPECT_THAT(submit(kq, {user(1).fflags(NOTE_TRIGGER).data(7)}),
              Returns(ElementsAre(event().flags(EV_CLEAR).data(7))));
}

// Row 52: what the operation bits of the creating change do with the low 24.
TEST_P(Kqueue_User, OperationsInTheCreatingAdd) {
  struct step {
    unsigned op;
    per_dialect<unsigned> stored;
  };
  for (const step& s : {step{NOTE_FFCOPY, {5, 5, 5, 5}}, step{NOTE_FFOR, {5, 5, 5, 5}},
                        step{NOTE_FFAND, {5, 5, 0, 5}}, step{NOTE_FFNOP, {5, 5, 0, 5}}}) {
    ASSERT_THAT(alter(kq, {user(1).fflags(s.op | 5)}), Succeeds());
    const outcome got = submit(kq, {trigger(1)});
    ASSERT_EQ(got.result, 1);
    EXPECT_EQ(got.events[0].fflags & NOTE_FFLAGSMASK, expected(s.stored)) << std::hex << s.op;
    ASSERT_THAT(alter(kq, {remove(1, EVFILT_USER)}), Succeeds());
  }
}

// Row 51.
TEST_P(Kqueue_User, BitsAndDataAfterAClearedDelivery) {
  ASSERT_THAT(alter(kq, {user(1, EV_CLEAR)}), Succeeds());
  ASSERT_THAT(submit(kq, {user(1).fflags(NOTE_FFCOPY | NOTE_TRIGGER | 0x55).data(9)}),
              Returns(ElementsAre(event().flags(EV_CLEAR).fflags(0x55).data(9))));
  const unsigned kept = expected<unsigned>({0x55, 0x55, 0, 0});
  EXPECT_THAT(submit(kq, {trigger(1)}), Returns(ElementsAre(event().flags(EV_CLEAR).fflags(kept))));
}

// Row 30.
TEST_P(Kqueue_User, UdataOfAModification) {
  ASSERT_THAT(alter(kq, {user(1).udata(1)}), Succeeds());
  const uintptr_t bare = expected<uintptr_t>({2, 2, 1, 1});
  EXPECT_THAT(submit(kq, {trigger(1).udata(2)}), Returns(ElementsAre(event().udata(bare))));
  const uintptr_t again = expected<uintptr_t>({3, 3, 1, 3});
  EXPECT_THAT(submit(kq, {user(1).udata(3)}), Returns(ElementsAre(event().udata(again))));
}

// Row 55: FreeBSD hands out the saved event of a one-shot, in which the filter never put anything.
TEST_P(Kqueue_User, ValuesOfAOneShot) {
  ASSERT_THAT(alter(kq, {user(1, EV_ONESHOT), user(1).fflags(NOTE_FFCOPY | 6).data(8)}),
              Succeeds());
  const unsigned bits = expected<unsigned>({0, 6, 6, 6});
  EXPECT_THAT(submit(kq, {user(1).fflags(NOTE_TRIGGER).data(8)}),
              Returns(ElementsAre(
                  event().flags(EV_ONESHOT).fflags(bits).data(is(QUAY_DIALECT_FREEBSD) ? 0 : 8))));
}

TEST_P(Kqueue_User, ClearInAModificationTakesTheTriggerBack) {
  ASSERT_THAT(alter(kq, {user(1), with(NOTE_TRIGGER)}), Succeeds());
  ASSERT_THAT(poll(kq), ElementsAre(event()));
  EXPECT_THAT(submit(kq, {with(NOTE_TRIGGER, EV_CLEAR)}), Succeeds())
      << "even a trigger in the same change";
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {trigger(1)}), Returns(ElementsAre(event())))
      << "and the note is as level as before";
  EXPECT_THAT(poll(kq), ElementsAre(event()));
}

TEST_P(Kqueue_User, ClearInAModificationKeepsTheBits) {
  ASSERT_THAT(alter(kq, {user(1), with(NOTE_FFCOPY | 0x11)}), Succeeds());
  ASSERT_THAT(alter(kq, {with(0, EV_CLEAR)}), Succeeds());
  EXPECT_THAT(submit(kq, {trigger(1)}), Returns(ElementsAre(event().fflags(0x11))));
}

// Seen where a trigger leaves the data alone, in OpenBSD's dialect.
TEST_P(Kqueue_User, ClearInAModificationTakesTheData) {
  ASSERT_THAT(alter(kq, {user(1).data(9), trigger(1).data(9)}), Succeeds());
  ASSERT_THAT(poll(kq), ElementsAre(event().data(9)));
  ASSERT_THAT(alter(kq, {with(0, EV_CLEAR).data(9)}), Succeeds());
  EXPECT_THAT(submit(kq, {trigger(1)}), Returns(ElementsAre(event().data(0))));
}

TEST_P(Kqueue_User, ThousandsOfNotesNeedNoDescriptors) {
  if (is(QUAY_DIALECT_OPENBSD)) GTEST_SKIP() << "limited to 1024";
  constexpr uintptr_t kNotes = 8192;
  changes list;
  for (uintptr_t i = 0; i < kNotes; ++i) list.push_back(user(i, EV_CLEAR));
  ASSERT_THAT(alter(kq, list), Succeeds());
  ASSERT_THAT(alter(kq, {trigger(0), trigger(kNotes / 2), trigger(kNotes - 1)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(event(0).flags(EV_CLEAR), event(kNotes / 2).flags(EV_CLEAR),
                                    event(kNotes - 1).flags(EV_CLEAR)));
}

QUAY_IN_ALL_DIALECTS(Kqueue_User);

TEST(Kqueue_KeepUdata, ATriggerLeavesTheRegisteredUdata) {
  const queue kq = make_queue();
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR).udata(4)}), Succeeds());
  EXPECT_THAT(submit(kq, {change(1, EVFILT_USER, EV_KEEPUDATA).fflags(NOTE_TRIGGER).udata(5)}),
              Returns(ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR).udata(4))));
}

TEST(Kqueue_KeepUdata, HoldsForOtherFiltersToo) {
  const queue kq = make_queue();
  const pipe_ends p = make_pipe();
  put(p.writer, "x");
  ASSERT_THAT(alter(kq, {add(p.reader, EVFILT_READ, EV_DISABLE).udata(4)}), Succeeds());
  EXPECT_THAT(submit(kq, {change(p.reader, EVFILT_READ, EV_ENABLE | EV_KEEPUDATA).udata(5)}),
              Returns(ElementsAre(Event(p.reader, EVFILT_READ).data(1).udata(4))));
}

TEST(Kqueue_KeepUdata, IsInvalidWithAdd) {
  const queue kq = make_queue();
  EXPECT_THAT(alter(kq, {add(1, EVFILT_USER, EV_KEEPUDATA)}), FailsWith(EINVAL));
  EXPECT_THAT(alter(kq, {remove(1, EVFILT_USER)}), FailsWith(ENOENT));
}

}  // namespace
}  // namespace quay::test
