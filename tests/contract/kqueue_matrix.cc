// SPDX-License-Identifier: BSD-2-Clause
//
// What: every change against every state a note can be in: what the change answers, what the next
// scan delivers, and whether the note is enabled afterwards.
// Contract: kqueue semantics, 3.3 (matrix by prior state), without the state of exited processes;
// 1.4, 1.5.
#include <tuple>

#include "support/dialects.hpp"
#include "support/matchers.hpp"

namespace quay::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

enum class state {
  absent,           // no note, nothing to read
  absent_ready,     // no note, a byte to read
  idle,             // I
  queued,           // Q
  disabled,         // D
  disabled_active,  // A: something arrived while disabled
  disabled_queued,  // P: disabled with the event still in the queue
};

enum class verb { add, add_disable, add_enable, enable, disable, none, remove };

constexpr unsigned flags_of(verb v) {
  switch (v) {
    case verb::add:
      return EV_ADD;
    case verb::add_disable:
      return EV_ADD | EV_DISABLE;
    case verb::add_enable:
      return EV_ADD | EV_ENABLE;
    case verb::enable:
      return EV_ENABLE;
    case verb::disable:
      return EV_DISABLE;
    case verb::none:
      return 0;
    case verb::remove:
      return EV_DELETE;
  }
  return 0;
}

constexpr const char* kStateNames[] = {"absent",   "absent_ready",    "idle",           "queued",
                                       "disabled", "disabled_active", "disabled_queued"};
constexpr const char* kVerbNames[] = {"add",     "add_disable", "add_enable", "enable",
                                      "disable", "none",        "remove"};

constexpr bool exists(state s) { return s != state::absent && s != state::absent_ready; }
constexpr bool enabled_in(state s) { return s == state::idle || s == state::queued; }
constexpr bool readable_in(state s) {
  return s != state::absent && s != state::idle && s != state::disabled;
}
constexpr bool creates(verb v) { return (flags_of(v) & EV_ADD) != 0; }

constexpr bool enabled_after(state s, verb v) {
  if (v == verb::enable || v == verb::add_enable) return true;
  if (v == verb::disable || v == verb::add_disable) return false;
  return exists(s) ? enabled_in(s) : true;
}

using matrix_parameter = std::tuple<int, state, verb>;

class Kqueue_Matrix : public testing::TestWithParam<matrix_parameter> {
 protected:
  void reach(state s) {
    if (readable_in(s) && s != state::disabled_active) put(channel_.there, "x");
    if (exists(s)) {
      ASSERT_THAT(alter(kq, {add(channel_.here, EVFILT_READ)}), Succeeds());
    }
    if (exists(s) && !enabled_in(s)) {
      ASSERT_THAT(alter(kq, {disable(channel_.here, EVFILT_READ)}), Succeeds());
    }
    if (s == state::disabled_active) {
      put(channel_.there, "x");
      ASSERT_THAT(poll(kq), IsEmpty());
    }
  }

  socket_pair channel_ = make_socketpair();
  queue kq = make_queue(std::get<0>(GetParam()));
};

TEST_P(Kqueue_Matrix, Holds) {
  const auto [dialect, before, change_made] = GetParam();
  ASSERT_NO_FATAL_FAILURE(reach(before));
  const uintptr_t fd = static_cast<uintptr_t>(channel_.here.get());

  const outcome got = alter(kq, {change(fd, EVFILT_READ, flags_of(change_made))});
  if (!exists(before) && !creates(change_made)) {
    EXPECT_THAT(got, FailsWith(ENOENT));
    EXPECT_THAT(poll(kq), IsEmpty());
    return;
  }
  ASSERT_THAT(got, Succeeds());
  if (change_made == verb::remove) {
    EXPECT_THAT(poll(kq), IsEmpty());
    EXPECT_THAT(alter(kq, {remove(fd, EVFILT_READ)}), FailsWith(ENOENT));
    return;
  }

  const bool enabled = enabled_after(before, change_made);
  if (readable_in(before) && enabled) {
    EXPECT_THAT(poll(kq), ElementsAre(Event(fd, EVFILT_READ).data(1)));
  } else {
    EXPECT_THAT(poll(kq), IsEmpty());
  }
  put(channel_.there, "y");
  const intptr_t bytes = readable_in(before) ? 2 : 1;
  if (enabled) {
    EXPECT_THAT(poll(kq), ElementsAre(Event(fd, EVFILT_READ).data(bytes)));
  } else {
    EXPECT_THAT(poll(kq), IsEmpty());
    EXPECT_THAT(submit(kq, {enable(fd, EVFILT_READ)}),
                Returns(ElementsAre(Event(fd, EVFILT_READ).data(bytes))));
  }
}

INSTANTIATE_TEST_SUITE_P(
    State, Kqueue_Matrix,
    testing::Combine(testing::Values(QUAY_DIALECT_FREEBSD, QUAY_DIALECT_NETBSD,
                                     QUAY_DIALECT_DRAGONFLY, QUAY_DIALECT_OPENBSD),
                     testing::Values(state::absent, state::absent_ready, state::idle, state::queued,
                                     state::disabled, state::disabled_active,
                                     state::disabled_queued),
                     testing::Values(verb::add, verb::add_disable, verb::add_enable, verb::enable,
                                     verb::disable, verb::none, verb::remove)),
    [](const auto& info) {
      return dialect_name(std::get<0>(info.param)) + "_" +
             kStateNames[static_cast<int>(std::get<1>(info.param))] + "_" +
             kVerbNames[static_cast<int>(std::get<2>(info.param))];
    });

// A note taken out of the queue while it is disabled goes to the end when it is enabled; one that
// was not keeps its place. Three triggers show the order.
class Kqueue_MatrixOrder : public dialect_test {
 protected:
  void SetUp() override {
    ASSERT_THAT(alter(kq, {add(1, EVFILT_USER, EV_CLEAR), add(2, EVFILT_USER, EV_CLEAR), trigger(1),
                           trigger(2)}),
                Succeeds());
  }
  static event_matcher event(uintptr_t ident) { return Event(ident, EVFILT_USER).flags(EV_CLEAR); }
};

TEST_P(Kqueue_MatrixOrder, AQueuedNoteKeepsItsPlaceThroughAddAgain) {
  ASSERT_THAT(alter(kq, {add(1, EVFILT_USER)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(event(1), event(2)));
}

TEST_P(Kqueue_MatrixOrder, AQueuedNoteKeepsItsPlaceThroughDisableAndEnable) {
  ASSERT_THAT(alter(kq, {disable(1, EVFILT_USER), enable(1, EVFILT_USER)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(event(1), event(2)));
}

TEST_P(Kqueue_MatrixOrder, ANoteScannedWhileDisabledGoesToTheEnd) {
  ASSERT_THAT(alter(kq, {disable(1, EVFILT_USER), disable(2, EVFILT_USER)}), Succeeds());
  ASSERT_THAT(poll(kq), IsEmpty());
  ASSERT_THAT(alter(kq, {enable(2, EVFILT_USER), enable(1, EVFILT_USER)}), Succeeds());
  EXPECT_THAT(poll(kq), ElementsAre(event(2), event(1)));
}

QUAY_IN_ALL_DIALECTS(Kqueue_MatrixOrder);

}  // namespace
}  // namespace quay::test
