// SPDX-License-Identifier: BSD-2-Clause
//
// What: the numbers of a kqueue on a simulated host: who looks one up at the worst moment of its close.
// Contract: docs/design.md, "The two modes"; semantics/kqueue.md section 6 (close, dup).
#include <gtest/gtest.h>
#include <quay/quay.h>

#include "fake_host.hpp"
#include "kqueue/kevent.hpp"
#include "kqueue/system.hpp"

namespace quay::test {
namespace {

class Queue_Numbers : public ::testing::Test {
 protected:
  static constexpr int kDuplicate = 700;

  int open() {
    return system_.open(*kqueue::find_dialect(QUAY_DIALECT_FREEBSD), true, true, false);
  }
  void close(int fd) {
    descriptors_.closing(fd);
    host_.discard(fd);
    descriptors_.closed(fd);
  }

  fake_host host_;
  core::descriptor_table descriptors_;
  kqueue::system system_{host_, descriptors_, false};
};

TEST_F(Queue_Numbers, ADuplicateThatNobodyAnnouncedIsTheQueue) {
  const int fd = open();
  host_.duplicates[kDuplicate] = fd;
  EXPECT_EQ(system_.adopt(kDuplicate), system_.queue_at(fd));
  EXPECT_EQ(system_.queue_at(kDuplicate), system_.queue_at(fd));
  close(kDuplicate);
  EXPECT_NE(system_.queue_at(fd), nullptr);
  close(fd);
}

TEST_F(Queue_Numbers, WhatIsOpenedWhileItIsLookedUpIsTheQueue) {
  const int fd = open();
  EXPECT_EQ(system_.adopt(fd), system_.queue_at(fd));
  close(fd);
  EXPECT_EQ(system_.queue_at(fd), nullptr);
}

TEST_F(Queue_Numbers, TheOnlyNumberIsNotTakenUpAgainDuringItsClose) {
  const int fd = open();
  const kqueue::queue* found = nullptr;
  host_.on_search = [&] { found = system_.adopt(fd); };
  descriptors_.closing(fd);
  EXPECT_FALSE(host_.on_search);  // it was searched
  EXPECT_EQ(found, nullptr);
  EXPECT_EQ(system_.queue_at(fd), nullptr);
  EXPECT_EQ(system_.adopt(fd), nullptr);
  host_.discard(fd);
  descriptors_.closed(fd);
}

TEST_F(Queue_Numbers, ADuplicateIsNotTakenUpAgainDuringItsClose) {
  const int fd = open();
  host_.duplicates[kDuplicate] = fd;
  ASSERT_NE(system_.adopt(kDuplicate), nullptr);
  descriptors_.closing(kDuplicate);
  EXPECT_EQ(system_.adopt(kDuplicate), nullptr);
  EXPECT_EQ(system_.queue_at(kDuplicate), nullptr);
  host_.discard(kDuplicate);
  descriptors_.closed(kDuplicate);
  EXPECT_NE(system_.queue_at(fd), nullptr);
  close(fd);
}

TEST_F(Queue_Numbers, ADuplicateThatIsBeingClosedIsNoOtherNumber) {
  const int fd = open();
  kqueue::queue* const q = system_.queue_at(fd);
  host_.duplicates[kDuplicate] = fd;
  descriptors_.assign(kDuplicate, system_);  // it was another queue's once
  descriptors_.closing(kDuplicate);
  descriptors_.closing(fd);
  {
    const core::guard hold(q->lock());
    EXPECT_TRUE(q->closed_locked());
  }
  host_.discard(kDuplicate);
  descriptors_.closed(kDuplicate);
  host_.discard(fd);
  descriptors_.closed(fd);
}

TEST_F(Queue_Numbers, WhoSleepsByANumberThatIsLostSleepsOnByTheOther) {
  const int fd = open();
  host_.duplicates[kDuplicate] = fd;
  kqueue::queue* const q = system_.adopt(kDuplicate);
  ASSERT_NE(q, nullptr);
  host_.on_block = [&] { close(fd); };
  kqueue::wide_event out{};
  const timespec second{1, 0};
  const kqueue::outcome r = kqueue::kevent<kqueue::wide_event, kqueue::work::events>(
      system_, q, kDuplicate, {nullptr, 0, &out, 1}, &second);
  EXPECT_EQ(r.value, 0);
  EXPECT_EQ(r.error, 0);
  EXPECT_EQ(system_.queue_at(kDuplicate), q);
  close(kDuplicate);
}

}  // namespace
}  // namespace quay::test
