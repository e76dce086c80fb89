// SPDX-License-Identifier: BSD-2-Clause
//
// What: what becomes of a note when its event is delivered: level, EV_CLEAR, EV_ONESHOT,
// EV_DISPATCH; and EV_RECEIPT.
// Contract: kqueue semantics, 4.3 (after delivery), 2.2 (receipts), 3.3 (matrix).
#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class delivery_test : public dialect_test {
 protected:
  auto event(intptr_t bytes) const { return Event(channel_.here, EVFILT_READ).data(bytes); }
  uintptr_t fd() const { return static_cast<uintptr_t>(channel_.here.get()); }

  socket_pair channel_ = make_socketpair();
};

class Kqueue_Delivery : public delivery_test {};

TEST_P(Kqueue_Delivery, ALevelNoteComesBackAsLongAsTheConditionHolds) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ)}), Succeeds());
  put(channel_.there, "abc");
  EXPECT_THAT(poll(kq), ElementsAre(event(3)));
  EXPECT_THAT(poll(kq), ElementsAre(event(3)));
  take(channel_.here, 1);
  EXPECT_THAT(poll(kq), ElementsAre(event(2)));
  take(channel_.here, 2);
  EXPECT_THAT(poll(kq), IsEmpty());
  put(channel_.there, "d");
  EXPECT_THAT(poll(kq), ElementsAre(event(1)));
}

TEST_P(Kqueue_Delivery, AnEdgeNoteFiresOncePerArrival) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}), Succeeds());
  put(channel_.there, "ab");
  EXPECT_THAT(poll(kq), ElementsAre(event(2).flags(EV_CLEAR)));
  EXPECT_THAT(poll(kq), IsEmpty());
  take(channel_.here, 1);
  EXPECT_THAT(poll(kq), IsEmpty()) << "reading is no arrival";
  put(channel_.there, "c");
  EXPECT_THAT(poll(kq), ElementsAre(event(2).flags(EV_CLEAR)))
      << "a new arrival counts with old data unread";
}

TEST_P(Kqueue_Delivery, ArrivalsBetweenTwoLooksAreOneEdge) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}), Succeeds());
  put(channel_.there, "a");
  put(channel_.there, "b");
  put(channel_.there, "c");
  EXPECT_THAT(poll(kq), ElementsAre(event(3).flags(EV_CLEAR)));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Delivery, AnEdgeWhoseDataIsGoneIsNotDelivered) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}), Succeeds());
  put(channel_.there, "ab");
  drain(channel_.here);
  EXPECT_THAT(poll(kq), IsEmpty());
  put(channel_.there, "c");
  EXPECT_THAT(poll(kq), ElementsAre(event(1).flags(EV_CLEAR)));
}

TEST_P(Kqueue_Delivery, AnEdgeCarriesTheDataOfTheMomentOfDelivery) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}), Succeeds());
  put(channel_.there, "abcd");
  take(channel_.here, 3);
  EXPECT_THAT(poll(kq), ElementsAre(event(1).flags(EV_CLEAR)));
}

TEST_P(Kqueue_Delivery, EndOfFileIsAnEdgeToo) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_CLEAR)}), Succeeds());
  put(channel_.there, "ab");
  ASSERT_THAT(poll(kq), ElementsAre(event(2).flags(EV_CLEAR)));
  channel_.there.close();
  EXPECT_THAT(poll(kq), ElementsAre(event(2).flags(EV_CLEAR | EV_EOF)));
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Delivery, AOneShotNoteFiresOnceAndIsGone) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_ONESHOT)}), Succeeds());
  put(channel_.there, "x");
  EXPECT_THAT(poll(kq), ElementsAre(event(1).flags(EV_ONESHOT)));
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), FailsWith(ENOENT));
  EXPECT_THAT(alter(kq, {enable(fd(), EVFILT_READ)}), FailsWith(ENOENT));
  put(channel_.there, "y");
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Delivery, AOneShotNoteCanBeMadeAgain) {
  put(channel_.there, "x");
  for (int round = 0; round < 5; ++round) {
    EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_ONESHOT)}),
                Returns(ElementsAre(event(1).flags(EV_ONESHOT))));
    EXPECT_THAT(poll(kq), IsEmpty());
  }
}

