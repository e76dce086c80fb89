// SPDX-License-Identifier: BSD-2-Clause
//
// What: memory, sleeping, liveness and descriptors between processes; see sharing.hpp.
#include "host/sharing.hpp"
#include "host/call_numbers.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "host/cancellable_call.hpp"
#include "host/errno_guard.hpp"
#include "host/plain_calls.hpp"

namespace quay::host {

int memory_create(const char* name, std::size_t bytes) noexcept {
  errno_guard keep;
  const int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  // Whoever is sent the object cannot take memory away that others have mapped.
  if (ftruncate(fd, static_cast<off_t>(bytes)) == 0 &&
      ::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
    return fd;
  }
  const int error = errno;
  syscall(SYS_close, fd);
  return -error;
}

std::size_t memory_size(int memory) noexcept {
  errno_guard keep;
  struct stat found {};
  // Only memory objects know of seals.
  const int seals = ::fcntl(memory, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(memory, &found) != 0) return 0;
  return static_cast<std::size_t>(found.st_size);
}

void* memory_map(int memory, std::size_t bytes) noexcept {
  errno_guard keep;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory, 0);
  return p != MAP_FAILED ? p : nullptr;
}

void memory_unmap(void* base, std::size_t bytes) noexcept {
  errno_guard keep;
  munmap(base, bytes);
}

void memory_empty(void* base, std::size_t bytes) noexcept {
  errno_guard keep;
  madvise(base, bytes, MADV_REMOVE);
}

bool is_same_object(int a, int b) noexcept {
  errno_guard keep;
  struct stat one {};
  struct stat other {};
  return ::fstat(a, &one) == 0 && ::fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

namespace {

// A sleep without timeout would be restarted behind a handler installed with SA_RESTART.
timespec limited(std::int64_t timeout) noexcept {
  constexpr std::int64_t kLongest = std::int64_t{3600} * 1000000000;
  if (timeout < 0 || timeout > kLongest) timeout = kLongest;
  return {static_cast<time_t>(timeout / 1000000000), static_cast<long>(timeout % 1000000000)};
}

}  // namespace

int sleep_on_shared(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                    std::int64_t timeout) noexcept {
  errno_guard keep;
  const timespec left = limited(timeout);
  return error_of(
      static_cast<int>(syscall(kFutex, &word, FUTEX_WAIT, expected, &left, nullptr, 0)));
}

int await_on_shared(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                    std::int64_t timeout) {
  errno_guard keep;
  const timespec left = limited(timeout);
  const long result = cancellable_call(kFutex, reinterpret_cast<long>(&word), FUTEX_WAIT,
                                       static_cast<long>(expected), reinterpret_cast<long>(&left));
  return error_of(static_cast<int>(result));
}

void wake_sleeper(std::atomic<std::uint32_t>& word) noexcept {
  errno_guard keep;
  syscall(kFutex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

void wake_all_sleepers(std::atomic<std::uint32_t>& word) noexcept {
  errno_guard keep;
  syscall(kFutex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

// --- other processes ------------------------------------------------------------------------------

uid_t own_uid() noexcept { return getuid(); }
gid_t own_gid() noexcept { return getgid(); }

identity own_identity() noexcept {
  // Reading /proc is dear: once for each process.
  static std::atomic<pid_t> known{0};
  static std::atomic<std::uint64_t> birth{0};
  const auto pid = static_cast<pid_t>(syscall(SYS_getpid));
  if (known.load(std::memory_order_acquire) != pid) {
    birth.store(birth_of(pid), std::memory_order_relaxed);
    known.store(pid, std::memory_order_release);
  }
  return {pid, birth.load(std::memory_order_relaxed)};
}

std::uint64_t birth_of(pid_t pid) noexcept {
  errno_guard keep;
  char text[512];
  std::snprintf(text, sizeof text, "/proc/%d/stat", pid);
  const int fd = plain::open(text, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t n = plain::read(fd, text, sizeof text - 1);
  syscall(SYS_close, fd);
  if (n <= 0) return 0;
  text[n] = '\0';
  // pid (name) state ...: the name may hold anything, so count from its last parenthesis.
  const char* at = std::strrchr(text, ')');
  if (at == nullptr || at[1] == '\0') return 0;
  at += 2;
  if (*at == 'Z' || *at == 'X') return 0;
  constexpr int kFieldsToStart = 19;  // from the state to the start time
  for (int i = 0; i < kFieldsToStart && at != nullptr; ++i) {
    at = std::strchr(at, ' ');
    if (at != nullptr) ++at;
  }
  return at != nullptr ? std::strtoull(at, nullptr, 10) : 0;
}

int shares_file(pid_t other, int fd) noexcept {
  errno_guard keep;
  const long r = syscall(SYS_kcmp, syscall(SYS_getpid), other, KCMP_FILE, fd, fd);
  if (r >= 0) return r == 0 ? 1 : 0;
  return errno == EBADF ? 0 : -1;
}

// --- descriptors in messages ----------------------------------------------------------------------

namespace {
constexpr int kMostDescriptors = 4;
union control_space {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int) * kMostDescriptors)];
};
}  // namespace

int send_descriptors(int socket, std::uint64_t mark, const int* fds, int n) noexcept {
  errno_guard keep;
  control_space control{};
  iovec part{&mark, sizeof mark};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = CMSG_SPACE(sizeof(int) * static_cast<std::size_t>(n));
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * static_cast<std::size_t>(n));
  std::memcpy(CMSG_DATA(header), fds, sizeof(int) * static_cast<std::size_t>(n));
  // By number: through libc the hooks would take it for the program's own.
  return plain::send_message(socket, &message, MSG_NOSIGNAL) >= 0 ? 0 : errno;
}

int receive_descriptors(int socket, std::uint64_t& mark, int* fds, int n) noexcept {
  errno_guard keep;
  control_space control{};
  iovec part{&mark, sizeof mark};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  const ssize_t got = plain::receive_message(socket, &message, MSG_CMSG_CLOEXEC);
  if (got < 0) return -errno;
  int count = 0;
  for (cmsghdr* h = CMSG_FIRSTHDR(&message); h != nullptr; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t came = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < came; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof fd);
      if (count < n) {
        fds[count++] = fd;
      } else {
        syscall(SYS_close, fd);
      }
    }
  }
  if (static_cast<std::size_t>(got) == sizeof mark) return count;
  while (count > 0) syscall(SYS_close, fds[--count]);
  return -EBADMSG;
}

}  // namespace quay::host
