// SPDX-License-Identifier: BSD-2-Clause
//
// What: pointers that cannot be read or written: the call fails with EFAULT, the program lives, and
// nothing is lost.
// Contract: kqueue semantics, 2.1 (steps 1 to 3) and 2.2 (posting faults); row 54 of section 7.
// Where the kernels lose the events of a chunk that could not be written, this library keeps them.
#include <map>

#include "support/dialects.hpp"
#include "support/guarded_memory.hpp"
#include "support/matchers.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

template <typename T>
T* nowhere() {
  return reinterpret_cast<T*>(1);
}

class Kqueue_Efault : public dialect_test {
 protected:
  static constexpr timespec kZero{};

  outcome call(const struct kevent* changes, int nchanges, struct kevent* list, int room,
               const timespec* timeout = &kZero) {
    outcome out;
    errno = 0;
    out.result = ::kevent(kq, changes, nchanges, list, room, timeout);
    out.error = out.result < 0 ? errno : 0;
    return out;
  }
  // One event of each way to be lost: an edge, a one-shot, a dispatched note, a trigger, an
  // expiration, a level.
  void make_ready() {
    for (pipe_ends& p : pipes_) put(p.writer, "x");
    ASSERT_THAT(alter(kq, {add(pipes_[0].reader, EVFILT_READ, EV_CLEAR),
                           add(pipes_[1].reader, EVFILT_READ, EV_ONESHOT),
                           add(pipes_[2].reader, EVFILT_READ, EV_DISPATCH),
                           add(pipes_[3].reader, EVFILT_READ), add(1, EVFILT_USER, EV_CLEAR),
                           trigger(1), add(2, EVFILT_TIMER, EV_ONESHOT).data(1)}),
                Succeeds());
    std::this_thread::sleep_for(std::chrono::milliseconds(3));  // the timer's own time
  }
  auto all_of_them() const {
    return UnorderedElementsAre(Event(pipes_[0].reader, EVFILT_READ).flags(EV_CLEAR).data(1),
                                Event(pipes_[1].reader, EVFILT_READ).flags(EV_ONESHOT).data(1),
                                Event(pipes_[2].reader, EVFILT_READ).flags(EV_DISPATCH).data(1),
                                Event(pipes_[3].reader, EVFILT_READ).data(1),
                                Event(1, EVFILT_USER).flags(EV_CLEAR),
                                Event(2, EVFILT_TIMER).flags(EV_CLEAR | EV_ONESHOT).data(1));
  }

  std::array<pipe_ends, 4> pipes_{make_pipe(), make_pipe(), make_pipe(), make_pipe()};
};

