// SPDX-License-Identifier: BSD-2-Clause
//
// What: the entry points of libquay-hooks; see hook_points.hpp.
#include "faces/hook_points.hpp"

#include <sys/sysmacros.h>

#include <limits.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "faces/process_system.hpp"
#include "host/linux_host.hpp"
#include "host/signals.hpp"

using quay::faces::descriptors;
using quay::host::signal_engine;

int quay_hook_concerns(int fd) {
  if (fd < 0) {
    if (fd == quay::host::kSelfTestDescriptor) quay::host::hooks_announced();
    return 0;
  }
  if (!descriptors().concerns_us(fd)) return 0;
  quay::faces::notice_fork();
  if (!descriptors().concerns_us(fd)) return 0;
  // A child of vfork runs in our memory but closes its own descriptors.
  return syscall(SYS_getpid) == quay::faces::system_pid() ? 1 : 0;
}

void quay_hook_closing(int fd) { descriptors().closing(fd); }
void quay_hook_closed(int fd) { descriptors().closed(fd); }
int quay_hook_is_ours(int fd) { return descriptors().owner_of(fd) != nullptr ? 1 : 0; }

void quay_hook_duplicated(int from, int to) {
  if (quay::core::descriptor_owner* owner = descriptors().owner_of(from); owner != nullptr) {
    owner->duplicated(from, to);
  }
}

int quay_hook_sending(int fd) {
  quay::core::descriptor_owner* owner = descriptors().owner_of(fd);
  return owner != nullptr ? owner->sending(fd) : 0;
}

namespace {
// Of a number that is nobody's: QUAY_HOOK_PASS.
template <class Ask>
int ask(int fd, Ask question) noexcept {
  quay::core::descriptor_owner* owner = descriptors().owner_of(fd);
  if (owner == nullptr) return QUAY_HOOK_PASS;
  static_assert(quay::core::descriptor_owner::kAskKernel == QUAY_HOOK_PASS);
  return question(*owner);
}
}  // namespace

int quay_hook_stat(int fd, struct statx* out) {
  struct stat found {};
  const int result = ask(fd, [&](quay::core::descriptor_owner& o) { return o.stat(fd, found); });
  if (result < 0) return result;
  const auto time = [](const timespec& t) {
    struct statx_timestamp is {};
    is.tv_sec = t.tv_sec;
    is.tv_nsec = static_cast<std::uint32_t>(t.tv_nsec);
    return is;
  };
  *out = {};
  out->stx_dev_major = major(found.st_dev);
  out->stx_dev_minor = minor(found.st_dev);
  out->stx_ino = found.st_ino;
  out->stx_mode = static_cast<std::uint16_t>(found.st_mode);
  out->stx_nlink = static_cast<std::uint32_t>(found.st_nlink);
  out->stx_uid = found.st_uid;
  out->stx_gid = found.st_gid;
  out->stx_size = static_cast<std::uint64_t>(found.st_size);
  out->stx_blksize = static_cast<std::uint32_t>(found.st_blksize);
  out->stx_blocks = static_cast<std::uint64_t>(found.st_blocks);
  out->stx_atime = time(found.st_atim);
  out->stx_mtime = time(found.st_mtim);
  out->stx_ctime = time(found.st_ctim);
  return result;
}

int quay_hook_ioctl(int fd, unsigned long request, void* argument) {
  return ask(fd, [&](quay::core::descriptor_owner& o) { return o.ioctl(fd, request, argument); });
}

int quay_hook_fcntl(int fd, int command, void* argument) {
  return ask(fd, [&](quay::core::descriptor_owner& o) { return o.fcntl(fd, command, argument); });
}

int quay_hook_file_call(int fd, quay::core::file_call what) {
  return ask(fd, [&](quay::core::descriptor_owner& o) { return o.answer(fd, what); });
}

std::size_t quay_readable(const void* p, std::size_t n) {
  return quay::host::linux_host::instance().readable_prefix(p, n);
}
std::size_t quay_hook_writable(void* p, std::size_t n) {
  return quay::host::linux_host::instance().writable_prefix(p, n);
}

int quay_hook_highest(void) { return descriptors().highest(); }

int quay_hook_table_size(void) { return quay::host::descriptor_table_size(); }

void quay_hook_unmapping(void) { quay::host::mapping_changed(); }

namespace {
quay::core::descriptor_owner* owner_of(int fd) noexcept {
  // A child of vfork runs in our memory with descriptors of its own.
  quay::core::descriptor_owner* owner = descriptors().owner_of(fd);
  return owner != nullptr && quay_hook_concerns(fd) != 0 ? owner : nullptr;
}
}  // namespace

long quay_hook_read(int fd, void* buffer, std::size_t n) {
  auto* const owner = owner_of(fd);
  if (owner == nullptr) return quay::core::descriptor_owner::kAskKernel;
  const iovec whole{buffer, n};
  return n <= SSIZE_MAX ? owner->read(fd, &whole, 1) : -EINVAL;
}

long quay_hook_write(int fd, const void* buffer, std::size_t n) {
  auto* const owner = owner_of(fd);
  if (owner == nullptr) return quay::core::descriptor_owner::kAskKernel;
  const iovec whole{const_cast<void*>(buffer), n};
  return n <= SSIZE_MAX ? owner->write(fd, &whole, 1) : -EINVAL;
}

long quay_hook_readv(int fd, const iovec* parts, int count) {
  auto* const owner = owner_of(fd);
  if (owner == nullptr) return quay::core::descriptor_owner::kAskKernel;
  const long total = quay::core::total_of(quay::host::linux_host::instance(), parts, count);
  return total < 0 ? total : owner->read(fd, parts, count);
}

long quay_hook_writev(int fd, const iovec* parts, int count) {
  auto* const owner = owner_of(fd);
  if (owner == nullptr) return quay::core::descriptor_owner::kAskKernel;
  const long total = quay::core::total_of(quay::host::linux_host::instance(), parts, count);
  return total < 0 ? total : owner->write(fd, parts, count);
}

int quay_hook_pipe(int fds[2], int flags) { return quay::faces::process_pipes().open(fds, flags); }

void quay_hook_before_exec(void) {
  // Without a descriptor of ours there is nothing to do, and a child of vfork must not do it.
  if (descriptors().highest() >= 0 && syscall(SYS_getpid) == quay::faces::system_pid()) {
    quay::faces::process_pipes().before_exec();
  }
  signal_engine::instance().before_exec();
}

QUAY_HANDLER_SAFE int quay_hook_watches_signal(int number) {
  return signal_engine::watches(number) ? 1 : 0;
}
int quay_hook_sigaction(int number, const struct sigaction* act, struct sigaction* old) {
  return signal_engine::instance().change(number, act, old);
}
int quay_hook_posts_ignored(int number, pid_t process) {
  return signal_engine::instance().post_ignored(number, process) ? 1 : 0;
}
std::uint64_t quay_hook_before_post(int number) {
  return signal_engine::instance().before_post(number);
}
void quay_hook_after_post(int number, pid_t process, std::uint64_t before) {
  signal_engine::instance().after_post(number, process, before);
}
void quay_hook_signal_taken(int number) { signal_engine::instance().consumed(number); }
void quay_hook_after_exec(void) { signal_engine::instance().after_exec(); }
