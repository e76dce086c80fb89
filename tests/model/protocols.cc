// SPDX-License-Identifier: BSD-2-Clause
//
// What: two protocols of which a lost step would be a thread that never wakes: a queue's waiting, ringing and closing, and
//       the lock in shared memory whose holder may die.
// Contract: core/queue.cc (leave_and_tell, sleep_locked, shut_locked) and host/shared_mutex. A step is what happens with
//           nothing of another thread in between: a section under a mutex, one system call, one atomic operation.
#include <gtest/gtest.h>

#include <array>
#include <compare>
#include <string>
#include <vector>

#include "checker.hpp"

namespace {

using quay::test::check;
using quay::test::step;

// --- waiting, ringing, closing --------------------------------------------------------------------

constexpr int kWaiters = 2;
constexpr int kPosters = 2;

enum class bell : signed char { silent, once, for_all };

struct waiting {
  enum class at : signed char { calls, sleeps, woken, rings, done };
  std::array<at, kWaiters> waiter{};
  std::array<at, kPosters> poster{};  // calls, rings, done
  bool closer_done = false;
  int ready = 0, sleepers = 0, ringing = 0, delivered = 0;
  bool rung = false, closed = false;
  bell kernel = bell::silent;

  auto operator<=>(const waiting&) const = default;
};

// The end of every section under the mutex: rings if somebody has to be woken. True: has to.
bool leave(waiting& s) {
  if (s.ready == 0 || s.rung || s.sleepers == 0 || s.closed) return false;
  s.rung = true;
  ++s.ringing;
  return true;
}

// `waits`: who closes the queue waits for rings under way.
std::vector<step<waiting>> steps_of(const waiting& s, bool waits) {
  using at = waiting::at;
  std::vector<step<waiting>> out;
  const auto add = [&](const std::string& what, const waiting& to) { out.push_back({what, to}); };
  for (std::size_t i = 0; i < kWaiters; ++i) {
    const std::string me = "waiter " + std::to_string(i);
    waiting n = s;
    switch (s.waiter[i]) {
      case at::calls:
      case at::woken:
        if (s.waiter[i] == at::woken) {
          --n.sleepers;
          n.rung = false;  // heard with the reports
        }
        if (n.closed) {
          n.waiter[i] = at::done;
          add(me + " sees it closed", n);
        } else if (n.ready > 0) {
          --n.ready;
          ++n.delivered;
          n.waiter[i] = leave(n) ? at::rings : at::done;
          add(me + " takes an event", n);
        } else {
          ++n.sleepers;
          n.waiter[i] = at::sleeps;
          add(me + " goes to sleep", n);
        }
        break;
      case at::sleeps:
        if (s.kernel == bell::silent) break;
        if (s.kernel == bell::once) n.kernel = bell::silent;
        n.waiter[i] = at::woken;
        add(me + " hears the bell", n);
        break;
      case at::rings:
        n.kernel = bell::once;
        --n.ringing;
        n.waiter[i] = at::done;
        add(me + " rings", n);
        break;
      case at::done:
        break;
    }
  }
  for (std::size_t i = 0; i < kPosters; ++i) {
    const std::string me = "poster " + std::to_string(i);
    waiting n = s;
    if (s.poster[i] == at::calls) {
      if (!s.closed) ++n.ready;
      n.poster[i] = leave(n) ? at::rings : at::done;
      add(me + " posts", n);
    } else if (s.poster[i] == at::rings) {
      n.kernel = bell::once;
      --n.ringing;
      n.poster[i] = at::done;
      add(me + " rings", n);
    }
  }
  if (!s.closer_done && !s.closed) {
    waiting n = s;
    n.closed = true;
    add("the closer marks it closed", n);
  } else if (!s.closer_done && (!waits || s.ringing == 0)) {
    waiting n = s;
    if (n.sleepers > 0) n.kernel = bell::for_all;
    n.closer_done = true;
    add("the closer rings for all", n);
  }
  return out;
}

std::string waiting_is_bad(const waiting& s, bool last) {
  if (s.delivered > kPosters) return "an event came twice";
  if (!last) return {};
  for (const auto w : s.waiter)
    if (w != waiting::at::done) return "a waiter sleeps on after the close";
  return {};
}

TEST(Protocol_Waiting, ACloseWakesEveryWaiterWhateverRings) {
  std::size_t states = 0;
  EXPECT_EQ(check<waiting>(
                {}, [](const waiting& s) { return steps_of(s, true); }, waiting_is_bad, &states),
            "");
  EXPECT_GT(states, 300u);
}

// The bug that the checker found: a ring decided before the close and made after it silences the last bell.
TEST(Protocol_Waiting, ACloseThatDoesNotWaitForRingsLosesAWaiter) {
  std::size_t states = 0;
  EXPECT_NE(check<waiting>(
                {}, [](const waiting& s) { return steps_of(s, false); }, waiting_is_bad, &states),
            "");
}

// Without a close: as many waiters as events, and nobody is left asleep over an event.
TEST(Protocol_Waiting, NoEventLiesWhileAWaiterSleeps) {
  waiting start;
  start.closer_done = true;
  std::size_t states = 0;
  const auto next = [](const waiting& s) { return steps_of(s, true); };
  const auto bad = [](const waiting& s, bool last) -> std::string {
    return last && s.delivered != kPosters ? "an event lies and a waiter sleeps" : "";
  };
  EXPECT_EQ(check<waiting>(start, next, bad, &states), "");
}

// --- the shared lock ------------------------------------------------------------------------------

constexpr int kThreads = 3;
constexpr int kSleepersBit = 8;
constexpr int kDiedBit = 16;

// The word: holder (1 … kThreads), whether somebody may sleep, whether the holder died.
struct locking {
  enum class at : signed char {
    tries,
    loaded,
    marked,
    sleeps,
    inside,
    released,
    wakes,
    done,
    dead
  };
  std::array<at, kThreads> thread{};
  std::array<int, kThreads> saw{};
  std::array<bool, kThreads> slept{};  // takes the lock with the bit set: others may sleep, too
  int word = 0;
  int inside = 0;
  bool half = false;  // a section was begun and not ended
  int deaths = 0;

