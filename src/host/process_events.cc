// SPDX-License-Identifier: BSD-2-Clause
//
// What: processes on the real host: their end (pidfd), its status, and the kernel's process events
//       (the netlink connector).
// Contract: core/host.hpp. That events arrive is no proof of a registration, for another listener's
//           may be shown; only the answer to our own request is. Without it (other namespaces, a
//           sandbox) there are no process events.
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "host/errno_guard.hpp"
#include "host/linux_host.hpp"
#include "host/plain_calls.hpp"

namespace quay::host {
namespace {

// PIDFD_GET_INFO of Linux 6.13, whose PIDFD_INFO_EXIT came with 6.15.
struct pidfd_facts {
  std::uint64_t mask;
  std::uint64_t cgroup;
  std::uint32_t ids[11];
  std::int32_t exit_code;
};
static_assert(sizeof(pidfd_facts) == 64);
constexpr std::uint64_t kInfoExit = 1u << 3;
constexpr unsigned long kGetInfo = _IOWR(0xFF, 11, pidfd_facts);
constexpr idtype_t kByPidfd = static_cast<idtype_t>(3);

// An own child that nobody has waited for yet stays one.
bool status_of_child(int process, int& status) noexcept {
  siginfo_t info{};
  if (plain::waitid(kByPidfd, static_cast<id_t>(process), &info, WEXITED | WNOHANG | WNOWAIT) !=
          0 ||
      info.si_pid == 0) {
    return false;
  }
  status = info.si_code == CLD_EXITED   ? (info.si_status & 0xff) << 8
           : info.si_code == CLD_DUMPED ? info.si_status | 0x80
                                        : info.si_status;
  return true;
}

bool status_of_reaped(int process, int& status) noexcept {
  pidfd_facts facts{};
  facts.mask = kInfoExit;
  if (ioctl(process, kGetInfo, &facts) != 0 || (facts.mask & kInfoExit) == 0) return false;
  status = facts.exit_code;
  return true;
}

// The kernel shows the status to who might trace the process, and 0 to others.
bool status_of_zombie(std::int64_t pid, int& status) noexcept {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/stat", static_cast<int>(pid));
  const int fd = plain::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  struct stat st {};
  char text[1024];
  const uid_t self = geteuid();
  const bool shown = fstat(fd, &st) == 0 && (self == 0 || st.st_uid == self);
  const ssize_t got = shown ? plain::read(fd, text, sizeof text - 1) : -1;
  syscall(SYS_close, fd);
  if (got <= 0) return false;
  text[got] = '\0';
  const char* last = std::strrchr(text, ' ');
  const char* state = std::strrchr(text, ')');  // the name before it may contain anything
  if (last == nullptr || state == nullptr || std::strncmp(state, ") Z", 3) != 0) return false;
  status = static_cast<int>(std::strtol(last + 1, nullptr, 10));
  return true;
}

// Asks the connector for `words` words; the first is a PROC_CN_MCAST_…
bool ask(int fd, std::uint32_t sequence, std::uint32_t op, std::uint32_t kinds,
         unsigned words) noexcept {
  const std::uint32_t content[2] = {op, kinds};
  const auto size = static_cast<std::uint32_t>(words * sizeof(std::uint32_t));
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(sizeof(cn_msg) + size));
  header.nlmsg_type = NLMSG_DONE;
  cn_msg message{};
  message.id = {CN_IDX_PROC, CN_VAL_PROC};
  message.seq = message.ack = sequence;
  message.len = static_cast<std::uint16_t>(size);
  char packet[NLMSG_HDRLEN + sizeof(cn_msg) + sizeof content];
  std::memcpy(packet, &header, sizeof header);
  std::memcpy(packet + NLMSG_HDRLEN, &message, sizeof message);
  std::memcpy(packet + NLMSG_HDRLEN + sizeof message, content, size);
  return plain::send(fd, packet, header.nlmsg_len, MSG_NOSIGNAL) >= 0;
}

// The next message of the kernel's: 1, 0 when there is none, -1 when some were lost.
int next_message(int fd, cn_msg& head, proc_event& event) noexcept {
  alignas(nlmsghdr) char buffer[512];
  for (;;) {
    sockaddr_nl from{};
    socklen_t size = sizeof from;
    const ssize_t got = plain::receive(fd, buffer, sizeof buffer, MSG_DONTWAIT,
                                       reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == ENOBUFS ? -1 : 0;
    constexpr std::size_t kHead = NLMSG_HDRLEN + sizeof(cn_msg);
    if (from.nl_pid != 0 || static_cast<std::size_t>(got) < kHead) continue;
    std::memcpy(&head, buffer + NLMSG_HDRLEN, sizeof head);
    const std::size_t rest = static_cast<std::size_t>(got) - kHead;
    event = {};
    std::memcpy(&event, buffer + kHead, rest < sizeof event ? rest : sizeof event);
    if (head.id.idx == CN_IDX_PROC && head.id.val == CN_VAL_PROC) return 1;
  }
}

constexpr std::uint32_t kForkBit = 0x1;
constexpr std::uint32_t kExecBit = 0x2;
constexpr std::uint32_t kExitBit = 0x80000000;

}  // namespace

int linux_host::process_open(std::int64_t pid) noexcept {
  errno_guard keep;
  if (pid <= 0 || pid > INT32_MAX) return -ESRCH;
  const long fd = syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0);
  if (fd >= 0) return static_cast<int>(fd);
  return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;  // a thread is no process
}

