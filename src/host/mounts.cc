// SPDX-License-Identifier: BSD-2-Clause
//
// What: the process's mounts on the real host: /proc/self/mountinfo reports a change as exceptional
//       and needs no privilege; listmount, where there is one, tells mounts apart by numbers that
//       are never used again, otherwise their lines must do.
// Contract: core/host.hpp.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "host/errno_guard.hpp"
#include "host/linux_host.hpp"
#include "host/plain_calls.hpp"

namespace quay::host {
namespace {

constexpr long kListmount = 458;  // Linux 6.8, the same number everywhere

struct mount_request {
  std::uint32_t size;
  std::uint32_t spare;
  std::uint64_t of;
  std::uint64_t after;
};
constexpr std::uint64_t kRoot = ~std::uint64_t{0};

// How many mounts there are; -1 when the kernel does not tell.
std::int64_t list_by_number(std::uint64_t* out, std::size_t most) noexcept {
  std::uint64_t page[128];
  constexpr long kPage = sizeof page / sizeof *page;
  std::size_t n = 0;
  std::uint64_t last = 0;
  long got = kPage;
  while (got == kPage) {
    const mount_request ask{sizeof ask, 0, kRoot, last};
    got = syscall(kListmount, &ask, page, std::size_t{kPage}, 0u);
    if (got < 0) return -1;
    for (long k = 0; k < got; ++k, ++n) {
      if (n < most) out[n] = page[k];
    }
    if (got > 0) last = page[got - 1];
  }
  return static_cast<std::int64_t>(n);
}

}  // namespace

int linux_host::mounts_open() noexcept {
  errno_guard keep;
  const int fd = plain::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) return fd;
  return errno == ENOENT || errno == ENOTDIR ? -EOPNOTSUPP : -errno;
}

std::int64_t linux_host::mounts_list(int mounts, std::uint64_t* out, std::size_t most) noexcept {
  errno_guard keep;
  // Asked once: an answer of one kind cannot be compared with one of the other.
  static const bool by_number = list_by_number(nullptr, 0) >= 0;
  if (by_number) return list_by_number(out, most);
  if (lseek(mounts, 0, SEEK_SET) != 0) return -errno;
  // A mount is what its first five fields say: number, parent, device, root and place. Options and
  // propagation may change without its coming or going.
  constexpr std::uint64_t kSeed = 0xcbf29ce484222325u;
  constexpr std::uint64_t kPrime = 0x100000001b3u;
  constexpr int kFields = 5;
  std::uint64_t hash = kSeed;
  int field = 0;
  std::size_t n = 0;
  char text[4096];
  for (;;) {
    const ssize_t got = plain::read(mounts, text, sizeof text);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -errno;
    if (got == 0) return static_cast<std::int64_t>(n);
    for (ssize_t at = 0; at < got; ++at) {
      if (text[at] == '\n') {
        if (n < most) out[n] = hash;
        ++n;
        hash = kSeed;
        field = 0;
        continue;
      }
      if (field < kFields) hash = (hash ^ static_cast<unsigned char>(text[at])) * kPrime;
      if (text[at] == ' ') ++field;
    }
  }
}

}  // namespace quay::host