  auto operator<=>(const locking&) const = default;
};

void wake_one(locking& s) {
  for (auto& t : s.thread) {
    if (t != locking::at::sleeps) continue;
    t = locking::at::tries;
    return;  // which one makes no difference: they are alike
  }
}

// What the kernel does for a thread that dies with the word as its pending operation: it frees what
// the thread held, and wakes somebody when nobody holds it, for the thread may have died between
// freeing it and waking, or between being woken and taking it.
void die(locking& s, std::size_t i) {
  if (s.thread[i] == locking::at::inside) --s.inside;
  s.thread[i] = locking::at::dead;
  ++s.deaths;
  const int me = static_cast<int>(i) + 1;
  if ((s.word & 7) == me) {
    const bool sleepers = s.word & kSleepersBit;
    s.word = kDiedBit | (sleepers ? kSleepersBit : 0);
    if (sleepers) wake_one(s);
  } else if ((s.word & 7) == 0) {
    wake_one(s);
  }
}

// `doubts`: sleepers look again after a while.
std::vector<step<locking>> steps_of(const locking& s, int most_deaths, bool doubts) {
  using at = locking::at;
  std::vector<step<locking>> out;
  for (std::size_t i = 0; i < kThreads; ++i) {
    const int me = static_cast<int>(i) + 1;
    const std::string name = "thread " + std::to_string(i);
    const auto add = [&](const char* what, const locking& to) { out.push_back({name + what, to}); };
    locking n = s;
    switch (s.thread[i]) {
      case at::tries:
        n.saw[i] = s.word;
        n.thread[i] = at::loaded;
        add(" looks", n);
        break;
      case at::loaded:
        if ((s.saw[i] & 7) == 0) {
          if (s.word != s.saw[i]) {
            n.thread[i] = at::tries;
            add(" is too late", n);
            break;
          }
          n.word = me | (s.saw[i] & kSleepersBit) | (s.slept[i] ? kSleepersBit : 0);
          if (n.half && !(s.saw[i] & kDiedBit))
            n.inside += 10;  // half-done work, and nobody says so
          n.half = true;
          ++n.inside;
          n.thread[i] = at::inside;
          add(" takes it", n);
        } else if (s.word != s.saw[i]) {
          n.thread[i] = at::tries;
          add(" sees it change", n);
        } else {
          n.word |= kSleepersBit;
          n.saw[i] = n.word;
          n.slept[i] = true;
          n.thread[i] = at::marked;
          add(" says that it will sleep", n);
        }
        break;
      case at::marked:
        n.thread[i] = s.word == s.saw[i] ? at::sleeps : at::tries;
        add(" sleeps, if nothing changed", n);
        break;
      case at::inside:
        n.half = false;
        --n.inside;
        n.thread[i] = at::released;
        add(" ends its work", n);
        break;
      case at::released:
        n.thread[i] = (s.word & kSleepersBit) ? at::wakes : at::done;
        n.word = 0;
        add(" frees it", n);
        break;
      case at::wakes:
        wake_one(n);
        n.thread[i] = at::done;
        add(" wakes one", n);
        break;
      case at::sleeps:
        n.thread[i] = at::tries;
        if (doubts) add(" has slept for long", n);
        break;
      default:
        break;
    }
    if (s.deaths < most_deaths && s.thread[i] != at::done && s.thread[i] != at::dead) {
      locking d = s;
      die(d, i);
      add(" is killed", d);
    }
  }
  return out;
}

std::string locking_is_bad(const locking& s, bool last) {
  if (s.inside > 1)
    return s.inside >= 10 ? "half-done work is taken over unnoticed" : "two are inside";
  if (!last) return {};
  for (const auto t : s.thread)
    if (t == locking::at::sleeps) return "a thread sleeps and nobody will wake it";
  return {};
}

std::string check_lock(int deaths, bool doubts) {
  std::size_t states = 0;
  return check<locking>(
      {}, [=](const locking& s) { return steps_of(s, deaths, doubts); }, locking_is_bad, &states);
}

TEST(Protocol_SharedLock, ExcludesAndWakes) { EXPECT_EQ(check_lock(0, false), ""); }

TEST(Protocol_SharedLock, DeathsAtAnyStepAreNoticedAndStrandNobody) {
  EXPECT_EQ(check_lock(2, true), "");
}

// Killed between freeing it and waking, while a third thread takes it: the kernel has nothing to go
// by. Hence the 50 ms after which a sleeper looks again (kDoubt).
TEST(Protocol_SharedLock, WithoutDoubtADeathAfterTheFreeingStrandsASleeper) {
  EXPECT_NE(check_lock(1, false), "");
}

}  // namespace
