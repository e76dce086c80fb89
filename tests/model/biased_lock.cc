// SPDX-License-Identifier: BSD-2-Clause
//
// What: the protocol by which a thread has a lock as its own and loses it to the next, with threads that are killed.
// Contract: host/biased_mutex. A step is what happens with nothing of another thread in between, and what an owner
//           stores lies in its processor's buffer until it drains: anybody may read what was there before. Who takes the lock
//           beneath goes through locked instructions and the kernel, which drain.
#include <gtest/gtest.h>

#include <array>
#include <compare>
#include <string>
#include <utility>
#include <vector>

#include "checker.hpp"

namespace {

using quay::test::check;
using quay::test::step;

constexpr std::size_t kThreads = 3;
constexpr int kEnding = -1;

// Threads are 1, 2, …; a number below 0 in `inside` is one that died there.
struct biased {
  // A thread that has the bias: is about to enter (it has seen the bias), is late (it has seen that nobody is inside), has
  // said that it is inside, works, has left or withdrawn, and wakes. One that has not: asks for the lock beneath, has
  // it, has ended a bias, looks whether the owner is inside, sleeps, works alone.
  enum class at : signed char {
    begins,
    about,
    late,
    said,
    inside,
    left,
    withdrawn,
    wakes,
    wakes_and_asks,
    asks,
    has,
    ended,
    looks,
    sleeps,
    alone,
    done,
    dead
  };
  struct thread {
    at where = at::begins;
    signed char turns = 0;  // still to come
    // Its stores to `inside` that are on their way, oldest first.
    signed char buffered = 0;
    std::array<signed char, 2> buffer{};
    auto operator<=>(const thread&) const = default;
  };
  std::array<thread, kThreads> threads{};
  signed char bias = 1;
  signed char claimant = 1;
  signed char inside = 0;  // as everybody but those with stores on their way sees it
  signed char real = 0;    // who holds the lock beneath
  bool real_died = false;  // its last holder did
  signed char working = 0;
  bool half = false;       // work was begun and not ended
  bool unnoticed = false;  // and somebody went on as if it had been

