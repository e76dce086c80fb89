// SPDX-License-Identifier: BSD-2-Clause
//
// What: the table that pins down the pure function from notes to epoll mask.
// Contract: src/core/interest_mask.hpp.
#include "core/interest_mask.hpp"

#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <vector>

namespace quay::core {
namespace {

constexpr std::uint32_t kEdge = static_cast<std::uint32_t>(EPOLLET);

struct row {
  const char* name;
  std::vector<demand> notes;
  mask wanted;
};

std::vector<row> table() {
  return {
      {"no note wants nothing", {}, {0, false, false}},
      {"an enabled level note is left level-triggered",
       {{EPOLLIN, true, false}},
       {EPOLLIN, false, true}},
      {"an enabled EV_CLEAR note is edge-triggered",
       {{EPOLLIN, true, true}},
       {EPOLLIN, true, true}},
      {"a disabled level note wants nothing", {{EPOLLIN, false, false}}, {0, false, false}},
      {"a disabled EV_CLEAR note still collects edges",
       {{EPOLLIN, false, true}},
       {EPOLLIN, true, false}},
      {"two level notes share one mask",
       {{EPOLLIN, true, false}, {EPOLLPRI, true, false}},
       {EPOLLIN | EPOLLPRI, false, true}},
      {"one edge note makes the registration edge-triggered",
       {{EPOLLIN, true, false}, {EPOLLPRI, true, true}},
       {EPOLLIN | EPOLLPRI, true, true}},
      {"a disabled level note adds nothing to an enabled one",
       {{EPOLLIN, true, false}, {EPOLLPRI, false, false}},
       {EPOLLIN, false, true}},
      {"a note that asks for no events is wanted all the same",
       {{0, true, false}},
       {0, false, true}},
  };
}

TEST(Core_InterestMask, FollowsItsTable) {
  for (const row& r : table()) {
    mask m;
    for (const demand& d : r.notes) m = combine(m, d);
    EXPECT_EQ(m, r.wanted) << r.name;
  }
}

TEST(Core_InterestMask, BitsCarryTheEdgeFlag) {
  EXPECT_EQ(epoll_bits({EPOLLIN, false, true}), static_cast<std::uint32_t>(EPOLLIN));
  EXPECT_EQ(epoll_bits({EPOLLIN, true, true}), EPOLLIN | kEdge);
  EXPECT_EQ(epoll_bits({0, false, false}), disarmed_bits());
}

struct rearm_row {
  const char* name;
  std::uint32_t armed;
  mask wanted;
  rearm answer;
};

TEST(Core_InterestMask, TheKernelIsToldOnlyWhatItCouldMiss) {
  const rearm_row rows[] = {
      {"the same mask serves", EPOLLIN, {EPOLLIN, false, true}, rearm::none},
      {"a wider mask serves", EPOLLIN | EPOLLPRI, {EPOLLIN, false, true}, rearm::none},
      {"a narrower mask does not", EPOLLIN, {EPOLLIN | EPOLLPRI, false, true}, rearm::modify},
      {"nothing wanted needs nothing", EPOLLIN, {0, false, false}, rearm::none},
      {"level for edge does not serve", EPOLLIN, {EPOLLIN, true, true}, rearm::modify},
      {"edge for level does not serve", EPOLLIN | kEdge, {EPOLLIN, false, true}, rearm::modify},
      {"a disarmed registration does not serve", kEdge, {EPOLLIN, false, true}, rearm::modify},
      {"a disarmed registration serves nothing", kEdge, {0, false, false}, rearm::none},
  };
  for (const rearm_row& r : rows) EXPECT_EQ(compare(r.armed, r.wanted), r.answer) << r.name;
}

}  // namespace
}  // namespace quay::core
