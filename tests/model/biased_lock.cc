// SPDX-License-Identifier: BSD-2-Clause
//
// What: the protocol by which a thread has a lock as its own and loses it, with threads that are killed.
// Contract: host/biased_mutex. A step is what happens with nothing of another thread in between, and what the owner
//           stores lies in its processor's buffer until it drains: anybody may read what was there before. The others go through locked
//           instructions and the kernel, which drain theirs.
// Left out:  a second owner after the first (claimant_), which Biased_Mutex.ExcludesWhoeverTakesItAndHowOften has under the sanitizers.
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

constexpr int kOthers = 2;
constexpr int kTurns = 2;  // of the owner

enum class word : signed char { free, held, died };

struct biased {
  // The owner: begins, has said that it is inside, works, has left; or takes the lock as others do.
  enum class owner : signed char { begins, said, inside, left, withdrawn, wakes, asks, done, dead };
  // The others: take the lock beneath, end the bias, have the barrier made, look whether the owner is inside, sleep.
  enum class other : signed char { asks, has, ended, looks, sleeps, inside, done, dead };
  owner own = owner::begins;
  std::array<other, kOthers> others{};
  int turns = kTurns;
  bool bias = true;              // the owner's
  bool ending = false;           // not the owner's any more, and not yet over
  word inside = word::free;      // as everybody but the owner sees it
  std::array<word, 2> buffer{};  // the owner's stores to it that are on their way, oldest first
  int buffered = 0;
  int real = 0;  // 1 + the other that holds the lock beneath; with kDied, whose last holder died
  int working = 0;
  bool half = false;       // work was begun and not ended
  bool unnoticed = false;  // and somebody went on as if it had been

  auto operator<=>(const biased&) const = default;
};
constexpr int kDied = 100;

void drain_one(biased& s) {
  s.inside = s.buffer[0];
  s.buffer[0] = s.buffer[1];
  s.buffer[1] = word::free;
  --s.buffered;
}
void drain(biased& s) {
  while (s.buffered > 0) drain_one(s);
}
void store(biased& s, word w) {
  if (s.buffered == 2) drain_one(s);
  s.buffer[static_cast<std::size_t>(s.buffered++)] = w;
}
word owner_sees(const biased& s) {
  return s.buffered > 0 ? s.buffer[static_cast<std::size_t>(s.buffered - 1)] : s.inside;
}

// `told`: whoever begins learns of a death.
void work(biased& s, bool told) {
  s.unnoticed = s.unnoticed || (s.half && !told && s.working == 0);
  ++s.working;
  s.half = true;
}
void rest(biased& s) {
  --s.working;
  s.half = false;
}

struct rules {
  bool barrier = true;
  int deaths = 0;
  bool wakes = true;  // the owner, when it finds its bias ended
};

void owner_steps(const biased& s, const rules& r, std::vector<step<biased>>& out) {
  using at = biased::owner;
  biased n = s;
  const auto add = [&](const char* what) { out.push_back({std::string("the owner ") + what, n}); };
  switch (s.own) {
    case at::begins:
      if (s.turns == 0) {
        n.own = at::done;
        add("has had its turns");
      } else if (!s.bias || owner_sees(s) != word::free) {
        n.own = at::asks;
        add("has no bias");
      } else {
        store(n, word::held);
        n.own = at::said;
        add("says that it is inside");
      }
      break;
    case at::said:
      if (s.bias) {
        work(n, false);
        n.own = at::inside;
        add("enters");
      } else {
        store(n, word::free);
        n.own = at::withdrawn;
        add("withdraws");
      }
      break;
    case at::inside:
      rest(n);
      --n.turns;
      store(n, word::free);
      n.own = at::left;
      add("leaves");
      break;
    case at::left:
    case at::withdrawn: {
      const at next = s.own == at::left ? at::begins : at::asks;
      n.own = s.bias || !r.wakes ? next : at::wakes;
      add("looks whether somebody ended its bias");
      break;
    }
    case at::wakes:
      drain(n);  // a system call
      for (auto& o : n.others)
        if (o == biased::other::sleeps) o = biased::other::looks;
      n.own = at::begins;
      add("wakes who waits for it");
      break;
    case at::asks:
      if (s.real == 0 ||
          s.real == kDied) {  // as the others do, in one step: they are modelled in full
        drain(n);
        if (n.bias || n.ending || n.inside != word::free || s.real == kDied) {
          if (n.inside == word::held) break;  // its own dead namesake only
          const bool told = s.real == kDied || n.inside == word::died;
          n.bias = n.ending = false;
          n.inside = word::free;
          work(n, told);
        } else {
          work(n, false);
        }
        rest(n);
        --n.turns;
        n.own = at::begins;
        add("has a turn as others have");
      }
      break;
    case at::done:
    case at::dead:
      break;
  }
  if (s.buffered > 0) {
    n = s;
    drain_one(n);
    out.push_back({"a store of the owner arrives", n});
  }
}

