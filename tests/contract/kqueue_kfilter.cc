// SPDX-License-Identifier: BSD-2-Clause
//
// What: filters that the program registers: names and numbers, the order of calls, knote() from
//       other threads, seltrue.
// Contract: semantics/kqueue.md 5.12, 3.1 and 4.3; <quay/kfilter.h>.
#include <quay/kfilter.h>

#include <atomic>
#include <functional>
#include <mutex>

#include "support/child.hpp"
#include "support/dialects.hpp"
#include "support/matchers.hpp"
#include "support/processes.hpp"
#include "support/threads.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// What the filter below watches: a number that it waits to be positive. ident is its address.
struct source {
  std::mutex lock;
  klist notes{};
  int level = 0;
  int attached = 0;
  int detached = 0;
  long last_hint = 0;

  void set(int value, long hint = 0) {
    const std::lock_guard hold(lock);
    level = value;
    KNOTE(&notes, hint);
  }
};

int refuse_with = 0;  // f_attach's next answer

// f_event is called with the source's lock held by knote()'s caller, or without by a scan: hint
// tells, as NetBSD's NOTE_SUBMIT does.
constexpr long kHeld = NOTE_SUBMIT;

int source_attach(struct knote* kn) {
  if (refuse_with != 0) return std::exchange(refuse_with, 0);
  auto* s = reinterpret_cast<source*>(kn->kn_id);
  const std::lock_guard hold(s->lock);
  kn->kn_hook = s;
  ++s->attached;
  SLIST_INSERT_HEAD(&s->notes, kn, kn_selnext);
  return 0;
}

void source_detach(struct knote* kn) {
  auto* s = static_cast<source*>(kn->kn_hook);
  const std::lock_guard hold(s->lock);
  SLIST_REMOVE(&s->notes, kn, knote, kn_selnext);
  ++s->detached;
}

int source_event(struct knote* kn, long hint) {
  auto* s = static_cast<source*>(kn->kn_hook);
  std::unique_lock<std::mutex> hold(s->lock, std::defer_lock);
  if ((hint & kHeld) == 0) hold.lock();
  if (hint != 0) s->last_hint = hint;
  kn->kn_data = s->level;
  kn->kn_fflags = kn->kn_sfflags;
  return s->level > 0 ? 1 : 0;
}

constexpr filterops kSourceOps = {0, source_attach, source_detach, source_event};

// A number for one test, taken back at its end.
class registration {
 public:
  explicit registration(const char* name, const filterops& ops = kSourceOps) : name_(name) {
    if (kfilter_register(name, &ops, &number) != 0) throw std::runtime_error("kfilter_register");
  }
  ~registration() { EXPECT_EQ(kfilter_unregister(name_), 0); }
  int number = 0;

 private:
  const char* name_;
};

uintptr_t ident_of(const source& s) { return reinterpret_cast<uintptr_t>(&s); }

class Kqueue_Kfilter : public dialect_test {
 protected:
  registration filter_{"test-source"};
  source source_;
};

TEST_P(Kqueue_Kfilter, KnoteMakesTheNoteReady) {
  ASSERT_THAT(submit(kq, {add(ident_of(source_), filter_.number).fflags(0x77)}), Succeeds());
  source_.set(5, kHeld);
  EXPECT_THAT(poll(kq), ElementsAre(Event(ident_of(source_), filter_.number).fflags(0x77).data(5)));
  source_.set(0, kHeld);
  EXPECT_THAT(poll(kq), IsEmpty()) << "a level that is gone is not told";
  ASSERT_THAT(alter(kq, {remove(ident_of(source_), filter_.number)}), Succeeds());
}

TEST_P(Kqueue_Kfilter, WhatIsReadyAtAddIsTold) {
  source_.level = 3;
  EXPECT_THAT(submit(kq, {add(ident_of(source_), filter_.number)}),
              Returns(ElementsAre(Event(ident_of(source_), filter_.number).data(3))));
  EXPECT_THAT(poll(kq), ElementsAre(Event(ident_of(source_), filter_.number).data(3)));
  kq.close();
}

TEST_P(Kqueue_Kfilter, AnEdgeIsToldOnceForEachChange) {
  ASSERT_THAT(submit(kq, {add(ident_of(source_), filter_.number, EV_CLEAR)}), Succeeds());
  for (int i = 1; i < 4; ++i) {
    source_.set(i, kHeld);
    EXPECT_THAT(poll(kq),
                ElementsAre(Event(ident_of(source_), filter_.number).flags(EV_CLEAR).data(i)));
    EXPECT_THAT(poll(kq), IsEmpty());
  }
  kq.close();
}