TEST_P(Kqueue_Delivery, ADisabledOneShotNoteWaitsForEnable) {
  put(channel_.there, "x");
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_ONESHOT | EV_DISABLE)}), Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}),
              Returns(ElementsAre(event(1).flags(EV_ONESHOT))));
  EXPECT_THAT(alter(kq, {enable(fd(), EVFILT_READ)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Delivery, OneShotTakesPrecedenceOverClear) {
  put(channel_.there, "x");
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_ONESHOT | EV_CLEAR)}),
              Returns(ElementsAre(event(1).flags(EV_ONESHOT | EV_CLEAR))));
  EXPECT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Delivery, TheOtherFilterOutlivesAOneShot) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_ONESHOT), add(fd(), EVFILT_WRITE, EV_CLEAR)}),
              Succeeds());
  ASSERT_EQ(poll(kq).size(), 2u);
  EXPECT_THAT(poll(kq), IsEmpty()) << "the end of one note must not fire the other again";
  EXPECT_THAT(alter(kq, {remove(fd(), EVFILT_WRITE)}), Succeeds());
}

QUAY_IN_ALL_DIALECTS(Kqueue_Delivery);

class Kqueue_Dispatch : public delivery_test {};

TEST_P(Kqueue_Dispatch, FiresOnceAndStaysDisabled) {
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_DISPATCH)}), Succeeds());
  put(channel_.there, "x");
  EXPECT_THAT(poll(kq), ElementsAre(event(1).flags(EV_DISPATCH)));
  EXPECT_THAT(poll(kq), IsEmpty());
  put(channel_.there, "y");
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(alter(kq, {remove(fd(), EVFILT_READ)}), Succeeds())
      << "it is registered all the time";
}

TEST_P(Kqueue_Dispatch, EnableArmsItForOneMoreEvent) {
  put(channel_.there, "x");
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_DISPATCH)}),
              Returns(ElementsAre(event(1).flags(EV_DISPATCH))));
  for (int round = 0; round < 5; ++round) {
    EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}),
                Returns(ElementsAre(event(1).flags(EV_DISPATCH))));
    EXPECT_THAT(poll(kq), IsEmpty());
  }
  drain(channel_.here);
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}), Succeeds());
  put(channel_.there, "yz");
  EXPECT_THAT(poll(kq), ElementsAre(event(2).flags(EV_DISPATCH)));
}

TEST_P(Kqueue_Dispatch, AddAgainAloneDoesNotArmIt) {
  put(channel_.there, "x");
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_DISPATCH)}),
              Returns(ElementsAre(event(1).flags(EV_DISPATCH))));
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_DISPATCH)}), Succeeds());
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_DISPATCH | EV_ENABLE)}),
              Returns(ElementsAre(event(1).flags(EV_DISPATCH))));
}

TEST_P(Kqueue_Dispatch, EndOfFileIsDeliveredAfterEnable) {
  put(channel_.there, "x");
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_DISPATCH)}),
              Returns(ElementsAre(event(1).flags(EV_DISPATCH))));
  channel_.there.close();
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}),
              Returns(ElementsAre(event(1).flags(EV_DISPATCH | EV_EOF))));
}

// Row 5: in NetBSD EV_CLEAR wins and the note stays enabled.
TEST_P(Kqueue_Dispatch, WithClearBothApplyOrClearWins) {
  put(channel_.there, "x");
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_DISPATCH | EV_CLEAR)}),
              Returns(ElementsAre(event(1).flags(EV_DISPATCH | EV_CLEAR))));
  put(channel_.there, "y");
  if (is(QUAY_DIALECT_NETBSD)) {
    EXPECT_THAT(poll(kq), ElementsAre(event(2).flags(EV_DISPATCH | EV_CLEAR)));
    return;
  }
  EXPECT_THAT(poll(kq), IsEmpty()) << "disabled, although something arrived";
  EXPECT_THAT(submit(kq, {enable(fd(), EVFILT_READ)}),
              Returns(ElementsAre(event(2).flags(EV_DISPATCH | EV_CLEAR))));
}

