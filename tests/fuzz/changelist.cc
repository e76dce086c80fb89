// SPDX-License-Identifier: BSD-2-Clause
//
// What: arbitrary changes through kevent() in every dialect, between things that happen to the watched objects.
// Invariants: kevent() returns at most what there is room for, writes nothing beyond, and fails with an errno only.
#include <quay/quay.h>
#include <signal.h>
#include <sys/event.h>

#include <cerrno>

#include "input.hpp"

namespace {

using quay::fuzz::input;
using quay::fuzz::objects;

constexpr int kRoom = 8;

struct kevent draw(input& in, const objects& about, int other_queue) {
  struct kevent out {};
  const unsigned kind = in.roll(8);
  out.filter =
      static_cast<short>(kind == 7 ? in.take<std::int16_t>() : -static_cast<int>(in.roll(14)));
  out.flags = in.take<std::uint16_t>();
  out.fflags = in.take<std::uint32_t>();
  out.data =
      kind == 6 ? static_cast<std::intptr_t>(in.take<std::int64_t>()) : in.take<std::int8_t>();
  out.ident = kind < 5    ? static_cast<std::uintptr_t>(about.number(in.roll(4)))
              : kind == 5 ? static_cast<std::uintptr_t>(other_queue)
                          : in.take<std::uintptr_t>();
  // The fuzzer itself lives by these.
  if (out.filter == EVFILT_SIGNAL && (out.ident == SIGALRM || out.ident == SIGINT))
    out.ident = SIGUSR1;
  // Processes that are not ours are left alone.
  if (out.filter == EVFILT_PROC) out.ident = static_cast<std::uintptr_t>(::getpid());
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  const int dialect = static_cast<int>(in.roll(4));
  int queues[2];
  for (int& q : queues) q = quay_kqueue(dialect, in.roll(4) == 0 ? QUAY_PRIVATE : 0);
  objects about;
  while (in.more()) {
    switch (in.roll(8)) {
      case 0:
        about.feed(in.roll(4));
        break;
      case 1:
        about.drain(in.roll(4));
        break;
      case 2:
        about.close(in.roll(4), in.roll(2) ? quay_close : ::close);
        break;
      default: {
        const unsigned side = in.roll(2);
        struct kevent list[kRoom + 1];
        const int changes = static_cast<int>(in.roll(4));
        const int room = static_cast<int>(in.roll(kRoom + 1));
        for (int i = 0; i < changes; ++i) list[i] = draw(in, about, queues[1 - side]);
        struct kevent got[kRoom + 1];
        std::memset(got, 0x5a, sizeof got);
        const timespec now{};
        errno = 0;
        const int n = ::kevent(queues[side], list, changes, room == 0 ? nullptr : got, room, &now);
        if (n > room || n < -1) std::abort();
        // DragonFly answers a receipt without room by -1 and no errno.
        if (n == -1 && errno == 0 && dialect != QUAY_DIALECT_DRAGONFLY) std::abort();
        for (std::size_t i = static_cast<std::size_t>(room) * sizeof got[0]; i < sizeof got; ++i)
          if (reinterpret_cast<unsigned char*>(got)[i] != 0x5a) std::abort();
      }
    }
  }
  for (const int q : queues) quay_close(q);
  return 0;
}