TEST_P(Kqueue_Kfilter, AOneShotDetachesItself) {
  ASSERT_THAT(submit(kq, {add(ident_of(source_), filter_.number, EV_ONESHOT)}), Succeeds());
  source_.set(1, kHeld);
  EXPECT_EQ(poll(kq).size(), 1U);
  EXPECT_EQ(source_.detached, 1);
  EXPECT_THAT(alter(kq, {remove(ident_of(source_), filter_.number)}), FailsWith(ENOENT));
}

TEST_P(Kqueue_Kfilter, ADisabledNoteIsToldWhenEnabled) {
  const auto ident = ident_of(source_);
  ASSERT_THAT(submit(kq, {add(ident, filter_.number), disable(ident, filter_.number)}), Succeeds());
  source_.set(1, kHeld);
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(submit(kq, {enable(ident, filter_.number)}),
              Returns(ElementsAre(Event(ident, filter_.number).data(1))));
  kq.close();
}

TEST_P(Kqueue_Kfilter, EveryWayOutDetachesOnce) {
  const auto ident = ident_of(source_);
  ASSERT_THAT(alter(kq, {add(ident, filter_.number)}), Succeeds());
  ASSERT_THAT(alter(kq, {remove(ident, filter_.number)}), Succeeds());
  EXPECT_EQ(source_.detached, 1);
  ASSERT_THAT(alter(kq, {add(ident, filter_.number)}), Succeeds());
  kq.close();
  EXPECT_EQ(source_.detached, 2);
  EXPECT_EQ(source_.attached, 2);
  EXPECT_TRUE(SLIST_EMPTY(&source_.notes));
}

TEST_P(Kqueue_Kfilter, ARefusedAttachIsTheChangesErrorAndLeavesNothing) {
  refuse_with = EPERM;
  EXPECT_THAT(alter(kq, {add(ident_of(source_), filter_.number)}), FailsWith(EPERM));
  EXPECT_THAT(alter(kq, {remove(ident_of(source_), filter_.number)}), FailsWith(ENOENT));
  EXPECT_EQ(source_.attached, 0);
  EXPECT_EQ(source_.detached, 0);
}

TEST_P(Kqueue_Kfilter, TwoQueuesAreBothTold) {
  const queue second = make_queue(dialect());
  ASSERT_THAT(alter(kq, {add(ident_of(source_), filter_.number)}), Succeeds());
  ASSERT_THAT(alter(second, {add(ident_of(source_), filter_.number)}), Succeeds());
  source_.set(2, kHeld);
  EXPECT_EQ(poll(kq).size(), 1U);
  EXPECT_EQ(poll(second).size(), 1U);
  ASSERT_THAT(alter(second, {remove(ident_of(source_), filter_.number)}), Succeeds());
  kq.close();
}

TEST_P(Kqueue_Kfilter, KnoteWakesAWaiter) {
  ASSERT_THAT(alter(kq, {add(ident_of(source_), filter_.number)}), Succeeds());
  {
    waiter thread(kq);
    ASSERT_TRUE(thread.falls_asleep());
    source_.set(9, kHeld);
    EXPECT_THAT(thread.result(),
                Returns(ElementsAre(Event(ident_of(source_), filter_.number).data(9))));
  }
  kq.close();
}

TEST_P(Kqueue_Kfilter, TheQueuesDescriptorPolls) {
  ASSERT_THAT(alter(kq, {add(ident_of(source_), filter_.number)}), Succeeds());
  EXPECT_FALSE(looks_readable(kq));
  source_.set(1, kHeld);
  EXPECT_TRUE(looks_readable(kq));
  kq.close();
}

TEST_P(Kqueue_Kfilter, NoChangeIsLostAmongThreads) {
  // Each value that is set while the note is an edge is told, or a later one is.
  ASSERT_THAT(alter(kq, {add(ident_of(source_), filter_.number, EV_CLEAR)}), Succeeds());
  constexpr int kLast = 2000;
  thread_in_call<int> setter([this] {
    for (int i = 1; i <= kLast; ++i) source_.set(i, kHeld);
    return 0;
  });
  intptr_t seen = 0;
  while (seen < kLast) {
    const events got = await(kq);
    ASSERT_EQ(got.size(), 1U) << "after " << seen;
    seen = got.front().data;
  }
  EXPECT_EQ(seen, kLast);
  setter.result();
  kq.close();
}

