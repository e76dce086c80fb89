// SPDX-License-Identifier: BSD-2-Clause
//
// What: arbitrary calls on event ports that do not wait, between things that happen to the associated objects.
// Invariants: counts are within what was asked for; nothing is written beyond the list.
#include <poll.h>
#include <port.h>
#include <quay/quay.h>

#include <cerrno>

#include "input.hpp"

namespace {

using quay::fuzz::input;
using quay::fuzz::objects;

constexpr unsigned kRoom = 8;

void* any_pointer(input& in) { return reinterpret_cast<void*>(in.take<std::uintptr_t>()); }

// Where nothing is mapped, sanitizer or not.
std::uintptr_t nowhere(input& in) { return in.take<std::uint16_t>() % 4096; }

void fetch(int port, input& in) {
  port_event_t list[kRoom + 1];
  std::memset(list, 0x5a, sizeof list);
  timespec now{};
  const unsigned max = in.roll(kRoom + 1);
  uint_t want = in.roll(10);
  if (in.roll(4) == 0) {
    port_get(port, list, &now);
    return;
  }
  const int result = port_getn(port, list, max, &want, &now);
  if (result == 0 && max > 0 && want > max) std::abort();
  for (std::size_t i = max * sizeof list[0]; i < sizeof list; ++i)
    if (reinterpret_cast<unsigned char*>(list)[i] != 0x5a) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  quay_tunable_set("port_max_events", 16);
  int ports[2];
  for (int& p : ports) p = port_create1(in.roll(4) == 0 ? QUAY_PRIVATE : 0);
  objects about;
  char name[] = "/tmp";
  while (in.more()) {
    const int port = ports[in.roll(2)];
    switch (in.roll(11)) {
      case 0:
        about.feed(in.roll(4));
        break;
      case 1:
        about.drain(in.roll(4));
        break;
      case 2:
        about.close(in.roll(4), in.roll(2) ? quay_close : ::close);
        break;
      case 3:
        port_send(port, in.take<int>(), any_pointer(in));
        break;
      case 4: {
        int list[4] = {ports[0], about.number(in.roll(4)), in.take<int>(), ports[1]};
        int errors[4];
        port_sendn(list, errors, in.roll(5), in.take<int>(), any_pointer(in));
        break;
      }
      case 5: {
        const auto object = in.roll(8) == 0 ? in.take<std::uintptr_t>()
                                            : static_cast<std::uintptr_t>(about.number(in.roll(4)));
        port_associate(port, PORT_SOURCE_FD, object, in.take<std::int16_t>(), any_pointer(in));
        break;
      }
      case 6: {
        const auto object = in.roll(8) == 0 ? in.take<std::uintptr_t>()
                                            : static_cast<std::uintptr_t>(about.number(in.roll(4)));
        port_dissociate(port, in.roll(4) == 0 ? in.take<int>() : PORT_SOURCE_FD, object);
        break;
      }
      case 7: {
        file_obj_t file{};
        file.fo_mtime.tv_sec = in.take<std::int32_t>();
        file.fo_name = in.roll(4) == 0 ? reinterpret_cast<char*>(nowhere(in)) : name;
        const auto object = in.roll(4) == 0 ? nowhere(in) : reinterpret_cast<std::uintptr_t>(&file);
        port_associate(port, PORT_SOURCE_FILE, object, in.take<int>(), any_pointer(in));
        break;
      }
      case 8:
        port_alert(port, in.take<std::int8_t>(), in.take<std::int8_t>(), any_pointer(in));
        break;
      case 9:
        port_associate(port, in.take<int>(), in.take<std::uintptr_t>(), in.take<int>(),
                       any_pointer(in));
        break;
      default:
        fetch(port, in);
        break;
    }
  }
  for (const int p : ports) quay_close(p);
  return 0;
}
