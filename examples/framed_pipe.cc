// SPDX-License-Identifier: BSD-2-Clause
//
// What: messages with a length in front, built and parsed in the memory of a quay::pipe: no buffer of
//       the program's own, no copy on either side.
// Contract: prints how many messages arrived and their checksum; both sides must agree.
#include <quay/pipe.hpp>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>

namespace {

constexpr std::uint32_t kMessages = 100'000;
constexpr std::size_t kFrame = 64;  // divides the ring: a frame is never split

std::uint64_t produce(quay::pipe_end out) {
  std::uint64_t sum = 0;
  std::uint32_t n = 0;
  while (n < kMessages) {
    quay::pipe_room room = out.reserve(64 * kFrame);
    std::size_t used = 0;
    for (; used + kFrame <= room.bytes().size() && n < kMessages; used += kFrame, ++n) {
      const std::uint32_t value = n * 2654435761u;
      std::memcpy(room.bytes().data() + used, &value, sizeof value);
      sum += value;
    }
    room.commit(used);
  }
  return sum;  // and `out` is closed: the end of file
}

}  // namespace

int main() {
  quay::pipe p;
  std::uint64_t sent = 0;
  std::thread producer([&] { sent = produce(std::move(p.writer)); });

  std::uint64_t received = 0;
  std::uint32_t messages = 0;
  while (quay::pipe_bytes seen = p.reader.peek()) {
    std::size_t used = 0;
    for (; used + kFrame <= seen.bytes().size(); used += kFrame, ++messages) {
      std::uint32_t value = 0;
      std::memcpy(&value, seen.bytes().data() + used, sizeof value);
      received += value;
    }
    seen.consume(used);
  }
  producer.join();
  std::printf("%u messages, %s\n", messages, sent == received ? "all as sent" : "damaged");
  return sent == received && messages == kMessages ? 0 : 1;
}
