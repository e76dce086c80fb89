// SPDX-License-Identifier: BSD-2-Clause
//
// What: how the failure of one change among many is told: as an entry where there is room, as the
// call's failure where there is none; and the order in which changes are applied.
// Contract: kqueue semantics, 2.1 and 2.2 (posting errors), rows 1, 12 and 14 of what real programs
// need.
#include "support/dialects.hpp"
#include "support/matchers.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr int kNeverOpen = 1000000;

class Kqueue_ErrorPosting : public dialect_test {
 protected:
  // A change that always fails, with ENOENT.
  change failing(uintptr_t ident = 7) const { return remove(ident, EVFILT_TIMER); }
  auto posted(uintptr_t ident = 7) const { return ErrorEntry(ident, EVFILT_TIMER, ENOENT); }
  void make_ready() {
    put(channel_.writer, "x");
    ASSERT_THAT(alter(kq, {add(channel_.reader, EVFILT_READ)}), Succeeds());
  }

  pipe_ends channel_ = make_pipe();
};

TEST_P(Kqueue_ErrorPosting, AFailingChangeIsAnsweredByAnEntry) {
  const outcome got = submit(kq, {failing(0x123456).udata(42)});
  ASSERT_EQ(got.result, 1);
  EXPECT_THAT(got.events, ElementsAre(posted(0x123456).udata(42)));
}

TEST_P(Kqueue_ErrorPosting, EachKindOfMistakeHasItsErrno) {
  EXPECT_THAT(submit(kq, {change(channel_.reader, 99, EV_ADD), add(kNeverOpen, EVFILT_READ),
                          remove(channel_.reader, EVFILT_READ), failing()}),
              Returns(ElementsAre(ErrorEntry(channel_.reader, 99, EINVAL),
                                  ErrorEntry(kNeverOpen, EVFILT_READ, EBADF),
                                  ErrorEntry(channel_.reader, EVFILT_READ, ENOENT), posted())));
}