void other_steps(const biased& s, std::size_t i, const rules& r, std::vector<step<biased>>& out) {
  using at = biased::other;
  biased n = s;
  const std::string name = "thread " + std::to_string(i);
  const auto add = [&](const char* what) { out.push_back({name + what, n}); };
  const int me = static_cast<int>(i) + 1;
  // A holder that died is remembered until the work begins.
  const bool after_death = s.real == me + kDied;
  switch (s.others[i]) {
    case at::asks:
      if (s.real != 0 && s.real != kDied) break;
      n.real = s.real == kDied ? me + kDied : me;
      n.others[i] = at::has;
      add(" takes the lock beneath");
      break;
    case at::has:
      if (s.bias || s.ending || s.inside != word::free) {
        n.bias = false;
        n.ending = true;
        n.others[i] = at::ended;
        add(" ends the bias");
      } else {
        work(n, after_death);
        n.others[i] = at::inside;
        add(" enters");
      }
      break;
    case at::ended:
      if (r.barrier) drain(n);
      n.others[i] = at::looks;
      add(" has the barrier made");
      break;
    case at::looks:
      if (s.inside == word::held) {
        n.others[i] = at::sleeps;
        add(" sleeps");
      } else {
        n.inside = word::free;
        n.ending = false;
        work(n, after_death || s.inside == word::died);
        n.others[i] = at::inside;
        add(" enters");
      }
      break;
    case at::inside:
      rest(n);
      n.real = 0;
      n.others[i] = at::done;
      add(" leaves");
      break;
    case at::sleeps:
      if (s.inside == word::held) break;
      // Whom the kernel finds dead it tells nobody; the sleeper looks again after a while.
      if (s.inside == word::died) {
        n.others[i] = at::looks;
        add(" has slept for long");
      }
      break;
    case at::done:
    case at::dead:
      break;
  }
}

// What the kernel does for a thread that dies: it marks the word that it had declared.
void deaths(const biased& s, std::vector<step<biased>>& out) {
  using owner = biased::owner;
  using other = biased::other;
  if (s.own != owner::done && s.own != owner::dead) {
    biased n = s;
    drain(n);
    if (s.own == owner::inside) --n.working;
    if (n.inside == word::held) n.inside = word::died;
    if (n.inside == word::free) {  // it may have died between freeing the word and waking
      for (auto& o : n.others)
        if (o == other::sleeps) o = other::looks;
    }
    n.own = owner::dead;
    out.push_back({"the owner is killed", n});
  }
  for (std::size_t i = 0; i < kOthers; ++i) {
    if (s.others[i] == other::done || s.others[i] == other::dead) continue;
    biased n = s;
    if (s.others[i] == other::inside) --n.working;
    if (s.real % kDied == static_cast<int>(i) + 1) n.real = kDied;
    n.others[i] = other::dead;
    out.push_back({"thread " + std::to_string(i) + " is killed", n});
  }
}

std::vector<step<biased>> steps_of(const biased& s, const rules& r) {
  std::vector<step<biased>> out;
  owner_steps(s, r, out);
  for (std::size_t i = 0; i < kOthers; ++i) other_steps(s, i, r, out);
  int dead = s.own == biased::owner::dead;
  for (const auto o : s.others) dead += o == biased::other::dead;
  if (dead < r.deaths) deaths(s, out);
  return out;
}

std::string is_bad(const biased& s, bool last) {
  if (s.working > 1) return "two are inside";
  if (s.unnoticed) return "half-done work is taken over unnoticed";
  if (!last) return {};
  if (s.own != biased::owner::done && s.own != biased::owner::dead)
    return "a thread waits for ever";
  for (const auto o : s.others)
    if (o != biased::other::done && o != biased::other::dead) return "a thread waits for ever";
  return {};
}

std::string check_bias(const rules& r, std::size_t least = 0) {
  std::size_t states = 0;
  const std::string found = check<biased>(
      {}, [&](const biased& s) { return steps_of(s, r); }, is_bad, &states);
  if (found.empty()) {
    EXPECT_GT(states, least);
  }
  return found;
}

TEST(Protocol_BiasedLock, ExcludesAndStrandsNobody) { EXPECT_EQ(check_bias({}, 300), ""); }

TEST(Protocol_BiasedLock, DeathsAtAnyStepAreNoticedAndStrandNobody) {
  EXPECT_EQ(check_bias({.deaths = 2}, 1000), "");
}

TEST(Protocol_BiasedLock, WithoutTheBarrierTwoAreInside) {
  EXPECT_NE(check_bias({.barrier = false}).find("two are inside"), std::string::npos);
}

TEST(Protocol_BiasedLock, WithoutTheOwnersWakeUpAThreadIsStranded) {
  EXPECT_NE(check_bias({.wakes = false}).find("waits for ever"), std::string::npos);
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
