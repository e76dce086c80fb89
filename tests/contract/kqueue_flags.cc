// SPDX-License-Identifier: BSD-2-Clause
//
// What: EV_ADD, EV_DELETE, EV_ENABLE and EV_DISABLE, alone and in a row.
// Contract: kqueue semantics, 3.2 (what each flag does), 1.2 (identity of a note), 1.7 (lifetime);
// rows 3, 4 and 11 of what real programs need.
#include "support/dialects.hpp"
#include "support/matchers.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class Kqueue_Flags : public dialect_test {
 protected:
  auto event(intptr_t bytes) const { return Event(channel_.here, EVFILT_READ).data(bytes); }
  uintptr_t fd() const { return static_cast<uintptr_t>(channel_.here.get()); }

  socket_pair channel_ = make_socketpair();
};

TEST_P(Kqueue_Flags, AddOfAReadyObjectFiresAtOnce) {
  put(channel_.there, "abc");
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ)}), Returns(ElementsAre(event(3))));
}

TEST_P(Kqueue_Flags, AddOfAnObjectThatIsNotReadyIsSilentUntilItIs) {
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ)}), Succeeds());
  put(channel_.there, "x");
  EXPECT_THAT(poll(kq), ElementsAre(event(1)));
}

TEST_P(Kqueue_Flags, AddAgainIsAModificationAndSucceeds) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ).udata(1)}), Succeeds());
  EXPECT_THAT(alter(kq, {add(fd(), EVFILT_READ).udata(2)}), Succeeds());
  EXPECT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_CLEAR).udata(3)}), Succeeds());
  put(channel_.there, "x");
  EXPECT_THAT(poll(kq), ElementsAre(event(1).udata(3)))
      << "there is one note, with the newest udata";
}

// For edge-triggered notes this is how a program asks again.
TEST_P(Kqueue_Flags, AddAgainEvaluatesReadinessAndFires) {
  put(channel_.there, "x");
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}),
              Returns(ElementsAre(event(1).flags(EV_CLEAR))));
  ASSERT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}),
              Returns(ElementsAre(event(1).flags(EV_CLEAR))));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Flags, AddAgainOnADrainedObjectStaysSilent) {
  put(channel_.there, "x");
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}),
              Returns(ElementsAre(event(1).flags(EV_CLEAR))));
  drain(channel_.here);
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}), Succeeds());
}

TEST_P(Kqueue_Flags, AddAgainCannotChangeTheKindOfDelivery) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ)}), Succeeds());
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_ONESHOT | EV_CLEAR)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(event(1)));
  EXPECT_THAT(poll(kq), ElementsAre(event(1))) << "still level, still there";
}

TEST_P(Kqueue_Flags, AddAgainDoesNotTurnAnEdgeIntoALevel) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}), Succeeds());
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ)}), Returns(ElementsAre(event(1).flags(EV_CLEAR))));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Flags, AddAgainDoesNotEnable) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_DISABLE)}), Succeeds());
  put(channel_.there, "x");
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}), Returns(ElementsAre(event(1))));
}

TEST_P(Kqueue_Flags, AddWithEnableEnables) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_DISABLE)}), Succeeds());
  put(channel_.there, "x");
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_ENABLE)}), Returns(ElementsAre(event(1))));
}

TEST_P(Kqueue_Flags, AddWithDisableIsSilentUntilEnabled) {
  put(channel_.there, "x");
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_DISABLE)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}), Returns(ElementsAre(event(1))));
}

TEST_P(Kqueue_Flags, DisableDropsWhatWasPending) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(submit(kq, {disable(fd(), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Flags, WhatHappensWhileDisabledIsDeliveredOnEnable) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_CLEAR), disable(fd(), EVFILT_READ)}),
              Succeeds());
  put(channel_.there, "ab");
  ASSERT_THAT(poll(kq), IsEmpty());
  put(channel_.there, "c");
  ASSERT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}),
              Returns(ElementsAre(event(3).flags(EV_CLEAR))));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Flags, WhatCameAndWentWhileDisabledIsNotDelivered) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ), disable(fd(), EVFILT_READ)}), Succeeds());
  put(channel_.there, "ab");
  ASSERT_THAT(poll(kq), IsEmpty());
  drain(channel_.here);
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}), Succeeds());
}

TEST_P(Kqueue_Flags, EnableOfAnEnabledNoteChangesNothing) {
  put(channel_.there, "x");
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_READ)}), Returns(ElementsAre(event(1))));
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}), Returns(ElementsAre(event(1))));
}

TEST_P(Kqueue_Flags, DisableTwiceNeedsOneEnable) {
  put(channel_.there, "x");
  ASSERT_THAT(
      alter(kq, {add(fd(), EVFILT_READ), disable(fd(), EVFILT_READ), disable(fd(), EVFILT_READ)}),
      Succeeds());
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}), Returns(ElementsAre(event(1))));
}