// An entry without EV_ERROR among such answers would be taken for an event.
TEST_P(Kqueue_ErrorPosting, PostedEntriesAreNeverMixedWithEvents) {
  make_ready();
  EXPECT_THAT(submit(kq, {failing()}), Returns(ElementsAre(posted())));
  EXPECT_THAT(poll(kq), ElementsAre(Event(channel_.reader, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_ErrorPosting, APostedErrorEndsTheCallWithoutWaiting) {
  const outcome got = submit_for(kq, {failing()}, kPatience);
  EXPECT_THAT(got, Returns(ElementsAre(posted())));
}

TEST_P(Kqueue_ErrorPosting, APostedErrorHidesEvenABadTimeout) {
  if (is(QUAY_DIALECT_OPENBSD)) GTEST_SKIP() << "checks the timeout before the changes";
  EXPECT_THAT(submit_for(kq, {failing()}, std::chrono::nanoseconds(-5)),
              Returns(ElementsAre(posted())));
}

TEST_P(Kqueue_ErrorPosting, ChangesAfterAPostedErrorAreApplied) {
  put(channel_.writer, "x");
  EXPECT_THAT(submit(kq, {failing(), add(channel_.reader, EVFILT_READ)}),
              Returns(ElementsAre(posted())));
  EXPECT_THAT(poll(kq), ElementsAre(Event(channel_.reader, EVFILT_READ).data(1)));
}

TEST_P(Kqueue_ErrorPosting, WithoutAnEventlistTheCallFailsAtTheFirstError) {
  put(channel_.writer, "x");
  EXPECT_THAT(alter(kq, {failing(), add(channel_.reader, EVFILT_READ)}), FailsWith(ENOENT));
  EXPECT_THAT(poll(kq), IsEmpty())
      << "the change behind the failing one must not have been applied";
}

TEST_P(Kqueue_ErrorPosting, ChangesBeforeAFailureStayApplied) {
  put(channel_.writer, "x");
  EXPECT_THAT(alter(kq, {add(channel_.reader, EVFILT_READ), failing()}), FailsWith(ENOENT));
  EXPECT_THAT(poll(kq), ElementsAre(Event(channel_.reader, EVFILT_READ).data(1)));
}

// DragonFly's code writes on behind the list; the documented result holds there as well.
TEST_P(Kqueue_ErrorPosting, AnErrorTooManyFailsTheCallAndWritesNoFurther) {
  std::vector<struct kevent> list(3);
  for (struct kevent& e : list) e.data = 4711;
  const changes wrong{failing(1), failing(2)};
  const timespec zero{};
  errno = 0;
  EXPECT_EQ(::kevent(kq, &wrong[0].entry, 2, list.data(), 1, &zero), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(list[1].data, 4711);
  EXPECT_EQ(list[2].data, 4711);
}

TEST_P(Kqueue_ErrorPosting, ErrorsThatExactlyFillTheListAreAllReturned) {
  EXPECT_THAT(submit(kq, {failing(1), failing(2), failing(3)}, 3),
              Returns(ElementsAre(posted(1), posted(2), posted(3))));
}

TEST_P(Kqueue_ErrorPosting, ManyErrorsKeepTheOrderOfTheChanges) {
  changes wrong;
  for (uintptr_t i = 0; i < 50; ++i) wrong.push_back(failing(i).udata(i + 1));
  const outcome got = submit(kq, wrong, 50);
  ASSERT_EQ(got.result, 50);
  for (uintptr_t i = 0; i < 50; ++i) EXPECT_THAT(got.events[i], posted(i).udata(i + 1));
}

TEST_P(Kqueue_ErrorPosting, ErrorsAmongManyGoodChangesAreTheOnlyAnswers) {
  changes list;
  for (uintptr_t i = 0; i < 30; ++i) {
    list.push_back(add(i, EVFILT_TIMER).data(1000000));
    if (i % 10 == 9) list.push_back(failing(1000 + i));
  }
  EXPECT_THAT(submit(kq, list), Returns(ElementsAre(posted(1009), posted(1019), posted(1029))));
  changes removal;
  for (uintptr_t i = 0; i < 30; ++i) removal.push_back(remove(i, EVFILT_TIMER));
  EXPECT_THAT(alter(kq, removal), Succeeds());
}

TEST_P(Kqueue_ErrorPosting, ChangesAreAppliedInOrder) {
  put(channel_.writer, "x");
  EXPECT_THAT(alter(kq, {add(channel_.reader, EVFILT_READ), remove(channel_.reader, EVFILT_READ)}),
              Succeeds());
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {add(channel_.reader, EVFILT_READ), remove(channel_.reader, EVFILT_READ),
                          add(channel_.reader, EVFILT_READ).udata(2)}),
              Returns(ElementsAre(Event(channel_.reader, EVFILT_READ).data(1).udata(2))));
}

TEST_P(Kqueue_ErrorPosting, ChangesTakeEffectInTheSameCallsScan) {
  put(channel_.writer, "xyz");
  EXPECT_THAT(submit(kq, {add(channel_.reader, EVFILT_READ), add(channel_.writer, EVFILT_WRITE)}),
              Returns(UnorderedElementsAre(Event(channel_.reader, EVFILT_READ).data(3),
                                           Event(channel_.writer, EVFILT_WRITE))));
}

TEST_P(Kqueue_ErrorPosting, OneArrayServesForChangesAndEvents) {
  put(channel_.writer, "x");
  std::vector<struct kevent> both;
  for (const change& c :
       {add(channel_.reader, EVFILT_READ).udata(5), add(channel_.writer, EVFILT_WRITE).udata(6)}) {
    both.push_back(c.entry);
  }
  const timespec zero{};
  ASSERT_EQ(::kevent(kq, both.data(), 2, both.data(), 2, &zero), 2);
  EXPECT_THAT(both, UnorderedElementsAre(Event(channel_.reader, EVFILT_READ).data(1).udata(5),
                                         Event(channel_.writer, EVFILT_WRITE).udata(6)));
}

TEST_P(Kqueue_ErrorPosting, OneArrayServesForFailingChangesAndTheirErrors) {
  put(channel_.writer, "x");
  std::vector<struct kevent> both;
  for (uintptr_t i = 0; i < 40; ++i) {
    both.push_back(
        (i % 2 == 0 ? failing(i).udata(i + 1) : add(i, EVFILT_TIMER).data(1000000)).entry);
  }
  const timespec zero{};
  ASSERT_EQ(::kevent(kq, both.data(), 40, both.data(), 40, &zero), 20);
  for (uintptr_t k = 0; k < 20; ++k) EXPECT_THAT(both[k], posted(2 * k).udata(2 * k + 1));
}

QUAY_IN_ALL_DIALECTS(Kqueue_ErrorPosting);

}  // namespace
}  // namespace quay::test