bool linux_host::process_ended(int process) noexcept {
  errno_guard keep;
  return plain::poll_now(process, POLLIN) != 0;
}

bool linux_host::process_status(int process, std::int64_t pid, int& status) noexcept {
  errno_guard keep;
  return status_of_child(process, status) || status_of_reaped(process, status) ||
         status_of_zombie(pid, status) || status_of_reaped(process, status);
}

bool linux_host::is_process(int fd) noexcept {
  errno_guard keep;
  siginfo_t info{};
  if (plain::waitid(kByPidfd, static_cast<id_t>(fd), &info, WEXITED | WNOHANG | WNOWAIT) == 0)
    return true;
  return errno == ECHILD;  // EBADF: not a process's descriptor
}

bool linux_host::may_signal(std::int64_t pid) noexcept {
  errno_guard keep;
  return kill(static_cast<pid_t>(pid), 0) == 0;
}

int linux_host::process_events_open() noexcept {
  errno_guard keep;
  const int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
  if (fd < 0) return errno == EMFILE || errno == ENFILE ? -errno : -EOPNOTSUPP;
  const int room = 1 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  sockaddr_nl group{};
  group.nl_family = AF_NETLINK;
  group.nl_groups = CN_IDX_PROC;
  static std::atomic<std::uint32_t> counter{0};
  const std::uint32_t sequence = static_cast<std::uint32_t>(getpid()) * 2654435761u +
                                 counter.fetch_add(1, std::memory_order_relaxed) * 2;
  bool answered = false;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&group), sizeof group) == 0 &&
      ask(fd, sequence, PROC_CN_MCAST_LISTEN, 0, 1)) {
    // The answer is queued before send() returns; what stands before it is of no interest yet.
    cn_msg head{};
    proc_event event{};
    while (!answered && next_message(fd, head, event) != 0) {
      answered = event.what == static_cast<decltype(event.what)>(0) && head.ack == sequence + 1 &&
                 event.event_data.ack.err == 0;
    }
  }
  if (!answered) {
    syscall(SYS_close, fd);
    return -EOPNOTSUPP;
  }
  // Since Linux 6.6 the kernel leaves out what is not asked for; an older one ignores this.
  ask(fd, sequence + 1, PROC_CN_MCAST_LISTEN, kForkBit | kExecBit | kExitBit, 2);
  return fd;
}

void linux_host::process_events_close(int fd) noexcept {
  errno_guard keep;
  ask(fd, 0, PROC_CN_MCAST_IGNORE, 0, 1);
  syscall(SYS_close, fd);
}

int linux_host::process_events_read(int fd, core::process_event* out, int most) noexcept {
  errno_guard keep;
  using kind = core::process_event::kind;
  cn_msg head{};
  proc_event e{};
  int n = 0;
  while (n < most) {
    const int got = next_message(fd, head, e);
    if (got == 0) break;
    if (got < 0) {
      out[n++] = {kind::lost, 0, 0, 0};
      continue;
    }
    switch (static_cast<std::uint32_t>(e.what)) {
      case kForkBit:
        // A new thread is told as a fork too.
        if (e.event_data.fork.child_pid != e.event_data.fork.child_tgid) break;
        out[n++] = {kind::forked, e.event_data.fork.parent_tgid, e.event_data.fork.child_tgid, 0};
        break;
      case kExecBit:
        out[n++] = {kind::executed, e.event_data.exec.process_tgid, 0, 0};
        break;
      case kExitBit:
        if (e.event_data.exit.process_pid != e.event_data.exit.process_tgid) break;
        out[n++] = {kind::ended, e.event_data.exit.process_tgid, 0,
                    static_cast<int>(e.event_data.exit.exit_code)};
        break;
      default:
        break;
    }
  }
  return n;
}

}  // namespace quay::host