  auto operator<=>(const biased&) const = default;
};
using at = biased::at;

void drain_one(biased& s, biased::thread& t) {
  s.inside = t.buffer[0];
  t.buffer[0] = t.buffer[1];
  t.buffer[1] = 0;
  --t.buffered;
}
void drain(biased& s, biased::thread& t) {
  while (t.buffered > 0) drain_one(s, t);
}
void store(biased& s, biased::thread& t, signed char who) {
  if (t.buffered == 2) drain_one(s, t);
  t.buffer[static_cast<std::size_t>(t.buffered++)] = who;
}
signed char sees_inside(const biased& s, const biased::thread& t) {
  return t.buffered > 0 ? t.buffer[static_cast<std::size_t>(t.buffered - 1)] : s.inside;
}

// `told`: whoever begins learns of a death.
void work(biased& s, bool told) {
  s.unnoticed = s.unnoticed || (s.half && !told && s.working == 0);
  ++s.working;
  s.half = true;
  s.real_died = false;
}
void rest(biased& s, biased::thread& t) {
  --s.working;
  --t.turns;
  s.half = false;
}
void wake(biased& s) {
  for (biased::thread& t : s.threads)
    if (t.where == at::sleeps) t.where = at::looks;
}

struct rules {
  int turns = 3;  // of each thread
  bool barrier = true;
  int deaths = 0;
  bool wakes = true;   // the owner, when it finds its bias ended
  bool claims = true;  // nobody has a bias before the last owner was seen elsewhere
};

bool may_own(const biased& s, signed char who, const rules& r) {
  if (!r.claims || s.claimant == 0 || s.claimant == who) return true;
  return s.threads[static_cast<std::size_t>(s.claimant - 1)].where == at::dead;
}

void thread_steps(const biased& s, std::size_t i, const rules& r, std::vector<step<biased>>& out) {
  biased n = s;
  biased::thread& t = n.threads[i];
  const auto me = static_cast<signed char>(i + 1);
  const auto add = [&](at next, const char* what) {
    t.where = next;
    out.push_back({"thread " + std::to_string(me) + what, n});
  };
  switch (t.where) {
    case at::begins:
      if (t.turns == 0) {
        add(at::done, " has had its turns");
      } else if (s.bias == me) {
        add(at::about, " sees its bias");
      } else {
        add(at::asks, " has no bias");
      }
      break;
    case at::about:
      if (sees_inside(s, t) == 0) {
        add(at::late, " sees nobody inside");
      } else {
        add(at::asks, " sees somebody inside");
      }
      break;
    case at::late:
      store(n, t, me);
      add(at::said, " says that it is inside");
      break;
    case at::said:
      if (s.bias == me) {
        work(n, false);
        add(at::inside, " enters by its bias");
      } else {
        store(n, t, 0);
        add(at::withdrawn, " withdraws");
      }
      break;
    case at::inside:
      rest(n, t);
      store(n, t, 0);
      add(at::left, " leaves");
      break;
    case at::left:
    case at::withdrawn: {
      const bool asks = t.where == at::withdrawn;
      if (s.bias == me || !r.wakes) {
        add(asks ? at::asks : at::begins, " goes on");
      } else {
        add(asks ? at::wakes_and_asks : at::wakes, " sees that its bias ended");
      }
      break;
    }
    case at::wakes:
    case at::wakes_and_asks:
      drain(n, t);  // a system call
      wake(n);
      add(t.where == at::wakes ? at::begins : at::asks, " wakes who waits for it");
      break;
    case at::asks:
      if (s.real != 0) break;
      drain(n, t);  // a locked instruction
      n.real = me;
      if (n.claimant == me) n.claimant = 0;
      add(at::has, " takes the lock beneath");
      break;
    case at::has:
      if (s.bias != 0 || s.inside != 0) {
        n.bias = kEnding;
        add(at::ended, " ends the bias");
      } else {
        work(n, s.real_died);
        add(at::alone, " enters");
      }
      break;
    case at::ended:
      if (r.barrier)
        for (biased::thread& each : n.threads) drain(n, each);
      add(at::looks, " has the barrier made");
      break;
    case at::looks:
      if (s.inside > 0) {
        add(at::sleeps, " sleeps");
      } else {
        n.inside = 0;
        n.bias = 0;
        work(n, s.real_died || s.inside < 0);
        add(at::alone, " enters");
      }
      break;
    case at::alone:
      rest(n, t);
      n.real = 0;
      add(at::begins, " gives the lock back");
      if (t.turns == 0 || !may_own(s, me, r)) break;
      n.bias = n.claimant = me;
      add(at::begins, " gives the lock back and has the bias");
      break;
    case at::sleeps:
      // Whom the kernel finds dead it tells nobody; the sleeper looks again after a while.
      if (s.inside < 0) add(at::looks, " has slept for long");
      break;
    case at::done:
    case at::dead:
      break;
  }
}

void stores_arrive(const biased& s, std::vector<step<biased>>& out) {
  for (std::size_t i = 0; i < kThreads; ++i) {
    if (s.threads[i].buffered == 0) continue;
    biased n = s;
    drain_one(n, n.threads[i]);
    out.push_back({"a store of thread " + std::to_string(i + 1) + " arrives", n});
  }
}

// What the kernel does for a thread that dies: it marks the word that it had declared.
void deaths(const biased& s, std::vector<step<biased>>& out) {
  for (std::size_t i = 0; i < kThreads; ++i) {
    const at where = s.threads[i].where;
    if (where == at::done || where == at::dead) continue;
    biased n = s;
    const auto me = static_cast<signed char>(i + 1);
    drain(n, n.threads[i]);
    if (where == at::inside || where == at::alone) --n.working;
    if (n.inside == me) n.inside = static_cast<signed char>(-me);
    if (n.inside == 0) wake(n);  // it may have died between freeing the word and waking
    if (n.real == me) {
      n.real = 0;
      n.real_died = true;
    }
    n.threads[i].where = at::dead;
    out.push_back({"thread " + std::to_string(me) + " is killed", n});
  }
}

std::vector<step<biased>> steps_of(const biased& s, const rules& r) {
  std::vector<step<biased>> out;
  for (std::size_t i = 0; i < kThreads; ++i) thread_steps(s, i, r, out);
  stores_arrive(s, out);
  int dead = 0;
  for (const auto& t : s.threads) dead += t.where == at::dead;
  if (dead < r.deaths) deaths(s, out);
  return out;
}

std::string is_bad(const biased& s, bool last) {
  if (s.working > 1) return "two are inside";
  if (s.unnoticed) return "half-done work is taken over unnoticed";
  for (const auto& t : s.threads)
    if (last && t.where != at::done && t.where != at::dead) return "a thread waits for ever";
  return {};
}

std::string check_bias(const rules& r, std::size_t least = 0) {
  std::size_t states = 0;
  biased start;
  for (auto& t : start.threads) t.turns = static_cast<signed char>(r.turns);
  const std::string found = check<biased>(
      start, [&](const biased& s) { return steps_of(s, r); }, is_bad, &states);
  if (found.empty()) {
    EXPECT_GT(states, least);
  }
  return found;
}

TEST(Protocol_BiasedLock, ExcludesAndStrandsNobody) { EXPECT_EQ(check_bias({}, 10000), ""); }

TEST(Protocol_BiasedLock, DeathsAtAnyStepAreNoticedAndStrandNobody) {
  EXPECT_EQ(check_bias({.turns = 2, .deaths = 3}, 20000), "");
}

TEST(Protocol_BiasedLock, WithoutTheBarrierTwoAreInside) {
  EXPECT_NE(check_bias({.barrier = false}).find("two are inside"), std::string::npos);
}

TEST(Protocol_BiasedLock, WithoutTheOwnersWakeUpAThreadIsStranded) {
  EXPECT_NE(check_bias({.wakes = false}).find("waits for ever"), std::string::npos);
}

// Who was late writes over the word of the next owner.
TEST(Protocol_BiasedLock, ASecondOwnerBeforeTheFirstIsSeenElsewhereIsNotAlone) {
  EXPECT_NE(check_bias({.claims = false}).find("two are inside"), std::string::npos);
}

// --- a sleeper, while the bias ends ---------------------------------------------------------------

// The owner publishes in its last biased turn and looks for sleepers, without a barrier; a sleeper
// says that it sleeps, makes up for the barrier if there is a bias, and looks again.
struct passing {
  enum class owner : signed char { publishes, looks, wakes, done };
  enum class ender : signed char { begins, bars, done };
  enum class sleeper : signed char { says, asks, bars, looks, sleeps, done };
  owner own = owner::publishes;
  ender end = ender::begins;
  sleeper zzz = sleeper::says;
  bool biased = true;  // what is_biased() says
  bool on_its_way = false;
  bool published = false;
  bool asleep = false;