TEST_P(Kqueue_Dispatch, WithOneShotTheNoteIsGone) {
  put(channel_.there, "x");
  ASSERT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_DISPATCH | EV_ONESHOT)}),
              Returns(ElementsAre(event(1).flags(EV_DISPATCH | EV_ONESHOT))));
  EXPECT_THAT(alter(kq, {enable(fd(), EVFILT_READ)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Dispatch, TheOtherFilterIsNotTouched) {
  put(channel_.there, "x");
  ASSERT_THAT(alter(kq, {add(fd(), EVFILT_READ, EV_DISPATCH), add(fd(), EVFILT_WRITE)}),
              Succeeds());
  ASSERT_EQ(poll(kq).size(), 2u);
  EXPECT_THAT(poll(kq), ElementsAre(Event(fd(), EVFILT_WRITE)));
  EXPECT_THAT(submit(kq, {disable(fd(), EVFILT_WRITE), enable(fd(), EVFILT_READ)}),
              Returns(ElementsAre(event(1).flags(EV_DISPATCH))));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Dispatch);

class Kqueue_Receipt : public delivery_test {};

TEST_P(Kqueue_Receipt, ASuccessfulChangeIsAnsweredByAnEntryWithDataZero) {
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_RECEIPT).udata(5)}),
              Returns(ElementsAre(Receipt(fd(), EVFILT_READ).udata(5))));
}

TEST_P(Kqueue_Receipt, AReceiptTakesThePlaceOfTheScan) {
  put(channel_.there, "x");
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_RECEIPT)}),
              Returns(ElementsAre(Receipt(fd(), EVFILT_READ))));
  EXPECT_THAT(poll(kq), ElementsAre(event(1).flags(EV_RECEIPT))) << "the flag stays on the note";
}

TEST_P(Kqueue_Receipt, AReceiptEndsTheCallWithoutWaiting) {
  EXPECT_THAT(submit_for(kq, {add(fd(), EVFILT_READ, EV_RECEIPT)}, kPatience),
              Returns(ElementsAre(Receipt(fd(), EVFILT_READ))));
}

TEST_P(Kqueue_Receipt, AFailedChangeIsAnsweredByItsErrno) {
  EXPECT_THAT(submit(kq, {change(fd(), EVFILT_READ, EV_DELETE | EV_RECEIPT)}),
              Returns(ElementsAre(ErrorEntry(fd(), EVFILT_READ, ENOENT))));
}

TEST_P(Kqueue_Receipt, EveryChangeHasItsAnswerInOrder) {
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ, EV_RECEIPT),
                          change(8, EVFILT_TIMER, EV_DELETE | EV_RECEIPT),
                          add(fd(), EVFILT_WRITE, EV_RECEIPT),
                          change(fd(), EVFILT_READ, EV_DELETE | EV_RECEIPT)}),
              Returns(ElementsAre(Receipt(fd(), EVFILT_READ), ErrorEntry(8, EVFILT_TIMER, ENOENT),
                                  Receipt(fd(), EVFILT_WRITE), Receipt(fd(), EVFILT_READ))));
}

TEST_P(Kqueue_Receipt, OnlyTheChangesThatAskGetOne) {
  EXPECT_THAT(submit(kq, {add(fd(), EVFILT_READ), add(fd(), EVFILT_WRITE, EV_RECEIPT)}),
              Returns(ElementsAre(Receipt(fd(), EVFILT_WRITE))));
}

TEST_P(Kqueue_Receipt, TheFlagStaysOnTheNoteOfEveryFilter) {
  ASSERT_EQ(submit(kq, {add(fd(), EVFILT_WRITE, EV_RECEIPT), add(1, EVFILT_USER, EV_RECEIPT),
                        add(2, EVFILT_TIMER, EV_RECEIPT | EV_ONESHOT).data(1)})
                .result,
            3);
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  std::this_thread::sleep_for(std::chrono::milliseconds(3));  // the timer's own time
  EXPECT_THAT(poll(kq), testing::UnorderedElementsAre(
                            Event(fd(), EVFILT_WRITE).flags(EV_RECEIPT),
                            Event(1, EVFILT_USER).flags(EV_RECEIPT),
                            Event(2, EVFILT_TIMER).flags(EV_RECEIPT | EV_ONESHOT | EV_CLEAR)));
}

TEST_P(Kqueue_Receipt, ReceiptsForManyChangesAreAllThere) {
  changes list;
  for (uintptr_t i = 0; i < 40; ++i) list.push_back(add(i, EVFILT_TIMER, EV_RECEIPT).data(1000000));
  const outcome got = submit(kq, list, 40);
  ASSERT_EQ(got.result, 40);
  for (uintptr_t i = 0; i < 40; ++i) EXPECT_THAT(got.events[i], Receipt(i, EVFILT_TIMER));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Receipt);

}  // namespace
}  // namespace quay::test
