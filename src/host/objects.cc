// SPDX-License-Identifier: BSD-2-Clause
//
// What: what the real host can tell about a descriptor's object: kind, bytes, space, backlog, end
//       of file, without consuming anything.
// Contract: core/host.hpp; semantics/kqueue.md 5.1, 5.2 for the figures.
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/sockios.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "host/call_numbers.hpp"
#include "host/errno_guard.hpp"
#include "host/linux_host.hpp"
#include "host/pipes.hpp"
#include "host/plain_calls.hpp"
#include "host/system_call.hpp"

namespace quay::host {
namespace {

using core::object;

// The system call itself, here and below: libc's would be points of cancellation, under a mutex.
bool look(pollfd& p) noexcept {
  const timespec zero{};
  return syscall(kPpoll, &p, 1, &zero, nullptr, 8) == 1;
}

int socket_option(int fd, int level, int name, int otherwise) noexcept {
  int value = otherwise;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, name, &value, &size) == 0 ? value : otherwise;
}

object socket_kind(int fd) noexcept {
  if (socket_option(fd, SOL_SOCKET, SO_ACCEPTCONN, 0) != 0) return object::listening_socket;
  switch (socket_option(fd, SOL_SOCKET, SO_TYPE, SOCK_DGRAM)) {
    case SOCK_STREAM:
      return object::stream_socket;
    case SOCK_SEQPACKET:
      return object::seqpacket_socket;
    default:
      return object::datagram_socket;
  }
}

bool is_inet(int fd) noexcept {
  const int domain = socket_option(fd, SOL_SOCKET, SO_DOMAIN, AF_UNSPEC);
  return domain == AF_INET || domain == AF_INET6;
}

// Queued connections of a unix listener, which only the kernel's socket monitor tells.
std::int64_t unix_backlog(int fd) noexcept {
  struct stat st {};
  if (fstat(fd, &st) != 0) return 1;
  const int link = static_cast<int>(
      syscall(SYS_socket, AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (link < 0) return 1;
  struct {
    nlmsghdr header;
    unix_diag_req request;
  } ask{};
  ask.header.nlmsg_len = sizeof ask;
  ask.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  ask.header.nlmsg_flags = NLM_F_REQUEST;
  ask.request.sdiag_family = AF_UNIX;
  ask.request.udiag_states = ~0u;
  ask.request.udiag_ino = static_cast<std::uint32_t>(st.st_ino);
  ask.request.udiag_show = UDIAG_SHOW_RQLEN;
  ask.request.udiag_cookie[0] = ask.request.udiag_cookie[1] = ~0u;
  std::int64_t queued = 1;
  alignas(nlmsghdr) char answer[1024];
  const long sent = syscall(SYS_sendto, link, &ask, sizeof ask, 0, nullptr, 0);
  const long got =
      sent > 0 ? syscall(SYS_recvfrom, link, answer, sizeof answer, MSG_DONTWAIT, nullptr, nullptr)
               : -1;
  const auto* head = reinterpret_cast<const nlmsghdr*>(answer);
  if (got > 0 && NLMSG_OK(head, static_cast<std::uint32_t>(got)) &&
      head->nlmsg_type == SOCK_DIAG_BY_FAMILY) {
    const auto* message = static_cast<const unix_diag_msg*>(NLMSG_DATA(head));
    const char* at = reinterpret_cast<const char*>(message + 1);
    const char* end = answer + head->nlmsg_len;
    while (at + sizeof(nlattr) <= end) {
      nlattr attribute;
      std::memcpy(&attribute, at, sizeof attribute);
      if (attribute.nla_len < sizeof attribute) break;
      if (attribute.nla_type == UNIX_DIAG_RQLEN) {
        unix_diag_rqlen lengths;
        std::memcpy(&lengths, at + sizeof attribute, sizeof lengths);
        queued = lengths.udiag_rqueue;
      }
      at += NLMSG_ALIGN(attribute.nla_len);
    }
  }
  syscall(SYS_close, link);
  return queued;
}

}  // namespace

bool linux_host::is_open(int fd) noexcept {
  errno_guard keep;
  return fcntl(fd, F_GETFD) >= 0;
}

bool linux_host::is_same_file(int a, int b) noexcept {
  errno_guard keep;
  constexpr int kDupfdQuery = 1024 + 3;  // F_DUPFD_QUERY, Linux 6.10
  const int answer = fcntl(a, kDupfdQuery, b);
  if (answer >= 0) return answer == 1;
  constexpr int kKcmpFile = 0;
  const long pid = syscall(SYS_getpid);
  return syscall(SYS_kcmp, pid, pid, kKcmpFile, a, b) == 0;
}

int descriptor_table_size() noexcept {
  errno_guard keep;
  constexpr int kSmall = 1024;
  char text[2048];
  const int status = plain::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (status < 0) return kSmall;
  const ssize_t n = plain::read(status, text, sizeof text - 1);
  syscall(SYS_close, status);
  text[n > 0 ? n : 0] = '\0';
  const char* line = std::strstr(text, "\nFDSize:");
  return line != nullptr ? std::max(std::atoi(line + sizeof "\nFDSize:" - 1), kSmall) : kSmall;
}

int linux_host::duplicate_of(int fd, int last) noexcept {
  errno_guard keep;
  const int folder = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder < 0) return -1;
  // As the kernel lays them out: struct linux_dirent64, which no header declares.
  constexpr std::size_t kLength = 16;
  constexpr std::size_t kName = 19;
  int found = -1;
  alignas(8) char entries[4096];
  for (long n = 0;
       found < 0 && (n = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0;) {
    for (const char* at = entries; found < 0 && at < entries + n;) {
      std::uint16_t length = 0;
      std::memcpy(&length, at + kLength, sizeof length);
      const char* name = at + kName;
      const int other = *name != '.' ? std::atoi(name) : -1;
      if (other > last && other != fd && other != folder && is_same_file(fd, other)) found = other;
      at += length;
    }
  }
  syscall(SYS_close, folder);
  return found;
}

bool linux_host::put_in_place(int set, int number) noexcept {
  errno_guard keep;
  const int flags = fcntl(number, F_GETFD);
  if (flags < 0) return false;
  return syscall(SYS_dup3, set, number, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) == number;
}

// The system call itself: our own descriptors are no business of an interposed close().
void linux_host::discard(int fd) noexcept {
  errno_guard keep;
  syscall(SYS_close, fd);
}

int linux_host::examine(int fd, core::object_facts& out) noexcept {
  errno_guard keep;
  struct stat st {};
  if (fstat(fd, &st) != 0) return errno;
  const int flags = fcntl(fd, F_GETFL);
  const int access = flags >= 0 ? flags & O_ACCMODE : O_RDWR;
  out.readable = access != O_WRONLY;
  out.writable = access != O_RDONLY;
  out.identity = 0;
  switch (st.st_mode & S_IFMT) {
    case S_IFSOCK:
      out.kind = socket_kind(fd);
      if (is_inet(fd)) out.identity = core::kInetMark;
      return 0;
    case S_IFIFO:
      out.kind = object::pipe;
      out.readable = out.readable || is_nameless_pipe(fd);
      return 0;
    case S_IFREG:
      out.kind = object::regular_file;
      break;
    case S_IFDIR:
      out.kind = object::directory;
      break;
    case S_IFCHR: {
      pollfd p{fd, POLLIN | POLLOUT, 0};
      const bool always = look(p) && (p.revents & (POLLIN | POLLOUT)) != 0;
      out.kind = isatty(fd) ? object::terminal : always ? object::always_ready : object::other;
      break;
    }
    case S_IFBLK:
      out.kind = object::always_ready;
      break;
    default:
      out.kind = object::counter;  // anonymous inodes: eventfd, timerfd, signalfd, pidfd …
      return 0;
  }
  out.identity = (st.st_ino * 0x9e3779b97f4a7c15u ^ st.st_dev) | 2;
  return 0;
}

std::uint32_t linux_host::poll_now(int fd, std::uint32_t events) noexcept {
  errno_guard keep;
  // The bits of epoll and poll agree for everything asked here.
  pollfd p{fd, static_cast<short>(events & 0xffff), 0};
  return look(p) ? static_cast<std::uint32_t>(p.revents) & 0xffffu : 0;
}

std::int64_t linux_host::bytes_to_read(int fd, object) noexcept {
  int n = 0;
  return system_call(SYS_ioctl, fd, FIONREAD, &n) == 0 ? n : -1;
}

std::int64_t linux_host::bytes_behind_mark(int fd) noexcept {
  errno_guard keep;
  int at_mark = 0;
  if (ioctl(fd, SIOCATMARK, &at_mark) != 0 || at_mark == 0) return 0;
  const ssize_t n = recv(fd, nullptr, INT_MAX, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
  return n > 0 ? n : 0;
}

bool linux_host::has_ended(int fd) noexcept {
  errno_guard keep;
  tcp_info info{};
  socklen_t size = sizeof info;
  // Only an end gives a closed socket a segment size to expect; one that never began has 0.
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state == TCP_CLOSE &&
         info.tcpi_rcv_mss != 0;
}

std::int64_t linux_host::backlog(int fd) noexcept {
  errno_guard keep;
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
    return info.tcpi_unacked != 0 ? info.tcpi_unacked : 1;
  }
  return unix_backlog(fd);
}

std::int64_t linux_host::counted(int fd) noexcept {
  errno_guard keep;
  char text[1024];
  std::snprintf(text, sizeof text, "/proc/self/fdinfo/%d", fd);
  const int file = plain::open(text, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  const ssize_t n = plain::read(file, text, sizeof text - 1);
  syscall(SYS_close, file);
  text[n > 0 ? n : 0] = '\0';
  constexpr struct {
    const char* label;
    int base;
  } kLines[] = {{"\neventfd-count:", 16}, {"\nticks:", 10}};
  for (const auto& [label, base] : kLines) {
    const char* line = std::strstr(text, label);
    if (line == nullptr) continue;
    return static_cast<std::int64_t>(std::strtoull(line + std::strlen(label), nullptr, base));
  }
  return -1;
}

std::int64_t linux_host::room_to_write(int fd, object kind) noexcept {
  errno_guard keep;
  int used = 0;
  if (kind == object::pipe) {
    const int size = fcntl(fd, F_GETPIPE_SZ);
    if (size < 0 || ioctl(fd, FIONREAD, &used) != 0) return 4096;
    return size > used ? size - used : 0;
  }
  if (kind == object::counter) return 8;
  if (kind == object::terminal || kind == object::other) {
    constexpr int kTerminalBuffer = 4096;
    if (ioctl(fd, TIOCOUTQ, &used) != 0) return 1;
    return kTerminalBuffer > used ? kTerminalBuffer - used : 0;
  }
  const int size = socket_option(fd, SOL_SOCKET, SO_SNDBUF, 0);
  if (ioctl(fd, SIOCOUTQ, &used) != 0) return size;
  return size > used ? size - used : 0;
}

std::int64_t linux_host::unsent(int fd) noexcept {
  errno_guard keep;
  int used = 0;
  return ioctl(fd, SIOCOUTQ, &used) == 0 ? used : -1;
}

bool linux_host::sending_is_shut(int fd) noexcept {
  errno_guard keep;
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
    return info.tcpi_state == TCP_FIN_WAIT1 || info.tcpi_state == TCP_FIN_WAIT2 ||
           info.tcpi_state == TCP_CLOSING || info.tcpi_state == TCP_LAST_ACK ||
           info.tcpi_state == TCP_TIME_WAIT;
  }
  if (errno != EOPNOTSUPP && errno != ENOPROTOOPT) return false;
  // A unix stream refuses even nothing once sending is shut, and otherwise takes nothing.
  return syscall(SYS_sendto, fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0) < 0 &&
         errno == EPIPE;
}

std::int64_t linux_host::distance_to_end(int fd) noexcept {
  errno_guard keep;
  struct stat st {};
  if (fstat(fd, &st) != 0) return 0;
  const off_t at = lseek(fd, 0, SEEK_CUR);
  return at >= 0 ? static_cast<std::int64_t>(st.st_size) - at : 0;
}

int linux_host::take_socket_error(int fd) noexcept {
  errno_guard keep;
  return socket_option(fd, SOL_SOCKET, SO_ERROR, 0);
}

}  // namespace quay::host