TEST_P(Kqueue_Efault, AnUnreadableChangelistIsRefused) {
  const pages forbidden(1, PROT_NONE);
  for (const struct kevent* list :
       {static_cast<const struct kevent*>(nullptr), nowhere<const struct kevent>(),
        static_cast<const struct kevent*>(forbidden.start())}) {
    EXPECT_THAT(call(list, 1, nullptr, 0), FailsWith(EFAULT)) << list;
    EXPECT_THAT(call(list, 100, nullptr, 0), FailsWith(EFAULT)) << list;
  }
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST_P(Kqueue_Efault, AnUnreadableChangelistLosesNoEvent) {
  make_ready();
  std::vector<struct kevent> room(16);
  EXPECT_THAT(call(nowhere<const struct kevent>(), 3, room.data(), 16), FailsWith(EFAULT));
  EXPECT_THAT(poll(kq), all_of_them());
}

TEST_P(Kqueue_Efault, AChangelistNeedNotBeWritable) {
  pages memory(1, PROT_READ | PROT_WRITE);
  auto* const list = static_cast<struct kevent*>(memory.start());
  list[0] = add(1, EVFILT_USER).entry;
  list[1] = trigger(1).entry;
  memory.protect(0, memory.size(), PROT_READ);
  EXPECT_THAT(call(list, 2, nullptr, 0), Succeeds());
  EXPECT_THAT(poll(kq), SizeIs(1));
}

TEST_P(Kqueue_Efault, AChangelistThatEndsAtAPageIsReadNoFurther) {
  const guarded_array<struct kevent> list(3, PROT_NONE);
  list[0] = add(1, EVFILT_USER).entry;
  list[1] = add(2, EVFILT_USER).entry;
  list[2] = trigger(2).entry;
  EXPECT_THAT(call(list.data(), 3, nullptr, 0), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(Event(2, EVFILT_USER)));
}

TEST_P(Kqueue_Efault, AChangelistThatRunsIntoAForbiddenPageIsRefused) {
  for (const size_t readable : {1u, 3u, 8u, 20u}) {
    const guarded_array<struct kevent> list(readable, PROT_NONE);
    for (size_t i = 0; i < readable; ++i) list[i] = add(i, EVFILT_TIMER).data(1000000).entry;
    EXPECT_THAT(call(list.data(), static_cast<int>(readable) + 1, nullptr, 0), FailsWith(EFAULT))
        << readable;
  }
}

// Changes are taken eight at a time; those of earlier batches stay.
TEST_P(Kqueue_Efault, BatchesBeforeTheForbiddenPageStayApplied) {
  const guarded_array<struct kevent> list(16, PROT_NONE);
  for (size_t i = 0; i < 16; ++i) list[i] = add(i, EVFILT_USER).entry;
  ASSERT_THAT(call(list.data(), 20, nullptr, 0), FailsWith(EFAULT));
  for (uintptr_t i = 0; i < 8; ++i) EXPECT_THAT(alter(kq, {trigger(i)}), Succeeds()) << i;
}

TEST_P(Kqueue_Efault, AnUnwritableEventlistLosesNoEvent) {
  make_ready();
  const pages forbidden(1, PROT_NONE);
  const pages constant(1, PROT_READ);
  for (struct kevent* list : {static_cast<struct kevent*>(nullptr), nowhere<struct kevent>(),
                              static_cast<struct kevent*>(forbidden.start()),
                              static_cast<struct kevent*>(constant.start())}) {
    EXPECT_THAT(call(nullptr, 0, list, 16), FailsWith(EFAULT)) << list;
    EXPECT_THAT(call(nullptr, 0, list, 1), FailsWith(EFAULT)) << list;
  }
  EXPECT_THAT(poll(kq), all_of_them());
}

// What fits before the forbidden page may be returned, as if the list had ended there, or nothing;
// in both cases the rest is still to come.
TEST_P(Kqueue_Efault, AnEventlistThatRunsIntoAForbiddenPageLosesNoEvent) {
  for (const int protection : {PROT_NONE, PROT_READ}) {
    make_ready();
    const guarded_array<struct kevent> list(2, protection);
    const outcome got = call(nullptr, 0, list.data(), 16);
    events all = poll(kq);
    if (got.result < 0) {
      EXPECT_THAT(got, FailsWith(EFAULT));
    } else {
      ASSERT_LE(got.result, 2);
      all.insert(all.begin(), list.data(), list.data() + got.result);
    }
    std::map<std::pair<uintptr_t, int>, int> seen;
    for (const struct kevent& e : all) ++seen[{e.ident, e.filter}];
    seen.erase(
        {static_cast<uintptr_t>(pipes_[3].reader.get()), EVFILT_READ});  // a level comes again
    EXPECT_THAT(seen, SizeIs(5));
    for (const auto& [note, times] : seen) EXPECT_EQ(times, 1) << note.first;
    const changes leftover{remove(pipes_[0].reader, EVFILT_READ),
                           remove(pipes_[2].reader, EVFILT_READ),
                           remove(pipes_[3].reader, EVFILT_READ), remove(1, EVFILT_USER)};
    ASSERT_THAT(alter(kq, leftover), Succeeds());
    for (const pipe_ends& p : pipes_) drain(p.reader);
  }
}

TEST_P(Kqueue_Efault, ManyEventsForALongListThatRunsIntoAForbiddenPageAreAllKept) {
  changes list;
  for (uintptr_t i = 0; i < 40; ++i) {
    list.push_back(add(i, EVFILT_USER, EV_CLEAR));
    list.push_back(trigger(i));
  }
  ASSERT_THAT(alter(kq, list), Succeeds());
  const guarded_array<struct kevent> room(20, PROT_NONE);
  const outcome got = call(nullptr, 0, room.data(), 40);
  if (got.result < 0) {
    EXPECT_THAT(got, FailsWith(EFAULT));
  }
  EXPECT_THAT(poll(kq, 64), SizeIs(static_cast<size_t>(40 - std::max(got.result, 0))));
}

TEST_P(Kqueue_Efault, AForbiddenPageBehindTheReturnedEventsIsNotTouched) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR), add(2, EVFILT_USER, EV_CLEAR), trigger(1),
                         trigger(2)}),
              Succeeds());
  const guarded_array<struct kevent> list(2, PROT_NONE);
  EXPECT_EQ(call(nullptr, 0, list.data(), 2).result, 2);
  EXPECT_THAT(list[0], Event(1, EVFILT_USER).flags(EV_CLEAR));
}

TEST_P(Kqueue_Efault, WithNothingToReturnTheEventlistIsNotTouched) {
  EXPECT_THAT(call(nullptr, 0, nowhere<struct kevent>(), 4), Succeeds());
}

TEST_P(Kqueue_Efault, AnUnreadableTimeoutIsRefusedBeforeAnyChange) {
  const pages forbidden(1, PROT_NONE);
  std::vector<struct kevent> room(4);
  const change created = add(1, EVFILT_USER);
  for (const timespec* timeout :
       {nowhere<const timespec>(), static_cast<const timespec*>(forbidden.start())}) {
    EXPECT_THAT(call(&created.entry, 1, room.data(), 4, timeout), FailsWith(EFAULT));
  }
  EXPECT_THAT(alter(kq, {trigger(1)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Efault, AnUnreadableTimeoutLosesNoEvent) {
  make_ready();
  std::vector<struct kevent> room(16);
  EXPECT_THAT(call(nullptr, 0, room.data(), 16, nowhere<const timespec>()), FailsWith(EFAULT));
  EXPECT_THAT(poll(kq), all_of_them());
}

// Row 54: DragonFly says what was wrong with the change.
TEST_P(Kqueue_Efault, AnErrorThatCannotBePostedFailsTheCall) {
  const change failing = remove(7, EVFILT_TIMER);
  EXPECT_THAT(call(&failing.entry, 1, nowhere<struct kevent>(), 4),
              FailsWith(is(QUAY_DIALECT_DRAGONFLY) ? ENOENT : EFAULT));
}

TEST_P(Kqueue_Efault, AWaiterWithAnUnwritableListLeavesTheEventToTheNext) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR)}), Succeeds());
  const timespec patience = to_timespec(kPatience);
  thread_in_call<outcome> thread(
      [&] { return call(nullptr, 0, nowhere<struct kevent>(), 1, &patience); });
  ASSERT_TRUE(thread.falls_asleep() || thread.returned()) << "it may look before it sleeps";
  ASSERT_THAT(alter(kq, {trigger(1)}), Succeeds());
  EXPECT_THAT(thread.result(), FailsWith(EFAULT));
  EXPECT_THAT(poll(kq), ElementsAre(Event(1, EVFILT_USER).flags(EV_CLEAR)));
}

QUAY_IN_ALL_DIALECTS(Kqueue_Efault);

}  // namespace
}  // namespace quay::test