TEST_P(Kqueue_Kfilter, NotesComeAndGoWhileTheirSourceChanges) {
  std::atomic<bool> stop{false};
  thread_in_call<int> setter([this, &stop] {
    for (int i = 1; !stop; ++i) source_.set(i, kHeld);
    return 0;
  });
  thread_in_call<int> reader([this, &stop] {
    while (!stop) poll(kq);
    return 0;
  });
  for (int i = 0; i < 500; ++i) {
    EXPECT_GE(submit(kq, {add(ident_of(source_), filter_.number)}).result, 0);
    ASSERT_THAT(alter(kq, {remove(ident_of(source_), filter_.number)}), Succeeds());
  }
  stop = true;
  setter.result();
  reader.result();
  const std::lock_guard hold(source_.lock);
  EXPECT_EQ(source_.attached, source_.detached);
  EXPECT_EQ(source_.attached, 500);
}

QUAY_IN_ALL_DIALECTS(Kqueue_Kfilter);

TEST(Kqueue_KfilterNames, WhatIsMissingIsInvalid) {
  int number = -1;
  EXPECT_EQ(kfilter_register(nullptr, &kSourceOps, &number), EINVAL);
  EXPECT_EQ(kfilter_register("", &kSourceOps, &number), EINVAL);
  EXPECT_EQ(kfilter_register("nothing", nullptr, &number), EINVAL);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(number, -1);
  EXPECT_EQ(kfilter_unregister(nullptr), EINVAL);
  EXPECT_EQ(kfilter_unregister(""), EINVAL);
}

TEST(Kqueue_KfilterNames, AreUniqueAndTheSystemsAreTaken) {
  const registration first("taken");
  EXPECT_EQ(kfilter_register("taken", &kSourceOps, nullptr), EEXIST);
  EXPECT_EQ(kfilter_register("EVFILT_READ", &kSourceOps, nullptr), EEXIST);
  EXPECT_EQ(kfilter_unregister("EVFILT_READ"), EINVAL);
  EXPECT_EQ(kfilter_unregister("never"), ENOENT);
}

TEST(Kqueue_KfilterNames, AreFreeInAChildWhoeverLookedThemUp) {
  ASSERT_EQ(kfilter_unregister("never"), ENOENT);
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) kfilter_unregister("never");
  });
  for (int n = 0; n < 100; ++n) {
    EXPECT_EQ(in_child([] {
                ::alarm(60);
                return kfilter_unregister("never") == ENOENT ? 0 : 1;
              }),
              0);
  }
  done = true;
  other.join();
}

TEST(Kqueue_KfilterNames, ANumberIsNeverGivenAgain) {
  int first = 0;
  int second = 0;
  ASSERT_EQ(kfilter_register("fleeting", &kSourceOps, &first), 0);
  ASSERT_EQ(kfilter_unregister("fleeting"), 0);
  ASSERT_EQ(kfilter_register("fleeting", &kSourceOps, &second), 0);
  EXPECT_NE(first, second);
  const queue kq = make_queue();
  EXPECT_THAT(alter(kq, {add(1, first)}), FailsWith(EINVAL));
  EXPECT_EQ(kfilter_unregister("fleeting"), 0);
  EXPECT_THAT(alter(kq, {add(1, second)}), FailsWith(EINVAL));
  EXPECT_THAT(alter(kq, {add(1, 32767)}), FailsWith(EINVAL));
}

TEST(Kqueue_KfilterNames, AFilterWithNotesIsBusy) {
  int number = 0;
  source s;
  ASSERT_EQ(kfilter_register("busy", &kSourceOps, &number), 0);
  queue kq = make_queue();
  ASSERT_THAT(alter(kq, {add(ident_of(s), number)}), Succeeds());
  EXPECT_EQ(kfilter_unregister("busy"), EBUSY);
  kq.close();
  EXPECT_EQ(kfilter_unregister("busy"), 0);
}

TEST(Kqueue_KfilterNames, AFailedAttachLeavesNoUse) {
  int number = 0;
  source s;
  ASSERT_EQ(kfilter_register("refusing", &kSourceOps, &number), 0);
  const queue kq = make_queue();
  refuse_with = EACCES;
  EXPECT_THAT(alter(kq, {add(ident_of(s), number)}), FailsWith(EACCES));
  EXPECT_EQ(kfilter_unregister("refusing"), 0);
}

TEST(Kqueue_KfilterNames, ManyFiltersLiveTogether) {
  constexpr int kFilters = 40;  // NetBSD's table of 2009 overran at three
  std::vector<std::string> names;
  std::vector<int> numbers(kFilters);
  for (int i = 0; i < kFilters; ++i) {
    names.push_back("many-" + std::to_string(i));
    ASSERT_EQ(
        kfilter_register(names.back().c_str(), &seltrue_filtops, &numbers[static_cast<size_t>(i)]),
        0);
  }
  queue kq = make_queue();
  for (const int n : numbers) ASSERT_THAT(alter(kq, {add(7, n)}), Succeeds());
  EXPECT_EQ(poll(kq, kFilters).size(), size_t{kFilters});
  kq.close();
  for (const std::string& n : names) EXPECT_EQ(kfilter_unregister(n.c_str()), 0);
}

