// SPDX-License-Identifier: BSD-2-Clause
//
// What: a port whose shared memory a peer scribbles over between our calls.
// Contract: events may come out wrong or be lost; nothing may crash, hang or be written beyond the caller's list.
// Invariants: the lock is left alone: a peer that holds it for ever is a peer that was stopped.
#include <poll.h>
#include <port.h>
#include <quay/quay.h>

#include "input.hpp"
#include "port/shared.hpp"
#include "shared_memory.hpp"

namespace {

using quay::fuzz::input;
using quay::fuzz::objects;
using quay::port::shared_state;

void scribble(const quay::fuzz::mapping& m, input& in) {
  auto* st = reinterpret_cast<shared_state*>(m.base);
  const std::size_t slots = reinterpret_cast<unsigned char*>(st->slots()) - m.base;
  // The header's fields, or the slots and associations.
  const std::size_t area = offsetof(shared_state, processes);
  const std::size_t at = in.roll(2) ? in.take<std::uint16_t>() % (area - 8)
                                    : slots + in.take<std::uint16_t>() % (m.bytes - slots);
  const std::uint64_t value = in.roll(2) ? in.take<std::uint64_t>() : in.take<std::uint8_t>();
  unsigned char lock[sizeof st->lock];
  std::memcpy(lock, static_cast<const void*>(&st->lock), sizeof lock);
  if (at + sizeof value <= m.bytes) std::memcpy(m.base + at, &value, sizeof value);
  std::memcpy(static_cast<void*>(&st->lock), lock, sizeof lock);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  quay_tunable_set("port_max_events", 64);
  const int port = port_create1(0);
  objects about;
  const auto memory = quay::fuzz::shared_mappings("event port");
  if (port < 0 || memory.empty()) std::abort();
  while (in.more()) {
    timespec now{};
    switch (in.roll(7)) {
      case 0:
        port_send(port, 1, nullptr);
        break;
      case 1:
        port_associate(port, PORT_SOURCE_FD, static_cast<std::uintptr_t>(about.number(in.roll(4))),
                       POLLIN, nullptr);
        break;
      case 2:
        port_dissociate(port, PORT_SOURCE_FD,
                        static_cast<std::uintptr_t>(about.number(in.roll(4))));
        break;
      case 3:
        about.feed(in.roll(4));
        break;
      case 4: {
        port_event_t list[8];
        uint_t want = 1;
        if (port_getn(port, list, 8, &want, &now) == 0 && want > 8) std::abort();
        break;
      }
      default:
        scribble(memory.front(), in);
        break;
    }
  }
  quay_close(port);
  return 0;
}
