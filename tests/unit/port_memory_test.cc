// SPDX-License-Identifier: BSD-2-Clause
//
// What: a port whose shared memory another process writes over.
// Contract: docs/testing.md, "Faults": events may come out wrong or be lost; nothing crashes, hangs
//           or is written beyond the caller's list, and the port still closes.
#include <gtest/gtest.h>
#include <poll.h>
#include <port.h>
#include <quay/quay.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>

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
