// SPDX-License-Identifier: BSD-2-Clause
//
// What: the protocol by which a mutex is given back without a barrier, with threads that go to sleep over it.
// Contract: core/mutex. A step is what happens with nothing of another thread in between. What a thread stores lies
//           in its processor's buffer until it drains; locked instructions and system calls drain their own thread's, the barrier
//           everybody's.
#include <gtest/gtest.h>

#include <array>
#include <compare>
#include <string>
#include <vector>

#include "checker.hpp"

namespace {

using quay::test::check;
using quay::test::step;

constexpr std::size_t kThreads = 3;
constexpr int kTurns = 2;  // of each

struct quiet {
  // Asks for the word, says that it sleeps, has the barrier made, asks again, parks; marks for the others when it is
  // woken, and asks; frees the word, looks for sleepers, takes their mark away, wakes one.
  enum class at : signed char {
    asks,
    says,
    bars,
    again,
    parks,
    marks,
    sleeps,
    inside,
    looks,
    unmarks,
    wakes,
    done
  };
  enum class place : signed char { nowhere, word, mark };
  struct store {
    place where = place::nowhere;
    bool value = false;
    auto operator<=>(const store&) const = default;
  };
  struct thread {
    at where = at::asks;
    int turns = kTurns;
    std::array<store, 3> buffer{};  // oldest first
    std::size_t buffered = 0;
    auto operator<=>(const thread&) const = default;
  };
  std::array<thread, kThreads> threads{};
  bool word = false;  // held
  bool mark = false;  // somebody may sleep

  auto operator<=>(const quiet&) const = default;
};
using at = quiet::at;

struct rules {
  bool barrier = true;
  bool marks_again = true;  // who was woken
};

void drain_one(quiet& s, quiet::thread& t) {
  (t.buffer[0].where == quiet::place::word ? s.word : s.mark) = t.buffer[0].value;
  for (std::size_t i = 1; i < t.buffered; ++i) t.buffer[i - 1] = t.buffer[i];
  t.buffer[--t.buffered] = {};
}
void drain(quiet& s, quiet::thread& t) {
  while (t.buffered > 0) drain_one(s, t);
}
void put(quiet& s, quiet::thread& t, quiet::place where, bool value) {
  if (t.buffered == t.buffer.size()) drain_one(s, t);
  t.buffer[t.buffered++] = {where, value};
}
bool sees_mark(const quiet& s, const quiet::thread& t) {
  bool seen = s.mark;
  for (std::size_t i = 0; i < t.buffered; ++i)
    if (t.buffer[i].where == quiet::place::mark) seen = t.buffer[i].value;
  return seen;
}

// A locked instruction: whether the thread has the mutex now.
bool takes(quiet& s, quiet::thread& t) {
  drain(s, t);
  if (s.word) return false;
  return s.word = true;
}

std::vector<step<quiet>> steps_of(const quiet& s, const rules& r) {
  std::vector<step<quiet>> out;
  for (std::size_t i = 0; i < kThreads; ++i) {
    const std::string name = "thread " + std::to_string(i);
    quiet n = s;
    quiet::thread& t = n.threads[i];
    const auto add = [&](const char* what) { out.push_back({name + what, n}); };
    switch (t.where) {
      case at::asks:
        t.where = takes(n, t) ? at::inside : at::says;
        add(" asks for the mutex");
        break;
      case at::says:
        put(n, t, quiet::place::mark, true);
        t.where = at::bars;
        add(" says that it sleeps");
        break;
      case at::bars:
        drain(n, t);
        if (r.barrier)
          for (auto& other : n.threads) drain(n, other);
        t.where = at::again;
        add(" has the barrier made");
        break;
      case at::again:
        t.where = takes(n, t) ? at::inside : at::parks;
        add(" asks once more");
        break;
      case at::parks:
        drain(n, t);
        t.where = n.mark ? at::sleeps : r.marks_again ? at::marks : at::asks;
        add(" parks");
        break;
      case at::marks:
        put(n, t, quiet::place::mark, true);
        t.where = at::asks;
        add(" marks again");
        break;
      case at::inside:
        put(n, t, quiet::place::word, false);
        t.where = at::looks;
        add(" gives it back");
        break;
      case at::looks:
        --t.turns;
        t.where = sees_mark(n, t) ? at::unmarks : t.turns > 0 ? at::asks : at::done;
        add(" looks for sleepers");
        break;
      case at::unmarks:
        put(n, t, quiet::place::mark, false);
        t.where = at::wakes;
        add(" takes the mark away");
        break;
      case at::wakes: {
        drain(n, t);
        t.where = t.turns > 0 ? at::asks : at::done;
        bool woken = false;
        for (std::size_t k = 0; k < kThreads; ++k) {
          if (n.threads[k].where != at::sleeps) continue;
          quiet w = n;
          w.threads[k].where = r.marks_again ? at::marks : at::asks;
          out.push_back({name + " wakes " + std::to_string(k), w});
          woken = true;
        }
        if (!woken) add(" wakes nobody");
        break;
      }
      case at::sleeps:
      case at::done:
        break;
    }
    if (s.threads[i].buffered > 0) {
      quiet d = s;
      drain_one(d, d.threads[i]);
      out.push_back({"a store of " + name + " arrives", d});
    }
  }
  return out;
}

std::string is_bad(const quiet& s, bool last) {
  int inside = 0;
  for (const auto& t : s.threads) inside += t.where == at::inside;
  if (inside > 1) return "two are inside";
  if (!last) return {};
  for (const auto& t : s.threads)
    if (t.where != at::done) return "a thread sleeps for ever";
  return {};
}

std::string check_mutex(const rules& r) {
  std::size_t states = 0;
  const std::string found = check<quiet>(
      {}, [&](const quiet& s) { return steps_of(s, r); }, is_bad, &states);
  if (found.empty()) {
    EXPECT_GT(states, 10000u);
  }
  return found;
}

TEST(Protocol_QuietUnlock, ExcludesAndStrandsNobody) { EXPECT_EQ(check_mutex({}), ""); }

TEST(Protocol_QuietUnlock, WithoutTheBarrierASleeperIsStranded) {
  EXPECT_NE(check_mutex({.barrier = false}).find("sleeps for ever"), std::string::npos);
}

TEST(Protocol_QuietUnlock, AWokenThreadThatDoesNotMarkAgainStrandsTheOthers) {
  EXPECT_NE(check_mutex({.marks_again = false}).find("sleeps for ever"), std::string::npos);
}

}  // namespace
