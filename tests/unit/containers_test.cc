// SPDX-License-Identifier: BSD-2-Clause
//
// What: arena, ready list, timer heap and identifier table against simple models.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "core/arena.hpp"
#include "core/ident_table.hpp"
#include "core/ready_list.hpp"
#include "core/timer_heap.hpp"

namespace quay::core {
namespace {

class Core_Containers : public ::testing::Test {
 protected:
  slot_index make() {
    const slot_index i = notes_.allocate();
    EXPECT_NE(i, kNil);
    return i;
  }
  // A note like those of EVFILT_TIMER.
  slot_index make_clock() {
    const slot_index i = make();
    notes_.at(i).status = state::kClock;
    return i;
  }
  arena<note> notes_{1 << 16};
  std::mt19937 random_{20240607};
};

TEST_F(Core_Containers, ArenaNeverHandsOutSlotZero) {
  for (int i = 0; i < 100; ++i) EXPECT_NE(notes_.allocate(), kNil);
}

TEST_F(Core_Containers, ArenaRaisesTheGenerationOnRelease) {
  const slot_index i = make();
  const std::uint32_t before = notes_.at(i).generation;
  notes_.release(i);
  EXPECT_EQ(notes_.allocate(), i);
  EXPECT_EQ(notes_.at(i).generation, before + 1);
}

TEST_F(Core_Containers, ArenaFindsOnlyTheLifeThatTheGenerationNames) {
  const slot_index i = make();
  const std::uint32_t generation = notes_.at(i).generation;
  EXPECT_EQ(notes_.find(i, generation), &notes_.at(i));
  notes_.release(i);
  EXPECT_EQ(notes_.find(i, generation), nullptr);
  EXPECT_EQ(notes_.find(kNil, 0), nullptr);
  EXPECT_EQ(notes_.find(1u << 30, 0), nullptr);
}

TEST_F(Core_Containers, ArenaHandsOutTheFirstFreeSlot) {
  std::vector<slot_index> all;
  for (int n = 0; n < 1000; ++n) all.push_back(make());
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  std::vector<slot_index> freed = all;
  std::shuffle(freed.begin(), freed.end(), random_);
  freed.resize(500);
  for (const slot_index i : freed) notes_.release(i);
  std::sort(freed.begin(), freed.end());
  for (const slot_index i : freed) EXPECT_EQ(make(), i);
  EXPECT_EQ(make(), all.back() + 1);
}

TEST_F(Core_Containers, SlotSetHoldsTheLastSlotOfAnyLimit) {
  for (const slot_index limit : {2u, 63u, 64u, 65u, 4096u, 4097u, (1u << 24) - 1, 1u << 26}) {
    slot_set slots;
    ASSERT_TRUE(slots.reserve(limit));
    slots.insert(limit - 1);
    slots.insert(1);
    EXPECT_EQ(slots.take_first(), 1u);
    if (limit > 2) {
      EXPECT_EQ(slots.take_first(), limit - 1);
    }
    EXPECT_EQ(slots.take_first(), kNil);
  }
}

TEST_F(Core_Containers, SlotSetGivesTheFirstOfAny) {
  constexpr std::uint32_t kLimit = 1 << 26;
  slot_set slots;
  ASSERT_TRUE(slots.reserve(kLimit));
  EXPECT_EQ(slots.take_first(), kNil);
  std::set<slot_index> model;
  for (int step = 0; step < 60000; ++step) {
    // Near one another for a while, then anywhere; filling for a while, then emptying.
    const std::uint32_t within = step / 5000 % 2 == 0 ? 5000 : kLimit;
    if (random_() % 5 < (step / 20000 % 2 == 0 ? 3u : 1u)) {
      const slot_index i = 1 + random_() % (within - 1);
      if (model.insert(i).second) slots.insert(i);
    } else {
      const slot_index first = model.empty() ? kNil : *model.begin();
      ASSERT_EQ(slots.take_first(), first);
      model.erase(first);
    }
  }
}

TEST_F(Core_Containers, ArenaSaysWhenItIsFull) {
  arena<note> small(1024);
  std::size_t n = 0;
  while (small.allocate() != kNil) ++n;
  EXPECT_EQ(n, 1023u);
  EXPECT_EQ(small.allocate(), kNil);
  small.release(5);
  EXPECT_EQ(small.allocate(), 5u);
}

TEST_F(Core_Containers, TokensCarryIndexGenerationAndDirection) {
  const token t{123456, 0x0abcdef1, 2};
  const token back = token::unpack(t.pack());
  EXPECT_EQ(back.index, t.index);
  EXPECT_EQ(back.generation, t.generation & token::kGenerationMask);
  EXPECT_EQ(back.direction, t.direction);
}

TEST_F(Core_Containers, ReadyListIsAFifoUnderRandomRemoval) {
  ready_list list(notes_);
  std::deque<slot_index> model;
  for (int step = 0; step < 20000; ++step) {
    const auto what = random_() % 3;
    if (what == 0 || model.empty()) {
      const slot_index i = make();
      list.append(i, notes_.at(i));
      model.push_back(i);
      EXPECT_TRUE(notes_.at(i).status & state::kQueued);
    } else if (what == 1) {
      EXPECT_EQ(list.take_first(), model.front());
      EXPECT_FALSE(notes_.at(model.front()).status & state::kQueued);
      notes_.release(model.front());
      model.pop_front();
    } else {
      const auto at = model.begin() + static_cast<std::ptrdiff_t>(random_() % model.size());
      list.remove(*at);
      notes_.release(*at);
      model.erase(at);
    }
    ASSERT_EQ(list.count(), model.size());
  }
}

TEST_F(Core_Containers, TimerHeapHandsOutDeadlinesInOrder) {
  timer_heap heap(notes_);
  std::multiset<std::int64_t> model;
  std::vector<std::pair<slot_index, std::int64_t>> alive;
  for (int step = 0; step < 60000; ++step) {
    // Stopping and starting anew is the most frequent for a while, then handing out.
    const auto what = random_() % (step / 10000 % 2 == 0 ? 9 : 5);
    const auto deadline = static_cast<std::int64_t>(random_() % 1000);
    if (what <= 1 || alive.empty()) {
      const slot_index i = make();
      notes_.at(i).status = i % 3 != 0 ? state::kClock : 0;
      ASSERT_TRUE(heap.reserve());
      heap.insert(i, deadline);
      alive.push_back({i, deadline});
      model.insert(deadline);
    } else if (what == 2 || what > 4) {
      auto& [i, before] = alive[random_() % alive.size()];
      model.erase(model.find(before));
      heap.erase(i);
      ASSERT_TRUE(heap.reserve());
      heap.insert(i, deadline);
      before = deadline;
      model.insert(deadline);
    } else if (what == 3) {
      const auto at = alive.begin() + static_cast<std::ptrdiff_t>(random_() % alive.size());
      model.erase(model.find(at->second));
      heap.erase(at->first);
      EXPECT_FALSE(timer_heap::running(notes_.at(at->first)));
      notes_.release(at->first);
      alive.erase(at);
    } else {
      ASSERT_EQ(heap.earliest(), *model.begin());
      const slot_index first = heap.first();
      ASSERT_TRUE(timer_heap::running(notes_.at(first)));
      heap.erase(first);
      model.erase(model.begin());
      notes_.release(first);
      alive.erase(std::find_if(alive.begin(), alive.end(),
                               [first](const auto& each) { return each.first == first; }));
    }
    ASSERT_EQ(heap.size(), model.size());
    if (!model.empty()) {
      ASSERT_EQ(heap.earliest(), *model.begin());
    }
  }
}

// A timer that is stopped leaves something behind; however often, it must not add up.
TEST_F(Core_Containers, TimersArmedAnewTakeNoMoreRoomInTheHeap) {
  timer_heap heap(notes_);
  std::vector<slot_index> timers;
  const auto start = [&](slot_index i) {
    ASSERT_TRUE(heap.reserve());
    heap.insert(i, static_cast<std::int64_t>(random_() % 1000000));
  };
  for (int n = 0; n < 1000; ++n) start(timers.emplace_back(make()));
  for (int n = 0; n < 100000; ++n) {
    const slot_index i = timers[random_() % timers.size()];
    heap.erase(i);
    start(i);
  }
  EXPECT_EQ(heap.size(), 1000u);
  EXPECT_LT(heap.items(), 4000u);
}

// A timeout that is put off again and again: its item stays where it is until its time comes.
TEST_F(Core_Containers, TimersThatArePutOffLeaveNothingBehindAndAreDueWhenTheySay) {
  timer_heap heap(notes_);
  std::vector<slot_index> timers;
  std::map<slot_index, std::int64_t> due;
  for (int n = 0; n < 1000; ++n) {
    const slot_index i = timers.emplace_back(make_clock());
    ASSERT_TRUE(heap.reserve());
    heap.insert(i, due[i] = n);
  }
  for (int round = 1; round < 50; ++round) {
    std::shuffle(timers.begin(), timers.end(), random_);
    for (const slot_index i : timers) {
      heap.erase(i);
      ASSERT_TRUE(heap.reserve());
      heap.insert(i, due[i] += 1 + static_cast<std::int64_t>(random_() % 1000));
    }
  }
  EXPECT_LE(heap.items(), 1001u);
  std::int64_t before = 0;
  for (; !heap.empty(); heap.erase(heap.first())) {
    EXPECT_GE(heap.earliest(), before);
    EXPECT_EQ(heap.earliest(), due[heap.first()]);
    before = heap.earliest();
  }
}

TEST_F(Core_Containers, IdentTableFindsWhatIsInItAndNothingElse) {
  ident_table table(notes_);
  std::map<std::pair<std::int16_t, std::uintptr_t>, slot_index> model;
  for (int step = 0; step < 30000; ++step) {
    const auto filter = static_cast<std::int16_t>(-1 - static_cast<int>(random_() % 3));
    const std::uintptr_t ident = random_() % 2000;
    const auto known = model.find({filter, ident});
    ASSERT_EQ(table.find(filter, ident), known == model.end() ? kNil : known->second);
    if (known == model.end()) {
      const slot_index i = make();
      notes_.at(i).filter = filter;
      notes_.at(i).ident = ident;
      ASSERT_TRUE(table.reserve());
      table.insert(i);
      model[{filter, ident}] = i;
    } else if (random_() % 2 == 0) {
      table.erase(known->second);
      notes_.release(known->second);
      model.erase(known);
    } else if (const auto other = model.lower_bound({filter, ident / 2}); random_() % 2 == 0) {
      // One that nobody has looked for just now.
      table.erase(other->second);
      notes_.release(other->second);
      model.erase(other);
      ASSERT_EQ(table.find(filter, ident),
                model.count({filter, ident}) != 0 ? known->second : kNil);
    }
    ASSERT_EQ(table.size(), model.size());
  }
  for (slot_index i = table.any(); i != kNil; i = table.any()) table.erase(i);
  EXPECT_EQ(table.size(), 0u);
}

// Numbers in turn, multiples, and addresses of objects of usual sizes.
TEST_F(Core_Containers, IdentTableHasShortChainsForWhatProgramsNameThingsBy) {
  struct family {
    std::uintptr_t first, step;
  };
  for (const family f : {family{0, 1}, family{0x5581'0010, 16}, family{0x5581'0010, 48},
                         family{0, 64}, family{3, 65}, family{0x7f12'3450, 96}, family{0, 1000},
                         family{0, 4096}, family{0x7f12'0010, 4160}, family{0, 1u << 19}}) {
    ident_table table(notes_);
    std::vector<slot_index> all;
    for (std::uintptr_t n = 0; n < 4096; ++n) {
      const slot_index i = all.emplace_back(make());
      notes_.at(i).filter = -7;
      notes_.at(i).ident = f.first + n * f.step;
      ASSERT_TRUE(table.reserve());
      table.insert(i);
    }
    std::size_t looks = 0;
    for (const slot_index i : all) {
      for (slot_index at = i; at != kNil; at = notes_.at(at).link) ++looks;
    }
    EXPECT_LT(looks, 2 * all.size()) << "step " << f.step;
    for (const slot_index i : all) {
      table.erase(i);
      notes_.release(i);
    }
  }
}

}  // namespace
}  // namespace quay::core
