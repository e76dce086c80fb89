// SPDX-License-Identifier: BSD-2-Clause
//
// What: Linux's calls that move bytes between descriptors, put in front of libc: a pipe of ours
//       carries its bytes itself, and the kernel's behind it would look empty for ever.
// Contract: splice(2): EINVAL, as of a file system that cannot; programs fall back on read and
//           write. preadv2 and pwritev2 at offset -1 are readv and writev; they know no flags here.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include <cerrno>

#include "faces/hook_points.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::original;

constinit original<ssize_t(int, off64_t*, int, off64_t*, size_t, unsigned)> libc_splice{"splice"};
constinit original<ssize_t(int, int, size_t, unsigned)> libc_tee{"tee"};
constinit original<ssize_t(int, const iovec*, size_t, unsigned)> libc_vmsplice{"vmsplice"};
constinit original<ssize_t(int, int, off_t*, size_t) noexcept> libc_sendfile{"sendfile"};
constinit original<ssize_t(int, int, off64_t*, size_t) noexcept> libc_sendfile64{"sendfile64"};
constinit original<ssize_t(int, const iovec*, int, off_t, int)> libc_preadv2{"preadv2"};
constinit original<ssize_t(int, const iovec*, int, off64_t, int)> libc_preadv64v2{"preadv64v2"};
constinit original<ssize_t(int, const iovec*, int, off_t, int)> libc_pwritev2{"pwritev2"};
constinit original<ssize_t(int, const iovec*, int, off64_t, int)> libc_pwritev64v2{"pwritev64v2"};

[[gnu::constructor]] void look_up_originals() {
  libc_splice.get();
  libc_tee.get();
  libc_vmsplice.get();
  libc_sendfile.get();
  libc_sendfile64.get();
  libc_preadv2.get();
  libc_preadv64v2.get();
  libc_pwritev2.get();
  libc_pwritev64v2.get();
}

bool refused(int fd) noexcept {
  if (!quay_hook_is_ours(fd)) return false;
  const int result = quay_hook_file_call(fd, quay::core::file_call::splice);
  if (result == QUAY_HOOK_PASS) return false;
  errno = -result;
  return true;
}

// `plain` is the call without offset and flags.
template <class Offset, class Plain, class Libc>
ssize_t at_offset(int fd, Offset offset, int flags, Plain plain, Libc libc) {
  if (offset != -1 || !quay_hook_is_ours(fd)) return libc();
  if (flags == 0) return plain();
  if (!refused(fd)) return libc();
  errno = EOPNOTSUPP;
  return -1;
}

}  // namespace

QUAY_HOOK ssize_t splice(int in, off64_t* in_offset, int out, off64_t* out_offset, size_t n,
                         unsigned flags) {
  if (refused(in) || refused(out)) return -1;
  return libc_splice.get()(in, in_offset, out, out_offset, n, flags);
}

QUAY_HOOK ssize_t tee(int in, int out, size_t n, unsigned flags) {
  if (refused(in) || refused(out)) return -1;
  return libc_tee.get()(in, out, n, flags);
}

QUAY_HOOK ssize_t vmsplice(int fd, const iovec* parts, size_t count, unsigned flags) {
  return refused(fd) ? -1 : libc_vmsplice.get()(fd, parts, count, flags);
}

QUAY_HOOK ssize_t sendfile(int out, int in, off_t* offset, size_t n) noexcept {
  if (refused(in) || refused(out)) return -1;
  return libc_sendfile.get()(out, in, offset, n);
}

QUAY_HOOK ssize_t sendfile64(int out, int in, off64_t* offset, size_t n) noexcept {
  if (refused(in) || refused(out)) return -1;
  return libc_sendfile64.get()(out, in, offset, n);
}

QUAY_HOOK ssize_t preadv2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  return at_offset(
      fd, offset, flags, [=] { return readv(fd, parts, count); },
      [=] { return libc_preadv2.get()(fd, parts, count, offset, flags); });
}

QUAY_HOOK ssize_t preadv64v2(int fd, const iovec* parts, int count, off64_t offset, int flags) {
  return at_offset(
      fd, offset, flags, [=] { return readv(fd, parts, count); },
      [=] { return libc_preadv64v2.get()(fd, parts, count, offset, flags); });
}

QUAY_HOOK ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  return at_offset(
      fd, offset, flags, [=] { return writev(fd, parts, count); },
      [=] { return libc_pwritev2.get()(fd, parts, count, offset, flags); });
}

QUAY_HOOK ssize_t pwritev64v2(int fd, const iovec* parts, int count, off64_t offset, int flags) {
  return at_offset(
      fd, offset, flags, [=] { return writev(fd, parts, count); },
      [=] { return libc_pwritev64v2.get()(fd, parts, count, offset, flags); });
}
