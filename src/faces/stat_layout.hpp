// SPDX-License-Identifier: BSD-2-Clause
//
// What: what is known of a descriptor of ours, in whichever layout of struct stat the caller has: all have
//       the same members, whose sizes differ on 32-bit machines.
// Contract: as stat(2), which refuses with EOVERFLOW what a member cannot hold.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <type_traits>

namespace quay::faces {

// False: a member is too small. Static, because `struct stat` names different types in files that are
// compiled for different widths of time.
template <class Stat>
static bool lay_out(const struct statx& found, Stat& out) noexcept {
  bool fits = true;
  const auto set = [&](auto& member, auto value) {
    member = static_cast<std::remove_reference_t<decltype(member)>>(value);
    fits = fits && static_cast<decltype(value)>(member) == value;
  };
  const auto set_time = [&](auto& member, const struct statx_timestamp& value) {
    set(member.tv_sec, value.tv_sec);
    set(member.tv_nsec, value.tv_nsec);
  };
  out = Stat{};
  set(out.st_dev, makedev(found.stx_dev_major, found.stx_dev_minor));
  set(out.st_ino, found.stx_ino);
  set(out.st_mode, found.stx_mode);
  set(out.st_nlink, found.stx_nlink);
  set(out.st_uid, found.stx_uid);
  set(out.st_gid, found.stx_gid);
  set(out.st_size, found.stx_size);
  set(out.st_blksize, found.stx_blksize);
  set(out.st_blocks, found.stx_blocks);
  set_time(out.st_atim, found.stx_atime);
  set_time(out.st_mtim, found.stx_mtime);
  set_time(out.st_ctim, found.stx_ctime);
  return fits;
}

}  // namespace quay::faces
