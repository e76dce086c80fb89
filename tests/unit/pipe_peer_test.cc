// SPDX-License-Identifier: BSD-2-Clause
//
// What: a peer that was handed a pipe and writes into its memory what it likes.
// Contract: semantics/pipes-signalfd.md A12.4, A12.9; pipe/layout.hpp, invariant 5: it can harm that
// pipe, not the program's memory, another pipe or another process.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "pipe/layout.hpp"
#include "support/pipe.hpp"

namespace quay::test::pipes {
namespace {

using pipe::kRing;
using pipe::shared_pipe;

// A pipe whose one end went to a stranger: what he finds in the message.
class Pipe_Peer : public testing::Test {
 protected:
  void SetUp() override {
    int sockets[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    ASSERT_EQ(quay_pipe_send(sockets[0], ours_.reader()), 0);
    uint64_t mark = 0;
    iovec part{&mark, sizeof mark};
    alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ASSERT_GT(recvmsg(sockets[1], &message, MSG_CMSG_CLOEXEC), 0);
    int came[2];
    std::memcpy(came, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof came);
    void* memory = mmap(nullptr, pipe::kSlot, PROT_READ | PROT_WRITE, MAP_SHARED, came[1], 0);
    ASSERT_NE(memory, MAP_FAILED);
    theirs_ = static_cast<shared_pipe*>(memory);
    for (const int fd : {came[0], came[1], sockets[0], sockets[1]}) ::close(fd);
  }
  void TearDown() override {
    if (theirs_ != nullptr) munmap(theirs_, pipe::kSlot);
  }

  pipe_pair ours_{O_NONBLOCK};
  shared_pipe* theirs_ = nullptr;
};

TEST_F(Pipe_Peer, PositionsThatCannotBeAreAnError) {
  theirs_->to[0].head.store(10);
  theirs_->to[0].tail.store(5);
  iovec bytes{};
  EXPECT_EQ(outcome_of(quay_pipe_peek(ours_.reader(), &bytes)), -EIO);
  EXPECT_EQ(take(ours_.reader(), 100), -EIO);
  theirs_->to[0].tail.store(10 + kRing + 1);
  EXPECT_EQ(outcome_of(quay_pipe_peek(ours_.reader(), &bytes)), -EIO);
  EXPECT_EQ(take(ours_.reader(), 100), -EIO);
  EXPECT_EQ(put(ours_.writer(), 100), -EAGAIN);
}

TEST_F(Pipe_Peer, BytesThatAreAnnouncedAndNeverComeHoldNobodyUp) {
  theirs_->to[0].announced.store(5);
  theirs_->to[0].window_end.store(7);
  EXPECT_EQ(take(ours_.reader(), 100), -EAGAIN);
  EXPECT_EQ(put(ours_.writer(), "bytes"), 5);
  EXPECT_EQ(take_text(ours_.reader(), 100), "bytes");
}

// Announced is what the ring can hold; the flag says to wait, the descriptor not to.
TEST_F(Pipe_Peer, BytesAnnouncedBeyondTheRingAreNone) {
  theirs_->nonblocking[0].store(0);
  theirs_->to[0].announced.store(10 * kRing);
  EXPECT_EQ(take(ours_.reader(), 100), -EAGAIN);
  EXPECT_EQ(put(ours_.writer(), "bytes"), 5);
  EXPECT_EQ(take_text(ours_.reader(), 100), "bytes");
}

// The room is looked at once: the position may move while it is.
TEST_F(Pipe_Peer, ReservedRoomAndPeekedBytesLieInTheRing) {
  for (const bool reserving : {true, false}) {
    pipe::direction& ring = theirs_->to[0];
    iovec piece{};
    ASSERT_GT(quay_pipe_reserve(ours_.writer(), 10, &piece), 0);
    char* const begin = static_cast<char*>(piece.iov_base) - ring.tail.load() % kRing;
    constexpr uint64_t kNearTheEdge = kRing - 4096;
    std::atomic<bool> over = false;
    std::thread peer([&] {
      std::atomic<uint64_t>& moving = reserving ? ring.tail : ring.head;
      (reserving ? ring.taken : ring.tail).store(reserving ? kNearTheEdge : kRing + 2);
      while (!over) {
        ring.size.store(pipe::kMost);
        moving.store(kNearTheEdge);
        moving.store(kRing + 1);
      }
    });
    for (int i = 0; i < 100000; ++i) {
      const ssize_t n = reserving ? quay_pipe_reserve(ours_.writer(), 60000, &piece)
                                  : quay_pipe_peek(ours_.reader(), &piece);
      if (n <= 0) continue;
      const auto* const at = static_cast<char*>(piece.iov_base);
      if (at < begin || at + piece.iov_len > begin + kRing) {
        ADD_FAILURE() << "a piece of " << piece.iov_len << " bytes at " << at - begin;
        break;
      }
    }
    over = true;
    peer.join();
  }
}

// The stranger keeps the memory. Whoever's pipe it was, no other ever lies there.
TEST_F(Pipe_Peer, MemoryThatWentToAStrangerIsNotUsedAgain) {
  theirs_->several.store(0);
  ours_.close(0);
  ours_.close(1);
  const pipe_pair next;
  ASSERT_EQ(put(next.writer(), "secret"), 6);
  EXPECT_NE(std::memcmp(pipe::ring_of(*theirs_, 0), "secret", 6), 0);
  EXPECT_EQ(take_text(next.reader(), 10), "secret");
}

TEST_F(Pipe_Peer, SizesAreCut) {
  for (const uint32_t size : {0u, 1u, 0xffffffffu}) {
    const long used = quay_tunable_get("pipekva");
    theirs_->to[0].size.store(size);
    theirs_->fixed.small_size = size;
    theirs_->fixed.big_size = ~size;
    const long n = put(ours_.writer(), 100000);
    EXPECT_LE(n, static_cast<long>(pipe::kMost));
    if (n > 0) {
      EXPECT_EQ(take(ours_.reader(), 100000), n);
    }
    EXPECT_EQ(quay_tunable_get("pipekva"), used);
  }
}

std::atomic<int> g_told{0};

// Who may be told by SIGIO is not a stranger's to say.
TEST_F(Pipe_Peer, NobodyElseIsSentASignal) {
  const ignored_signal io(SIGIO, [](int) { ++g_told; });
  g_told = 0;
  int go[2];
  ASSERT_EQ(pipe2(go, O_CLOEXEC), 0);
  child bystander([&] {
    char byte = 0;
    return ::read(go[0], &byte, 1) == 1 && g_told == 0 ? 0 : 1;
  });
  theirs_->to[0].listening.fetch_or(pipe::kAsync);
  theirs_->to[0].async_owner.store(bystander.pid());
  EXPECT_EQ(put(ours_.writer(), 1), 1);
  EXPECT_EQ(::write(go[1], "x", 1), 1);
  EXPECT_EQ(bystander.wait(), 0);
  EXPECT_EQ(g_told, 0);
  theirs_->to[0].async_owner.store(getpid());
  EXPECT_EQ(put(ours_.writer(), 1), 1);
  EXPECT_EQ(g_told, 1);
  theirs_->to[0].async_owner.store(0);  // closing is a change, too
  ::close(go[0]);
  ::close(go[1]);
}

}  // namespace
}  // namespace quay::test::pipes
