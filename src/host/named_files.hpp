// SPDX-License-Identifier: BSD-2-Clause
//
// What: finding a file by name and watching it and its place in its directory (inotify).
// Contract: 0 or an errno, a descriptor or -errno; the caller's errno is left alone. find() may
//           block as any path look-up may; nothing else does.
// Ownership: a found file's descriptors are the caller's to discard.
#pragma once

#include <sys/inotify.h>
#include <sys/types.h>

#include <climits>
#include <cstdint>
#include <ctime>

namespace quay::host {

struct found_file {
  int object = -1;               // the file itself, usable for watching only
  int parent = -1;               // its directory; -1: it has none that could be watched
  char name[NAME_MAX + 1] = {};  // in that directory
  std::uint64_t place = 0;       // where a mount would cover it; see each_mount()
};

struct file_state {
  dev_t device;
  ino_t inode;
  off_t size;
  timespec atime, mtime, ctime;
  bool is_directory;
  bool is_fifo;
};

// `path` must be readable memory up to its end.
int find_file(const char* path, bool follow, found_file& out) noexcept;
void release_file(found_file& file) noexcept;
int state_of_file(int object, file_state& out) noexcept;

int file_watcher() noexcept;
// Adds `events` to what is watched of an object; the watch's number, the same for the same file.
int file_watch(int watcher, int object, std::uint32_t events) noexcept;
void file_unwatch(int watcher, int watch) noexcept;
// Visits every mount of the process with the place that it covers: a number made of the path and of the
// mount that the path lies in. `mounts` is core::host::mounts_open()'s.
void each_mount(int mounts, void* context,
                void (*visit)(void* context, std::uint64_t place)) noexcept;
// Whole events, as many as fit; how many bytes.
int file_events(int watcher, void* buffer, std::size_t bytes) noexcept;

}  // namespace quay::host
