// SPDX-License-Identifier: BSD-2-Clause
//
// What: libc's calls that take away a mapping or its rights: each tells libquay, which may remember
//       where the caller's lists lie only as long as nothing was taken away.
// Contract: src/core/known_memory.hpp. What libc does for itself (free, a thread's stack) is not seen:
//           only memory that the program had given up could be meant.
#include <sys/mman.h>
#include <sys/shm.h>

#include <cstdarg>

#include "faces/hook_points.hpp"
#include "hooks/original.hpp"

namespace {

using quay::hooks::original;

constinit original<int(void*, size_t) noexcept> libc_munmap{"munmap"};
constinit original<int(void*, size_t, int) noexcept> libc_mprotect{"mprotect"};
constinit original<void*(void*, size_t, size_t, int, ...) noexcept> libc_mremap{"mremap"};
constinit original<void*(void*, size_t, int, int, int, off_t) noexcept> libc_mmap{"mmap"};
constinit original<void*(void*, size_t, int, int, int, off64_t) noexcept> libc_mmap64{"mmap64"};
constinit original<int(const void*) noexcept> libc_shmdt{"shmdt"};

[[gnu::constructor]] void look_up_originals() {
  libc_munmap.get();
  libc_mprotect.get();
  libc_mremap.get();
  libc_mmap.get();
  libc_mmap64.get();
  libc_shmdt.get();
}

}  // namespace

QUAY_HOOK int munmap(void* p, size_t n) noexcept {
  quay_hook_unmapping();
  return libc_munmap.get()(p, n);
}

QUAY_HOOK int mprotect(void* p, size_t n, int rights) noexcept {
  quay_hook_unmapping();
  return libc_mprotect.get()(p, n, rights);
}

QUAY_HOOK void* mremap(void* p, size_t from, size_t to, int flags, ...) noexcept {
  va_list args;
  va_start(args, flags);
  void* fixed = (flags & MREMAP_FIXED) ? va_arg(args, void*) : nullptr;
  va_end(args);
  quay_hook_unmapping();
  return libc_mremap.get()(p, from, to, flags, fixed);
}

QUAY_HOOK void* mmap(void* p, size_t n, int rights, int flags, int fd, off_t at) noexcept {
  if (flags & MAP_FIXED) quay_hook_unmapping();
  return libc_mmap.get()(p, n, rights, flags, fd, at);
}

QUAY_HOOK void* mmap64(void* p, size_t n, int rights, int flags, int fd, off64_t at) noexcept {
  if (flags & MAP_FIXED) quay_hook_unmapping();
  return libc_mmap64.get()(p, n, rights, flags, fd, at);
}

QUAY_HOOK int shmdt(const void* p) noexcept {
  quay_hook_unmapping();
  return libc_shmdt.get()(p);
}
