// SPDX-License-Identifier: BSD-2-Clause
//
// What: a port whose shared memory another process writes over.
// Contract: docs/testing.md, "Faults": events may come out wrong or be lost; nothing crashes, hangs
//           or is written beyond the caller's list, and the port still closes.
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <poll.h>
#include <port.h>
#include <quay/quay.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <set>
#include <thread>

#include "port/shared.hpp"

namespace {

using quay::port::shared_state;

// The memory of the process's latest port, where a peer has it mapped too.
shared_state* memory_of_a_port() {
  shared_state* found = nullptr;
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  char line[512];
  while (maps != nullptr && std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long from = 0;
    if (std::strstr(line, "event port") == nullptr || std::sscanf(line, "%lx", &from) != 1) {
      continue;
    }
    auto* st = reinterpret_cast<shared_state*>(from);
    if (st->magic == quay::port::kMagic && found == nullptr) found = st;
  }
  if (maps != nullptr) std::fclose(maps);
  return found;
}

class Port_Memory : public testing::Test {
 protected:
  static constexpr int kMost = 64;
  static constexpr std::size_t kTables =
      kMost * (sizeof(quay::port::slot) + sizeof(quay::port::association));
  static constexpr std::size_t kRoom = 8;

  void SetUp() override {
    quay_tunable_set("port_max_events", kMost);
    port_ = ::port_create1(0);
    ASSERT_GE(port_, 0);
    ASSERT_EQ(::pipe(pipe_), 0);
    memory_ = memory_of_a_port();
    ASSERT_NE(memory_, nullptr);
  }
  void TearDown() override {
    EXPECT_EQ(quay_close(port_), 0);
    ::close(pipe_[0]);
    ::close(pipe_[1]);
    quay_tunable_set("port_max_events", 65536);
  }

  // How many were there, `most` at most.
  uint_t take(uint_t most) {
    port_event_t list[16];
    timespec now{};
    uint_t n = 1;
    ::port_getn(port_, list, most, &n, &now);
    return n;
  }

  void use() {
    const auto number = static_cast<std::uintptr_t>(pipe_[0]);
    ::port_send(port_, 1, nullptr);
    ::port_associate(port_, PORT_SOURCE_FD, number, POLLIN, nullptr);
    char byte = 'x';
    ASSERT_EQ(::write(pipe_[1], &byte, 1), 1);
    port_event_t list[kRoom + 1];
    std::memset(static_cast<void*>(list), 0x5a, sizeof list);
    const port_event_t untouched = list[kRoom];
    timespec now{};
    uint_t want = 1;
    ::port_getn(port_, list, kRoom, &want, &now);
    EXPECT_LE(want, kRoom);
    EXPECT_EQ(std::memcmp(static_cast<const void*>(&list[kRoom]),
                          static_cast<const void*>(&untouched), sizeof untouched),
              0);
    timespec moment{0, 1000};
    ::port_get(port_, list, &moment);
    ::port_dissociate(port_, PORT_SOURCE_FD, number);
    ::port_alert(port_, PORT_ALERT_SET, 0, nullptr);
    ASSERT_EQ(::read(pipe_[0], &byte, 1), 1);
  }

  // Whatever a peer does, it does not take the lock away from under its holder.
  void write_over(std::size_t at, const void* bytes, std::size_t n) {
    auto* base = reinterpret_cast<unsigned char*>(memory_);
    alignas(8) unsigned char lock[sizeof memory_->lock];
    std::memcpy(lock, static_cast<const void*>(&memory_->lock), sizeof lock);
    std::memcpy(base + at, bytes, n);
    std::memcpy(static_cast<void*>(&memory_->lock), lock, sizeof lock);
  }

