// SPDX-License-Identifier: BSD-2-Clause
//
// What: the note (one registration: queue, filter, identifier) and the interest (what one queue
//       has registered with the kernel for one descriptor).
// Contract: semantics/kqueue.md 1.2-1.5; names of the fields follow the seeds' struct knote.
// Invariants:
//   1. queued is set exactly while the note is linked in its queue's ready list.
//   2. A descriptor's notes hang off its interest; all others off the queue's identifier table.
//   3. An interest with no note has nothing registered, except for a one-shot note just delivered
//      in a hooked process, whose registration waits to be taken up again. Only in a hooked process
//      is there such an interest at all: it waits for notes to come, or its descriptor to be closed.
// Ownership: both live in arenas; a queue owns its notes and interests.
// Locking: every field is guarded by the mutex of the owning queue; generation and timing, by which
//          stale names are told, may be read without.
#pragma once

#include <cstdint>

#include "core/slot.hpp"

namespace quay::kqueue {
struct loaded_note;
}  // namespace quay::kqueue

namespace quay::core {

namespace state {
inline constexpr std::uint16_t kActive = 0x1;     // the filter said true since last consumed
inline constexpr std::uint16_t kQueued = 0x2;     // on the ready list
inline constexpr std::uint16_t kDisabled = 0x4;   // must not be delivered; still collects state
inline constexpr std::uint16_t kTriggered = 0x8;  // user events: the trigger is set
inline constexpr std::uint16_t kForced = 0x10;    // to be delivered without asking the filter
inline constexpr std::uint16_t kFailed = 0x20;    // a modification failed; data holds the errno
inline constexpr std::uint16_t kClock = 0x40;     // it is about a point in time: `timer` has it
}  // namespace state

// What is new with every life of the slot; see note.
struct note_body {
  std::uintptr_t ident = 0;
  void* udata = nullptr;
  std::int64_t data = 0;   // report: what the event will carry
  std::int64_t sdata = 0;  // request: low-water mark, period, user data
  std::uint32_t fflags = 0;
  std::uint32_t sfflags = 0;
  std::int16_t filter = 0;
  std::uint16_t flags = 0;   // saved flags of the creating change, plus EOF and the like
  std::uint16_t status = 0;  // state::k… bits
  std::uint8_t misses = 0;   // descriptor notes: reports in a row that the filter denied
  std::uint8_t dir = 0;      // descriptor notes: the direction of the filter
  slot_index prev = kNil;    // ready list
  slot_index next = kNil;
  slot_index link = kNil;  // next note of the interest, next in the hash chain
  slot_index ext = kNil;   // block of FreeBSD's ext[4], when the change brought any
  struct on_descriptor {
    slot_index interest;
    std::uint32_t reported;  // epoll events of the last report
    std::uint32_t epoch;     // harvest that brought it
    std::uint16_t asks;      // epoll events the note is about
    std::uint16_t backoff;   // re-check interval in 16 microseconds, 0 = not re-checking
    std::uint32_t seen;      // notes on queues: life of the inner queue
  };
  struct on_clock {
    std::uint32_t wall;  // 1: the deadline is on the wall clock
    std::int64_t deadline;
    std::int64_t listed;  // the deadline by which the heap has it, not later; see timer_heap.hpp
  };
  struct on_postings {     // signals
    std::uint32_t heeded;  // figures of the last look
    std::uint32_t ignored;
  };
  struct on_process {
    int descriptor;  // -1: none, or no more
    int status;      // of a process that ended, in wait's form
    bool follows;    // the note needs process events
    bool ended;      // its end was noted
    bool left;       // its end was recorded: later records of the number are another's
  };
  struct of_program {     // filters that the program registered
    slot_index interest;  // as in on_descriptor, as all up to here
    std::uint32_t unused[3];
    kqueue::loaded_note* object;
  };
  union {
    on_descriptor descriptor;
    of_program loaded;
    on_clock timer;
    on_postings signal;
    on_process process;
  };

  note_body() noexcept : descriptor{kNil, 0, 0, 0, 0, 0} {}
};
struct note : note_body {
  std::uint32_t generation = 0;
  std::uint32_t timing = 0;  // raised when a timer begins and ends; see timer_heap.hpp

  void begin() noexcept { static_cast<note_body&>(*this) = note_body(); }
};
static_assert(sizeof(void*) != 8 || sizeof(note) <= 96, "a note stays within 96 bytes");

// What kind of object a descriptor refers to; found out when first needed.
enum class object : std::uint8_t {
  unknown,
  stream_socket,
  listening_socket,
  datagram_socket,
  seqpacket_socket,
  pipe,
  terminal,
  regular_file,
  directory,
  always_ready,  // a device that cannot be polled
  kqueue,        // another of our queues
  owned,         // of another system of ours, which observes it for us
  counter,       // eventfd, timerfd, signalfd: a read returns a record
  other,
};

enum direction : std::uint32_t { kIn = 0, kOut = 1, kOther = 2, kDirections = 3 };
// In a token of the set of processes: it names a note, not an interest.
inline constexpr std::uint32_t kOfNote = kDirections;

struct alignas(64) interest {  // one cache line: a report touches it and the note
  // The registration of one direction. Directions are registered apart, each in a set of its own,
  // so that one never re-fires the other's edge.
  struct registration {
    std::uint32_t armed = 0;  // epoll mask the kernel holds, 0 = nothing registered
    std::uint8_t set = 0;     // which of the queue's sets
    bool edge = false;        // forced to edge: the kernel's level is not the filter's
  };

  int descriptor = -1;
  slot_index first = kNil;  // chain of notes through note.link
  std::uint32_t generation = 0;
  object kind = object::unknown;
  bool readable = true;  // see object_facts; valid once kind is known
  bool writable = true;
  bool pollable = true;        // false: the kernel refuses to poll it (EPERM)
  std::uint32_t files = 0;     // first of its links to file watches
  std::uint64_t identity = 0;  // see object_facts
  registration dir[kDirections];

  // A new life of the slot: everything but the generation, which stale names are compared with.
  void begin(int fd) noexcept {
    descriptor = fd;
    first = kNil;
    kind = object::unknown;
    readable = writable = pollable = true;
    files = 0;
    identity = 0;
    for (registration& r : dir) r = {};
  }
};

// FreeBSD 12's ext[4] of a note that was registered with any.
struct ext_block {
  std::uint64_t value[4] = {};
  std::uint32_t generation = 0;
};

// One change or event, whatever layout the caller's struct kevent has.
struct event {
  std::uintptr_t ident;
  void* udata;
  std::int64_t data;
  std::uint32_t fflags;
  std::int16_t filter;
  std::uint16_t flags;
  std::uint64_t ext[4];
};

}  // namespace quay::core
