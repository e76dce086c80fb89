// SPDX-License-Identifier: BSD-2-Clause
//
// What: a pipe whose shared memory a peer scribbles over between our calls.
// Contract: pipe/layout.hpp, invariant 5: what stands there is a position, a count that is cut, or a flag. Bytes may come
//           out wrong; nothing may crash, hang or be written beyond the caller's buffer.
// Invariants: the two locks of a ring are left alone: a peer that holds one for ever is a peer that was stopped. So is
//             who is told by SIGIO: this pipe was not sent, and its family is believed.
#include <poll.h>
#include <quay/quay.h>
#include <sys/ioctl.h>

#include "input.hpp"
#include "pipe/layout.hpp"
#include "shared_memory.hpp"

namespace {

using quay::fuzz::input;
using quay::pipe::shared_pipe;

// The pipe in whose ring the needle lies.
shared_pipe* find(std::uint64_t needle) {
  for (const auto& m : quay::fuzz::shared_mappings("/dev/zero")) {
    for (std::size_t at = 0; at + quay::pipe::kSlot <= m.bytes; at += quay::pipe::kSlot) {
      auto* p = reinterpret_cast<shared_pipe*>(m.base + at);
      for (int end = 0; end < 2; ++end)
        if (std::memcmp(quay::pipe::ring_of(*p, end), &needle, sizeof needle) == 0) return p;
    }
  }
  return nullptr;
}

// The program may fill its room and read its bytes: they lie in one of the pipe's rings.
void use(shared_pipe& p, const iovec& piece) {
  auto* const at = static_cast<unsigned char*>(piece.iov_base);
  bool inside = false;
  for (int end = 0; end < 2; ++end) {
    unsigned char* const ring = quay::pipe::ring_of(p, end);
    inside = inside || (at >= ring && at + piece.iov_len <= ring + quay::pipe::kRing);
  }
  if (!inside) std::abort();
  std::memset(at, 'u', piece.iov_len);
}

void scribble(shared_pipe& p, input& in) {
  const std::size_t at = in.take<std::uint16_t>() % sizeof(shared_pipe);
  const std::uint64_t value = in.roll(2) ? in.take<std::uint64_t>() : in.take<std::uint8_t>();
  const std::size_t bytes = at + sizeof value <= sizeof(shared_pipe) ? sizeof value : 1;
  unsigned char locks[4][sizeof(quay::host::biased_mutex)];
  void* const held[4] = {&p.to[0].writing, &p.to[0].reading, &p.to[1].writing, &p.to[1].reading};
  for (int i = 0; i < 4; ++i) std::memcpy(locks[i], held[i], sizeof locks[i]);
  std::memcpy(reinterpret_cast<unsigned char*>(&p) + at, &value, bytes);
  for (int i = 0; i < 4; ++i) std::memcpy(held[i], locks[i], sizeof locks[i]);
  for (quay::pipe::direction& d : p.to) d.async_owner.store(0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static std::uint64_t needle = 0x6e65656400000000;
  input in(data, size);
  int ends[2];
  if (quay_pipe2(ends, O_NONBLOCK) != 0) std::abort();
  ++needle;
  if (quay_write(ends[1], &needle, sizeof needle) != sizeof needle) std::abort();
  shared_pipe* const p = find(needle);
  if (p == nullptr) std::abort();
  static unsigned char bytes[32 * 1024];
  while (in.more()) {
    const int end = ends[in.roll(2)];
    switch (in.roll(9)) {
      case 0:
        quay_write(end, bytes, in.take<std::uint16_t>() % sizeof bytes);
        break;
      case 1: {
        const std::size_t n = in.take<std::uint16_t>() % sizeof bytes;
        if (quay_read(end, bytes, n) > static_cast<ssize_t>(n)) std::abort();
        break;
      }
      case 2: {
        pollfd both[2] = {{ends[0], POLLIN | POLLOUT, 0}, {ends[1], POLLIN | POLLOUT, 0}};
        quay_poll(both, 2, 0);
        break;
      }
      case 3: {
        struct stat st;
        int n = 0;
        quay_fstat(end, &st);
        quay_ioctl(end, FIONREAD, &n);
        break;
      }
      case 4: {
        iovec room{};
        const std::size_t n = 1 + in.take<std::uint16_t>();
        const ssize_t got = quay_pipe_reserve(end, n, &room);
        if (got > static_cast<ssize_t>(n)) std::abort();
        if (got > 0) use(*p, room);
        if (in.roll(2)) scribble(*p, in);
        quay_pipe_commit(end, in.take<std::uint16_t>());
        break;
      }
      case 5: {
        iovec there{};
        if (quay_pipe_peek(end, &there) > 0) use(*p, there);
        if (in.roll(2)) scribble(*p, in);
        quay_pipe_consume(end, in.take<std::uint16_t>());
        break;
      }
      default:
        scribble(*p, in);
        break;
    }
  }
  for (const int end : ends) quay_close(end);
  return 0;
}