  auto operator<=>(const passing&) const = default;
};

// `waits`: the bias counts as one until the barrier is made.
std::vector<step<passing>> steps_of(const passing& s, bool waits) {
  std::vector<step<passing>> out;
  passing n = s;
  const auto add = [&](const char* what) {
    out.push_back({what, n});
    n = s;
  };
  const auto drain = [&n] { n.published = n.published || std::exchange(n.on_its_way, false); };
  if (s.on_its_way) {
    drain();
    add("the owner's store arrives");
  }
  if (s.own == passing::owner::publishes) {
    // Before the bias began to end: afterwards it takes the lock as others do.
    if (s.end == passing::ender::begins) {
      n.on_its_way = true;
      n.own = passing::owner::looks;
      add("the owner publishes");
    }
  } else if (s.own == passing::owner::looks) {
    n.own = s.asleep ? passing::owner::wakes : passing::owner::done;
    add("the owner looks for sleepers");
  } else if (s.own == passing::owner::wakes) {
    drain();
    if (n.zzz == passing::sleeper::sleeps) n.zzz = passing::sleeper::looks;
    n.own = passing::owner::done;
    add("the owner wakes");
  }
  if (s.end == passing::ender::begins) {
    n.biased = waits;
    n.end = passing::ender::bars;
    add("somebody ends the bias");
  } else if (s.end == passing::ender::bars) {
    drain();
    n.biased = false;
    n.end = passing::ender::done;
    add("and has the barrier made");
  }
  switch (s.zzz) {
    case passing::sleeper::says:
      n.asleep = true;
      n.zzz = passing::sleeper::asks;
      add("the sleeper says that it sleeps");
      break;
    case passing::sleeper::asks:
      n.zzz = s.biased ? passing::sleeper::bars : passing::sleeper::looks;
      add("the sleeper asks for the bias");
      break;
    case passing::sleeper::bars:
      drain();
      n.zzz = passing::sleeper::looks;
      add("the sleeper has a barrier made");
      break;
    case passing::sleeper::looks:
      n.zzz = s.published ? passing::sleeper::done : passing::sleeper::sleeps;
      add("the sleeper looks again");
      break;
    case passing::sleeper::sleeps:
    case passing::sleeper::done:
      break;
  }
  return out;
}

std::string check_passing(bool waits) {
  std::size_t states = 0;
  return check<passing>(
      {}, [=](const passing& s) { return steps_of(s, waits); },
      [](const passing& s, bool last) -> std::string {
        const bool sleeps = s.zzz == passing::sleeper::sleeps;
        return last && sleeps && s.published ? "it sleeps on what was published" : "";
      },
      &states);
}

TEST(Protocol_BiasedLock, NobodySleepsOverTheLastTurnOfABias) {
  EXPECT_EQ(check_passing(true), "");
}

TEST(Protocol_BiasedLock, ABiasThatIsOverBeforeTheBarrierLosesASleeper) {
  EXPECT_NE(check_passing(false), "");
}

}  // namespace
