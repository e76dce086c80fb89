// SPDX-License-Identifier: BSD-2-Clause
//
// What: signalfd's calls; see system.hpp.
#include "signalfd/system.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "host/signal_files.hpp"
#include "host/signals.hpp"

namespace quay::signalfd {
namespace {

constexpr std::size_t kRecord = sizeof(signalfd_siginfo);
static_assert(kRecord == 128);
constexpr unsigned long kSetMask = ('s' << 16 | 'f' << 8) | 1;  // SIGNALFDIOC_MASK

std::size_t size_of(const iovec* parts, int count) noexcept {
  std::size_t sum = 0;
  for (int i = 0; i < count; ++i) sum += parts[i].iov_len;
  return sum;
}

// Tells of every record in the first `bytes` of the buffers.
void tell_taken(const iovec* parts, int count, std::size_t bytes) noexcept {
  host::signal_engine& engine = host::signal_engine::instance();
  // The number is a record's first word; it may lie across two buffers.
  std::size_t at = 0;
  std::uint32_t number = 0;
  auto* const word = reinterpret_cast<unsigned char*>(&number);
  for (int i = 0; i < count && at < bytes; ++i) {
    const auto* from = static_cast<const unsigned char*>(parts[i].iov_base);
    for (std::size_t k = 0; k < parts[i].iov_len && at < bytes;) {
      const std::size_t inside = at % kRecord;
      if (inside >= sizeof number) {
        const std::size_t rest = kRecord - inside;
        const std::size_t step = rest < parts[i].iov_len - k ? rest : parts[i].iov_len - k;
        k += step;
        at += step;
        continue;
      }
      word[inside] = from[k++];
      ++at;
      if (inside + 1 == sizeof number) engine.consumed(static_cast<int>(number));
    }
  }
}

}  // namespace

int system::set(int fd, const sigset_t* mask, int flags) noexcept {
  if (fd == -1 && (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)) != 0) return -EINVAL;
  std::uint64_t signals = 0;
  if (fd != -1 && !os_.is_open(fd)) return -EBADF;
  if (mask == nullptr || os_.readable_prefix(mask, sizeof signals) < sizeof signals) return -EFAULT;
  std::memcpy(&signals, mask, sizeof signals);
  const int made = host::signal_file_set(fd, &signals, fd == -1 ? flags : 0);
  if (made == -EINVAL) return -ENOTTY;  // what the mask's ioctl says of any other file
  if (made < 0) return made;
  if (!descriptors_.assign(made, *this)) {
    if (fd == -1) os_.discard(made);
    return -ENOMEM;
  }
  return made;
}

// Without hooks a number may have been closed and be something else by now.
bool system::still_one(int fd) noexcept {
  std::uint64_t signals = 0;
  if (hooked_ || host::signal_file_mask(fd, signals)) return true;
  descriptors_.clear_owner(fd, *this);
  return false;
}

long system::read(int fd, const iovec* parts, int count) {
  if (!still_one(fd)) return kAskKernel;
  if (size_of(parts, count) < kRecord) return -EINVAL;
  std::uint64_t blocked = 0;
  if (!host::signal_file_readable(fd)) {
    std::uint64_t signals = 0;
    if (host::signal_file_mask(fd, signals) && signals == 0) return -EINVAL;
    blocked = signals;
  }
  const long n = host::signal_file_read(fd, parts, count, blocked);
  if (n > 0) tell_taken(parts, count, static_cast<std::size_t>(n));
  return n;
}

long system::write(int fd, const iovec*, int) noexcept {
  return still_one(fd) ? -EBADF : kAskKernel;  // the device is opened for reading
}

int system::stat(int, struct stat&) noexcept { return kAskKernel; }

int system::ioctl(int fd, unsigned long request, void* argument) noexcept {
  if (!still_one(fd)) return kAskKernel;
  if (request == FIONBIO || request == FIOCLEX || request == FIONCLEX) return kAskKernel;
  if (request != kSetMask) return -ENOTTY;
  const int result = set(fd, static_cast<const sigset_t*>(argument), 0);
  return result < 0 ? result : 0;
}

int system::fcntl(int, int, void*) noexcept { return kAskKernel; }

int system::poll(int, short) noexcept { return kAskKernel; }

// Who asks matters: ready is what is pending for the asking thread or its process.
bool system::observe(int fd, bool writing, core::observation& out) noexcept {
  if (!still_one(fd)) return false;
  out = {};
  if (writing || !host::signal_file_readable(fd)) return true;
  std::uint64_t signals = 0;
  host::signal_file_mask(fd, signals);
  const int pending = std::popcount(host::pending_signals() & signals);
  out.ready = true;
  out.data = pending > 0 ? pending : 1;  // unblocked ones are shown by the file alone
  return true;
}

void system::closing(int fd) noexcept { descriptors_.clear_owner(fd, *this); }

void system::duplicated(int, int to) noexcept { descriptors_.assign(to, *this); }

}  // namespace quay::signalfd
