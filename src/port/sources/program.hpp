// SPDX-License-Identifier: BSD-2-Clause
//
// What: sources that the program itself is: it reserves events, sends them when it likes, and has a
//       say in their delivery.
// Contract: semantics/ports.md 4.9; <quay/port_source.h>. A function of the program is called in the
//           process that reserved the event and with no lock of ours held.
// Invariants:
//   1. A record names its slot by port opening, index and generation, a slot its record by index and
//      generation: who is gone is not found.
//   2. While a slot is an event's, its record is in use and changes under the port's lock only.
// Ownership: records are recycled, never freed. That of an event that does not stay goes with its
//            delivery, or at once when another process may receive it; any other when given back.
// Locking: the port's lock, under which the records' arena is locked (a leaf); table_ (rank
//          arena) for registrations, with no port's lock held.
#pragma once

#include <quay/port_source.h>

#include "core/arena.hpp"
#include "core/mutex.hpp"
#include "port/port.hpp"

namespace quay::port {

class program_source {
 public:
  static constexpr int kFirst =
      PORT_SOURCE_PROGRAM;  // number of a source; those below are the system's
  using ask_function = int (*)(void* argument, int* events, pid_t pid, int reason,
                               port_kevent_t* event);
  using close_function = void (*)(void* argument, int port, pid_t pid, int last);

  struct event_record {
    std::uint32_t generation;
    port* owner;
    std::uint64_t opening;
    slot_index slot;
    std::uint32_t slot_generation;
    int source;
    bool kept;
    bool own;  // nobody else may receive it, whether it has a function or not
    ask_function ask;
    void* argument;
    std::atomic<bool> departed;  // it was queued when its port was closed
  };
  // The program's name of an event.
  static port_kevent_t* handle_of(event_record& r) noexcept {
    return reinterpret_cast<port_kevent_t*>(&r);
  }
  struct registration {
    std::uint64_t opening;
    int source;
    int references;  // 0: unused
    close_function hook;
    void* argument;
  };

  // All return an errno.
  int reserve(port& p, int source, bool kept, bool own, bool wait, event_record*& out) noexcept;
  int duplicate(const event_record& from, bool kept, bool own, event_record*& out) noexcept;
  int describe(event_record& r, std::uintptr_t object, void* user, ask_function ask,
               void* argument) noexcept;
  int set_events(event_record& r, int events) noexcept;
  int send(event_record& r) noexcept;
  int take_back(event_record& r) noexcept;  // sent, but not received: it is as before
  void give_back(event_record& r) noexcept;
  int enter(port& p, int source, close_function hook, void* argument, registration*& out) noexcept;
  int leave(const port& p, int source, const registration* which) noexcept;

  // --- for the port; its lock is held ---
  event_record* record_of(port& p, const slot& s) noexcept;  // null: gone
  void delivered_locked(event_record& r) noexcept {
    if (!r.kept) records_.release(index_of(r));
  }
  // Of a port that this process is about to leave: which events nobody will receive.
  void leaving_locked(port& p) noexcept;
  // Tells the program of a port that this process has left; with no lock held.
  void left(std::uint64_t opening, int fd, bool last) noexcept;

  void before_fork() noexcept QUAY_NO_ANALYSIS;
  void after_fork_in_parent() noexcept QUAY_NO_ANALYSIS;
  void after_fork_in_child() noexcept QUAY_NO_ANALYSIS;  // sources and events are the parent's

 private:
  static constexpr std::size_t kMostRecords = 1u << 18;
  static constexpr int kMostRegistrations = 256;

  slot_index index_of(const event_record& r) noexcept {
    return static_cast<slot_index>(&r - &records_.at(0));
  }
  static slot* slot_of_locked(const event_record& r) noexcept;  // null: gone
  static bool names_open_port(const event_record& r) noexcept;

  core::arena<event_record> records_{kMostRecords};
  std::atomic<slot_index> high_water_{0};
  core::mutex table_{core::rank::arena};
  registration registrations_[kMostRegistrations] QUAY_GUARDED_BY(table_) = {};
};

}  // namespace quay::port
