// SPDX-License-Identifier: BSD-2-Clause
//
// What: the two small parts of the aio engine that have rules of their own: the stamp of a control
//       block and a worker's queue.
// Contract: src/aio/control_block.hpp, src/aio/backend.hpp.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "aio/backend.hpp"
#include "aio/control_block.hpp"

namespace quay::aio {
namespace {

TEST(Unit_ControlBlock, OldMemoryIsNotFinished) {
  const auto block = std::make_unique<aiocb>();
  for (const int fill : {0x00, 0x01, 0x5a, 0xff}) {
    std::memset(static_cast<void*>(block.get()), fill, sizeof *block);
    EXPECT_FALSE(control_block(block.get()).finished()) << fill;
  }
}

TEST(Unit_ControlBlock, TheStampIsOfOneAddress) {
  const auto blocks = std::make_unique<aiocb[]>(2);
  control_block(&blocks[0]).finish(5, 0, {});
  EXPECT_TRUE(control_block(&blocks[0]).finished());
  std::memcpy(static_cast<void*>(&blocks[1]), &blocks[0], sizeof blocks[0]);
  EXPECT_FALSE(control_block(&blocks[1]).finished());
}

TEST(Unit_ControlBlock, KeepsResultErrorAndTicket) {
  const auto memory = std::make_unique<aiocb>();
  control_block block(memory.get());
  block.finish(5, 1, {77, 88});
  EXPECT_EQ(block.result(), 5);
  EXPECT_EQ(block.error(), 0);
  EXPECT_EQ(block.target(), 1);
  EXPECT_EQ(block.ticket().holder, 77u);
  EXPECT_EQ(block.ticket().name, 88u);
  block.finish(-EIO, 0, {});
  EXPECT_EQ(block.result(), -1);
  EXPECT_EQ(block.error(), EIO);
  EXPECT_EQ(block.target(), 0);
}

// Tokens of requests are even and not 0, so that they are no stamps and no "nothing".
TEST(Unit_ControlBlock, NoStampIsATokenOfARequest) {
  const auto blocks = std::make_unique<aiocb[]>(100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(control_block(&blocks[i]).stamp() & 1, 1u);
}

TEST(Unit_JobQueue, GivesInTheOrderOfComing) {
  request r[3];
  job_queue jobs;
  EXPECT_EQ(jobs.pop(), nullptr);
  for (request& each : r) jobs.push(each);
  for (request& each : r) {
    EXPECT_EQ(jobs.first(), &each);
    EXPECT_EQ(jobs.pop(), &each);
  }
  EXPECT_TRUE(jobs.empty());
}

TEST(Unit_JobQueue, GivesBackFromEveryPlace) {
  for (int gone = 0; gone < 3; ++gone) {
    request r[4];
    job_queue jobs;
    for (int i = 0; i < 3; ++i) jobs.push(r[i]);
    EXPECT_TRUE(jobs.remove(r[gone]));
    EXPECT_FALSE(jobs.remove(r[gone]));
    EXPECT_FALSE(jobs.remove(r[3])) << "was never in it";
    jobs.push(r[3]);
    for (int i = 0; i < 4; ++i) {
      if (i == gone) continue;
      EXPECT_EQ(jobs.pop(), &r[i]);
    }
    EXPECT_EQ(jobs.pop(), nullptr);
  }
}

}  // namespace
}  // namespace quay::aio
