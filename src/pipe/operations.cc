// SPDX-License-Identifier: BSD-2-Clause
//
// What: the file operations of a pipe's ends that move no bytes, and the checks before those that
//       do.
// Contract: semantics/pipes-signalfd.md A8.
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "core/file_locks.hpp"
#include "pipe/sigio.hpp"
#include "pipe/system.hpp"
#include "pipe/transfer.hpp"

namespace quay::pipe {
namespace {

constexpr unsigned kDeviceMajor = 0;  // like the kernel's own anonymous file systems
constexpr unsigned kDeviceMinor = 0x71;
constexpr std::int64_t kSecond = 1'000'000'000;

timespec time_of(std::int64_t ns) noexcept {
  return {static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)};
}

// Locks belong to files with a name.
bool is_lock(int command) noexcept {
  return core::is_file_lock(command) || command == F_OFD_GETLK || command == F_OFD_SETLK ||
         command == F_OFD_SETLKW;
}

// SIGIO has one number, and goes to a process or to a group.
bool is_linux_sigio(int command) noexcept {
  return command == F_SETSIG || command == F_GETSIG || command == F_SETOWN_EX ||
         command == F_GETOWN_EX;
}

void set_async(direction& d, bool on) noexcept {
  if (on) {
    d.listening.fetch_or(kAsync);
    d.synchronize();
  } else {
    d.listening.fetch_and(~kAsync);
  }
}

// Who does not exist hears of nothing, and owns nothing when his number is taken again.
int set_owner(core::host& os, direction& d, int owner) noexcept {
  if (owner != 0 && os.send_sigio(owner, true) == ESRCH) return -ESRCH;
  d.async_owner.store(owner);
  return 0;
}
int owner_of(core::host& os, const direction& d) noexcept {
  const int owner = d.async_owner.load();
  return owner != 0 && os.send_sigio(owner, true) == ESRCH ? 0 : owner;
}

// The kernel pipe's own readiness, once it carries the bytes.
bool observe_plain(int fd, bool writing, core::observation& out) noexcept {
  pollfd p{fd, static_cast<short>(writing ? POLLOUT : POLLIN), 0};
  constexpr timespec kNow{0, 0};
  if (host::kernel_poll(&p, 1, &kNow, nullptr) < 0) return false;
  int bytes = 0;
  host::kernel_ioctl(fd, FIONREAD, &bytes);
  out.eof = (p.revents & (writing ? POLLERR : POLLHUP)) != 0;
  out.last = writing && out.eof;
  out.ready = (p.revents & p.events) != 0;
  out.data = !writing ? bytes : out.ready ? static_cast<std::int64_t>(kMost) - bytes : 0;
  return true;
}

bool gone_or_eof(const shared_pipe& s, int end) noexcept {
  return s.gone[end].load() != 0 || s.to[end].eof.load() != 0;
}

}  // namespace

long system::read(int fd, const iovec* parts, int count) {
  subject call{};
  if (!look_up(fd, call)) return kAskKernel;
  const cursor to(parts, count);
  return to.left() != 0 ? pipe::read(*this, call, to) : 0;  // reading nothing asks nothing
}

long system::write(int fd, const iovec* parts, int count) {
  subject call{};
  if (!look_up(fd, call)) return kAskKernel;
  return pipe::write(*this, call, cursor(parts, count));
}

long system::reserve(int fd, std::size_t n, iovec& room) {
  subject call{};
  if (n == 0) return -EINVAL;
  return look_up(fd, call) ? pipe::reserve(*this, call, n, room) : -EOPNOTSUPP;
}

long system::commit(int fd, std::size_t n) noexcept {
  subject call{};
  return look_up(fd, call) ? pipe::commit(*this, call, n) : -EOPNOTSUPP;
}

long system::peek(int fd, iovec& bytes) {
  subject call{};
  return look_up(fd, call) ? pipe::peek(*this, call, bytes) : -EOPNOTSUPP;
}

long system::consume(int fd, std::size_t n) noexcept {
  subject call{};
  return look_up(fd, call) ? pipe::consume(*this, call, n) : -EOPNOTSUPP;
}

int system::stat(int fd, struct stat& out) noexcept {
  subject call{};
  if (!look_up(fd, call) || call.memory().plain.load() != 0) return kAskKernel;
  struct stat kernel {};
  if (const int error = host::kernel_stat(fd, kernel); error != 0) return -error;
  const direction& d = call.inbound();
  out = {};
  out.st_mode = S_IFIFO;
  out.st_uid = kernel.st_uid;
  out.st_gid = kernel.st_gid;
  out.st_dev = makedev(kDeviceMajor, kDeviceMinor);
  out.st_ino = call.memory().inode[call.end];
  out.st_size = d.held();
  out.st_blksize = kPage;
  out.st_blocks = static_cast<blkcnt_t>((d.held() + kPage - 1) / kPage);
  out.st_atim = time_of(d.used.load(std::memory_order_relaxed));
  out.st_mtim = time_of(d.changed.load(std::memory_order_relaxed));
  out.st_ctim = time_of(call.memory().made);
  return 0;
}