TEST(Kqueue_KfilterSeltrue, IsReadyForEverWithDataZero) {
  const registration always("always", seltrue_filtops);
  queue kq = make_queue();
  EXPECT_THAT(submit(kq, {add(1, always.number)}),
              Returns(ElementsAre(Event(1, always.number).data(0))));
  EXPECT_THAT(poll(kq), ElementsAre(Event(1, always.number).data(0)));
  kq.close();
}

// What the next f_attach or f_event of the filter below does besides.
std::function<void()> meanwhile;

int busy_attach(struct knote*) {
  if (meanwhile) std::exchange(meanwhile, nullptr)();
  return 0;
}
void busy_detach(struct knote*) {}
int busy_event(struct knote*, long) {
  if (meanwhile) std::exchange(meanwhile, nullptr)();
  return 1;
}
constexpr filterops kBusyOps = {0, busy_attach, busy_detach, busy_event};

TEST(Kqueue_KfilterMeanwhile, AQueueThatIsClosedGivesNoEventsOfTheNext) {
  const registration filter("closing", kBusyOps);
  queue kq = make_queue();
  queue next;
  ASSERT_THAT(alter(kq, {add(1, filter.number), add(2, filter.number)}), Succeeds());
  meanwhile = [&] {
    const unique_fd taken(::dup(0));  // the next queue has another number
    kq.close();
    const unique_fd number(::dup(0));
    next = make_queue();
    ASSERT_THAT(alter(next, {add(7, EVFILT_USER)}), Succeeds());
    ASSERT_THAT(alter(next, {trigger(7)}), Succeeds());
  };
  EXPECT_THAT(submit_for(kq, {}, std::chrono::seconds(0)), FailsWith(EBADF));
  EXPECT_THAT(poll(next), ElementsAre(Event(7, EVFILT_USER)));
}

TEST(Kqueue_KfilterMeanwhile, WhatFollowsTheCloseInAChangelistIsNotMade) {
  const registration filter("closing", kBusyOps);
  queue kq = make_queue();
  meanwhile = [&] { kq.close(); };
  EXPECT_THAT(alter(kq, {add(1, filter.number), add(2, EVFILT_USER), trigger(2)}),
              FailsWith(EBADF));
  const queue next = make_queue();
  EXPECT_THAT(poll(next), IsEmpty());
  EXPECT_THAT(alter(next, {remove(2, EVFILT_USER)}), FailsWith(ENOENT));
}

TEST(Kqueue_KfilterMeanwhile, ANoteMayBeRemovedByItsOwnFunction) {
  const registration filter("removing", kBusyOps);
  const queue kq = make_queue();
  ASSERT_THAT(alter(kq, {add(1, filter.number)}), Succeeds());
  meanwhile = [&] { ASSERT_THAT(alter(kq, {remove(1, filter.number)}), Succeeds()); };
  EXPECT_THAT(poll(kq), IsEmpty());
}

TEST(Kqueue_KfilterMeanwhile, AFunctionMayFork) {
  const registration filter("forking", kBusyOps);
  queue kq = make_queue();
  ASSERT_THAT(alter(kq, {add(1, filter.number)}), Succeeds());
  pid_t pid = -1;
  meanwhile = [&] {
    pid = ::fork();
    if (pid == 0) ::alarm(30);
  };
  const outcome got = submit_for(kq, {}, std::chrono::seconds(0));
  if (pid == 0) ::_exit(got.result);
  EXPECT_THAT(got, Returns(ElementsAre(Event(1, filter.number))));
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  kq.close();
}

TEST(Kqueue_KfilterDescriptors, ANoteEndsWithItsDescriptor) {
  QUAY_SKIP_UNLESS_HOOKED();
  filterops ops = seltrue_filtops;
  ops.f_isfd = 1;
  const registration filter("by-descriptor", ops);
  queue kq = make_queue();
  pipe_ends p = make_pipe();
  const int fd = p.reader;
  EXPECT_THAT(submit(kq, {add(static_cast<uintptr_t>(fd), filter.number)}),
              Returns(ElementsAre(Event(static_cast<uintptr_t>(fd), filter.number))));
  p.reader.close();
  EXPECT_THAT(poll(kq), IsEmpty());
  EXPECT_THAT(alter(kq, {add(static_cast<uintptr_t>(fd), filter.number)}), FailsWith(EBADF));
}

}  // namespace
}  // namespace quay::test