  int port_ = -1;
  int pipe_[2] = {-1, -1};
  shared_state* memory_ = nullptr;
};

// Walks the free list: each slot that is not used, once.
void expect_free_list_whole(shared_state& st) {
  std::set<quay::port::slot_index> free;
  quay::port::slot_index last = quay::port::kNil;
  for (quay::port::slot_index i = st.free_head; i != quay::port::kNil; i = st.slots()[i].next) {
    ASSERT_LE(i, st.high_water);
    ASSERT_TRUE(free.insert(i).second) << "slot " << i << " twice";
    EXPECT_EQ(st.slots()[i].state, quay::port::slot_state::free);
    last = i;
  }
  EXPECT_EQ(free.size(), st.high_water - st.used);
  if (!free.empty()) {
    EXPECT_EQ(st.free_tail, last);
  }
}

TEST_F(Port_Memory, WhatIsFreeIsInTheListOnce) {
  const auto check = [this] { expect_free_list_whole(*memory_); };
  check();
  for (int i = 0; i < 2 * kMost; ++i) ::port_send(port_, i, nullptr);  // full, and refused
  check();
  for (uint_t most = 1; most < 12; most += 3) {
    take(most);
    check();
    ::port_send(port_, 1, nullptr);
    const auto number = static_cast<std::uintptr_t>(pipe_[0]);
    ::port_associate(port_, PORT_SOURCE_FD, number, POLLIN, nullptr);
    check();
    ::port_dissociate(port_, PORT_SOURCE_FD, number);
    check();
  }
  while (take(5) != 0) check();
  EXPECT_EQ(memory_->used, 0u);
}

// Also where the size of so many slots is that of few, modulo the address space.
TEST_F(Port_Memory, ASenderThatLiesAboutItsSizeIsNotBelieved) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  constexpr std::uint32_t kWraps = (std::uint64_t{1} << 32) / (kTables / kMost) + 1;
  constexpr std::uint32_t kTrue = kMost;
  for (const std::uint32_t most : {kTrue, kTrue + kWraps, quay::port::kMostSlots + 1, UINT32_MAX}) {
    memory_->most_slots = most;
    ASSERT_EQ(quay_port_send(ends[0], port_), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      quay_close(port_);  // it must not know the port already
      const bool believed = quay_port_receive(ends[1]) >= 0;
      ::_exit(most == kTrue ? !believed : believed || errno != EBADMSG);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << most;
    memory_->most_slots = kMost;
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(Port_Memory, AfterAHolderDiedWhatIsQueuedComesInItsOrder) {
  int sent = 0;
  const auto send_until = [&](int end) {
    while (sent < end) EXPECT_EQ(::port_send(port_, sent++, nullptr), 0);
  };
  send_until(50);
  EXPECT_EQ(take(15) + take(15), 30u);
  // The lock stays one for all.
  std::thread([this] { take(0); }).join();
  send_until(80);
  EXPECT_LT(memory_->tail, memory_->head);  // the queue goes round the table
  // It died in the midst of its work: of all this nothing is to be believed.
  memory_->head = memory_->free_head = 7;
  memory_->tail = memory_->free_tail = memory_->used = 3;
  memory_->queued = 1;
  std::atomic_ref(reinterpret_cast<std::uint32_t&>(memory_->lock)).store(FUTEX_OWNER_DIED);
  for (int next = 30; next < sent;) {
    port_event_t event;
    timespec now{};
    ASSERT_EQ(::port_get(port_, &event, &now), 0);
    EXPECT_EQ(event.portev_events, next++);
  }
  expect_free_list_whole(*memory_);
}

TEST_F(Port_Memory, ASteadyStreamGoesThroughItInTheOrderOfMemory) {
  quay::port::slot_index before = quay::port::kNil;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 7; ++i) ::port_send(port_, i, nullptr);
    for (quay::port::slot_index i = memory_->head; i != quay::port::kNil;
         i = memory_->slots()[i].next) {
      EXPECT_EQ(i, before % kMost + 1);
      before = i;
    }
    EXPECT_EQ(take(3), 3u);
    EXPECT_EQ(take(1), 1u);
    EXPECT_EQ(take(7), 3u);
  }
}

TEST_F(Port_Memory, FilledWithOneByteItStillAnswers) {
  static unsigned char bytes[sizeof(shared_state) + kTables];
  for (const int value : {0xff, 0x7f, 0x01, 0x80, 0x00}) {
    use();
    std::memset(bytes, value, sizeof bytes);
    write_over(0, bytes, sizeof bytes);
    use();
  }
}

TEST_F(Port_Memory, LinksBentIntoCirclesEnd) {
  for (int events = 0; events < 8; ++events) ASSERT_EQ(::port_send(port_, events, nullptr), 0);
  for (std::uint32_t i = 1; i <= 8; ++i) {
    quay::port::slot& s = memory_->slots()[i];
    s.next = s.prev = memory_->associations(memory_->most_slots)[i].next_in_bucket = i;
  }
  for (auto& bucket : memory_->buckets) bucket.store(1);
  memory_->free_head = 3;
  memory_->waiters_high = UINT32_MAX;
  memory_->first_waiter = memory_->leader = 1;
  memory_->waiters[1].next = 1;
  memory_->waiters[1].used = 1;
  use();
  use();
}

TEST_F(Port_Memory, RandomWritesBetweenCallsDoNoHarm) {
  std::mt19937_64 random(20261121);
  const auto slots = static_cast<std::size_t>(reinterpret_cast<unsigned char*>(memory_->slots()) -
                                              reinterpret_cast<unsigned char*>(memory_));
  for (int round = 0; round < 3000; ++round) {
    const std::size_t header = offsetof(shared_state, processes) - sizeof(std::uint64_t);
    const std::size_t at = random() % 2 != 0 ? random() % header : slots + random() % kTables;
    const std::uint64_t value = random() % 2 != 0 ? random() : random() % 256;
    write_over(at, &value, sizeof value);
    use();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