int system::ioctl(int fd, unsigned long request, void* argument) noexcept {
  subject call{};
  if (!look_up(fd, call)) return kAskKernel;
  direction& d = call.inbound();
  auto* number = static_cast<int*>(argument);
  const bool gets = request == FIONREAD || asks_for_sigio_owner(request);
  const bool sets = request == FIONBIO || request == FIOASYNC || names_sigio_owner(request);
  if (gets && os_.writable_prefix(number, sizeof *number) != sizeof *number) return -EFAULT;
  if (sets && os_.readable_prefix(number, sizeof *number) != sizeof *number) return -EFAULT;
  switch (request) {
    case FIONBIO: {
      const long error = host::kernel_ioctl(fd, FIONBIO, number);
      if (error < 0) return static_cast<int>(error);
      call.memory().nonblocking[call.end].store(*number != 0 ? 1 : 0);
      return 0;
    }
    case FIOASYNC:
      set_async(d, *number != 0);
      return 0;
    case FIONREAD:
      if (call.memory().plain.load() != 0) return kAskKernel;
      *number = static_cast<int>(d.held());
      return 0;
    case FIOSETOWN:
    case TIOCSPGRP:
      return set_owner(os_, d, sigio_owner(request, *number));
    case FIOGETOWN:
    case TIOCGPGRP:
      *number = sigio_owner(request, owner_of(os_, d));
      return 0;
    case FIOCLEX:
    case FIONCLEX:
      return kAskKernel;
    default:
      return -ENOTTY;
  }
}

int system::fcntl(int fd, int command, void* argument) noexcept {
  subject call{};
  if (!look_up(fd, call)) return kAskKernel;
  const auto number = static_cast<int>(reinterpret_cast<std::intptr_t>(argument));
  direction& d = call.inbound();
  switch (command) {
    case F_GETFL: {
      const long flags = host::kernel_control(fd, command, nullptr);
      if (flags < 0) return static_cast<int>(flags);
      const int async = (d.listening.load() & kAsync) != 0 ? O_ASYNC : 0;
      return (static_cast<int>(flags) & ~O_ACCMODE) | O_RDWR | async;
    }
    case F_SETFL: {
      const auto kept = static_cast<std::intptr_t>(number & ~O_ASYNC);
      const long error = host::kernel_control(fd, command, reinterpret_cast<void*>(kept));
      if (error < 0) return static_cast<int>(error);
      call.memory().nonblocking[call.end].store((number & O_NONBLOCK) != 0 ? 1 : 0);
      set_async(d, (number & O_ASYNC) != 0);
      return 0;
    }
    case F_SETOWN:
      return set_owner(os_, d, number);
    case F_GETOWN:
      *static_cast<int*>(argument) = owner_of(os_, d);
      return 0;
    case F_GETPIPE_SZ:
      return static_cast<int>(call.memory().to[0].limit());
    case F_SETPIPE_SZ:
      return -EINVAL;  // sizes follow the traffic and the budget
    default:
      if (is_lock(command)) return -EBADF;
      return is_linux_sigio(command) ? -EINVAL : kAskKernel;
  }
}

int system::answer(int fd, core::file_call what) noexcept {
  subject call{};
  if (!look_up(fd, call) || call.memory().plain.load() != 0) return kAskKernel;
  if (what == core::file_call::epoll) return kAskKernel;
  return what == core::file_call::lock ? -EOPNOTSUPP : -EINVAL;
}

int system::poll(int fd, short events) noexcept {
  subject call{};
  if (!look_up(fd, call) || call.memory().plain.load() != 0) return kAskKernel;
  shared_pipe& s = call.memory();
  const int peer = 1 - call.end;
  if (s.several.load() != 0 && s.gone[peer].load() == 0 && host::hung_up(fd)) {
    end_gone(*call.of, call.life, peer);
  }
  constexpr int kIn = POLLIN | POLLRDNORM;
  constexpr int kOut = POLLOUT | POLLWRNORM;
  const bool ended = s.to[call.end].eof.load() != 0;
  const bool widowed = gone_or_eof(s, peer);
  const direction& out = s.to[peer];
  int found = 0;
  if (s.to[call.end].held() > 0 || ended) found |= events & kIn;
  if (widowed || (!out.has_window() && out.space() >= s.fixed.pipe_buf)) found |= events & kOut;
  if (ended && widowed) found |= POLLHUP;
  return found;
}

// The kernel pipe shows hang-ups, and edges between processes: see ring_doorbell().
short system::kernel_hints(int fd, short events) noexcept {
  subject call{};
  return look_up(fd, call) && call.memory().plain.load() == 0 ? short{0} : events;
}

bool system::observe(int fd, bool writing, core::observation& out) noexcept {
  subject call{};
  if (!look_up(fd, call)) return false;
  shared_pipe& s = call.memory();
  if (s.plain.load() != 0) return observe_plain(fd, writing, out);
  direction& d = writing ? call.outbound() : call.inbound();
  // Who changes the ring publishes, then looks there, with a barrier of its own once it knows of observers.
  const std::uint32_t before =
      d.listening.fetch_or(kObservers | (writing ? kRoomAwaited : kBytesAwaited));
  if ((before & kObservers) != 0) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } else {
    d.synchronize();
  }
  const bool several = s.several.load() != 0;
  // The token goes before we look, so that the next is easily left.
  if (several && call.end == 0) host::take_tokens(fd);
  // Marking the end as gone would call observers, which we must not from here.
  const bool lone = s.gone[1 - call.end].load() != 0 || (several && host::hung_up(fd));
  out.eof = lone || d.eof.load() != 0;
  if (writing) {
    const bool full = d.has_window();
    out.data = full ? 0 : d.space();
    out.ready = out.data >= s.fixed.pipe_buf;
    out.last = lone;
  } else {
    out.data = d.held();
    out.ready = out.data > 0;
  }
  return true;
}

}  // namespace quay::pipe