TEST_P(Kqueue_Flags, ManyDisablesAndEnablesLoseNothing) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ)}), Succeeds());
  for (int i = 1; i <= 20; ++i) {
    ASSERT_THAT(submit(kq, {disable(fd(), EVFILT_READ)}), Succeeds());
    put(channel_.there, "x");
    ASSERT_THAT(poll(kq), IsEmpty());
    ASSERT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}), Returns(ElementsAre(event(i))));
  }
}

TEST_P(Kqueue_Flags, DeleteDropsWhatWasPending) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(submit(kq, {remove(fd(), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Flags, AfterDeleteTheObjectRaisesNothing) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ), remove(fd(), EVFILT_READ)}), Succeeds());
  put(channel_.there, "x");
  EXPECT_THAT(poll(kq), IsEmpty());
  channel_.there.close();
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Flags, DeleteWorksOnADisabledNote) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_DISABLE)}), Succeeds());
  EXPECT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(alter(kq, {enable(fd(), EVFILT_READ)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Flags, OtherFlagsBesideDeleteAreIgnored) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(submit(kq, {change(fd(), EVFILT_READ, EV_DELETE | EV_ONESHOT | EV_CLEAR)}),
              Succeeds());
  EXPECT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Flags, ANoteAddedAgainAfterDeleteIsNew) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_CLEAR | EV_DISABLE).udata(1)}), Succeeds());
  ASSERT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ).udata(2)}),
              Returns(ElementsAre(event(1).udata(2))));
  EXPECT_THAT(poll(kq), ElementsAre(event(1).udata(2)));
}

// Flags that the system sets in events are private marks of some programs in changes.
TEST_P(Kqueue_Flags, SystemFlagsCannotBeForged) {
  put(channel_.there, "x");
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_EOF | EV_ERROR | EV_FLAG1)}),
              Returns(ElementsAre(event(1))));
}

TEST_P(Kqueue_Flags, UdataComesBackUnchanged) {
  put(channel_.there, "x");
  for (const uintptr_t value :
       {uintptr_t{1}, UINTPTR_MAX, UINTPTR_MAX / 3, reinterpret_cast<uintptr_t>(this)}) {
    EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ).udata(value)}),
                Returns(ElementsAre(event(1).udata(value))));
  }
}

TEST_P(Kqueue_Flags, ReadAndWriteOfOneDescriptorAreTwoNotes) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ).udata(1), add(fd(), EVFILT_WRITE).udata(2)}),
              Succeeds());
  EXPECT_THAT(poll(kq),
              UnorderedElementsAre(event(1).udata(1), Event(fd(), EVFILT_WRITE).udata(2)));
  ASSERT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(Event(fd(), EVFILT_WRITE).udata(2)));
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ), disable(fd(), EVFILT_WRITE)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(event(1)));
}

TEST_P(Kqueue_Flags, EdgesOfReadAndWriteAreTheirOwn) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_CLEAR), add(fd(), EVFILT_WRITE, EV_CLEAR)}),
              Succeeds());
  ASSERT_EQ(poll(kq).size(), 2u);
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_WRITE, EV_CLEAR)}),
              Returns(ElementsAre(Event(fd(), EVFILT_WRITE).flags(EV_CLEAR))))
      << "adding one again must not fire the other";
  EXPECT_THAT(submit(kq, {remove(fd(), EVFILT_WRITE)}), Succeeds()) << "nor must its removal";
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_WRITE, EV_CLEAR | EV_DISABLE)}), Succeeds());
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_WRITE)}),
              Returns(ElementsAre(Event(fd(), EVFILT_WRITE).flags(EV_CLEAR))));
  put(channel_.there, "y");
  EXPECT_THAT(poll(kq), ElementsAre(event(2).flags(EV_CLEAR)));
}

// A server that has sent its answer turns to reading the next request.
TEST_P(Kqueue_Flags, OneCallTurnsFromWritingToReading) {
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_WRITE)}),
              Returns(ElementsAre(Event(fd(), EVFILT_WRITE))));
  put(channel_.there, "x");
  EXPECT_THAT(submit(kq, {remove(fd(), EVFILT_WRITE), add(fd(), EVFILT_READ)}),
              Returns(ElementsAre(event(1))));
}

TEST_P(Kqueue_Flags, TwoNumbersOfOneFileAreTwoNotes) {
  const unique_fd twin(::dup(channel_.here));
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ).udata(1), add(twin, EVFILT_READ).udata(2)}),
              Succeeds());
  EXPECT_THAT(poll(kq),
              UnorderedElementsAre(event(1).udata(1), Event(twin, EVFILT_READ).data(1).udata(2)));
  ASSERT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(Event(twin, EVFILT_READ).data(1).udata(2)));
}

TEST_P(Kqueue_Flags, TwoQueuesSeeOneObjectIndependently) {
  const queue other = make_queue(dialect());
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_ONESHOT)}), Succeeds());
  ASSERT_THAT(alter(other, {add(fd(), EVFILT_READ)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(event(1).flags(EV_ONESHOT)));
  EXPECT_THAT(poll(other), ElementsAre(event(1)));
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(poll(other), ElementsAre(event(1)));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Flags);

}  // namespace
}  // namespace quay::test
