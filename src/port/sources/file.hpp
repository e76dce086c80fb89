// SPDX-License-Identifier: BSD-2-Clause
//
// What: PORT_SOURCE_FILE: the files that one process watches on one port.
// Contract: semantics/ports.md 4.2, with the improvements it recommends: errors are reported, an
//           exception replaces the event that is queued and can be cancelled by dissociating, no
//           bits leak from a cancelled event into the next.
// Invariants:
//   1. A watch holds one slot; its address in the program is its name.
//   2. Every inotify watch is used by as many places (object or directory) as `places` count.
//   3. inotify's queue is read before any watch changes: what it holds belongs to the past.
// Ownership: one for each port and process, recycled with the port; owns an inotify instance and,
//            once a directory is watched, a descriptor that tells of mounts.
// Locking: the port's lock. Path look-ups, which may block, happen before it is taken.
#pragma once

#include "core/growable.hpp"
#include "host/named_files.hpp"
#include "port/port.hpp"

namespace quay::port {

class file_source final : public event_source {
 public:
  // Of a port; `make`: also if it knows none yet. Null, and why: EINVAL, there is none.
  static file_source* of(port& p, bool make, int& error) noexcept;
  // `object` is the association's name; `from` is what lies there, in the library's own layout.
  int associate(port& p, std::uintptr_t object, const file_obj_t* from, int events,
                void* user) noexcept;
  int dissociate(port& p, std::uintptr_t object) noexcept;

  bool deliver(port& p, slot& s, port_event_t& out) noexcept override;
  void due(port& p, int number) noexcept override;
  void closed(core::host& os) noexcept override;

 private:
  struct watch_record {
    std::uintptr_t object;
    slot_index slot;
    std::uint32_t events;  // asked for, FILE_*
    std::uint64_t age;     // associations fire in their order
    dev_t device;
    ino_t inode;
    off_t size;
    int reader;           // the object, to ask for its size; -1: nobody wants to know
    std::uint64_t place;  // where it would be mounted over; 0: it is no directory
    int self;             // inotify watches
    int parent;
    char name[NAME_MAX + 1];
    bool is_directory;
    bool used;
  };

  watch_record* find(std::uintptr_t object) noexcept;
  watch_record* unused() noexcept;
  int start(port& p) noexcept;
  int watch_mounts(port& p) noexcept;
  void take_events(port& p) noexcept;
  void take_mounts(port& p) noexcept;
  int watch_places(watch_record& w, const host::found_file& file) noexcept;
  void drop_place(int watch) noexcept;
  void drop(port& p, watch_record& w, bool free_slot) noexcept;
  void arm(port& p, watch_record& w, int events, void* user) noexcept;
  void happened(port& p, const inotify_event& e, const char* name) noexcept;
  std::uint32_t meaning(watch_record& w, const inotify_event& e, const char* name) noexcept;
  void fire(port& p, watch_record& w, std::uint32_t bits) noexcept;
  void overflowed(port& p) noexcept;

  core::host* os_ = nullptr;
  int watcher_ = -1;
  int mounts_ = -1;  // opened for the first directory
  core::growable<watch_record> watches_;
  std::size_t high_water_ = 0;
  std::uint64_t age_ = 0;
};

}  // namespace quay::port
