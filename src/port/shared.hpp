// SPDX-License-Identifier: BSD-2-Clause
//
// What: a port as it lies in memory that several processes map: one header, then the slots.
// Contract: semantics/ports.md section 1. No pointers: slots, waiters and processes are named by
//           index, so every process may map the memory where it likes.
// Invariants:
//   1. slot.state is the truth. Lists, buckets and counts are derived from it and from slot.order;
//      a change becomes real with the store to state, so whatever instruction the holder of the
//      lock dies at, repair_locked() finds each event either queued or not.
//   2. queued counts the slots in state queued; they are linked from head to tail in rising order.
//   3. used counts the slots not in state free; it never exceeds most_slots.
//   4. Waiters are linked by rising request, first come first among equals.
//   5. At most one waiter, the leader, sleeps in the epoll set; the others sleep on their words.
// Locking: everything is guarded by `lock`, except the atomics, which are read without it as hints.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/slot.hpp"
#include "host/biased_mutex.hpp"

namespace quay::port {

using core::kNil;
using core::slot_index;

enum class slot_state : std::uint8_t {
  free,
  idle,    // kept by its owner; nothing will fire it
  armed,   // its source may fire it
  queued,  // waits to be delivered
};

// Traits of a slot.
inline constexpr std::uint8_t kKept = 1;         // delivery leaves it to its owner
inline constexpr std::uint8_t kOwnerOnly = 2;    // only the owning process may receive it
inline constexpr std::uint8_t kAsksSource = 4;   // delivery asks the owner's source first
inline constexpr std::uint8_t kAsksProgram = 8;  // and this the owning program, without the lock
inline constexpr std::uint8_t kOwnView = 16;     // readiness differs by process (a signalfd)

// How the kernel watches a slot's descriptor.
enum class watch : std::uint8_t {
  none,
  level,     // left armed; a report that nobody wants narrows it
  one_shot,  // armed for one report
  spent,     // registered, will not report
  always,    // the kernel refuses it since it is always ready
  owned,     // of another system of ours: edges say to ask it
  asked,     // not at all: its process asks, see ask_for_own_locked()
};
constexpr bool is_registered(watch k) noexcept {
  return k != watch::none && k != watch::always && k != watch::asked;
}

constexpr bool reports(watch k) noexcept {
  return k == watch::level || k == watch::one_shot || k == watch::owned;
}

// All that an event needs whose source is the program or a clock, in one cache line: between two
// processors each line is a hundred nanoseconds.
struct alignas(64) slot {
  std::uint64_t order;  // place in the queue
  std::uint64_t object;
  std::uint64_t user;
  std::uint64_t data;  // the source's own
  std::int32_t events;
  std::uint16_t source;
  slot_state state;
  std::uint8_t traits;
  std::uint32_t generation;
  std::uint32_t owner;  // process
  slot_index next;      // in the queue, or the next free one
  slot_index prev;
  std::int32_t fd;  // of an association, -1: it is none
  watch kernel;
  std::uint8_t disarms;  // in a row, without a re-association in between
  std::uint8_t cleans;   // re-associations since the kernel was told to report once only
};
// The rest of an association with a descriptor.
struct association {
  slot_index next_in_bucket;
  std::uint32_t wanted;      // poll bits
  std::uint32_t registered;  // poll bits the kernel was given
  std::uint32_t look;        // number of the look that fired it
  std::uint64_t armed_at;    // order stamp of the latest association
};
static_assert(sizeof(slot) == 64);
static_assert(sizeof(slot) + sizeof(association) <= 128, "the promise is 128 bytes a slot");
inline constexpr slot_index kSlotsPerPage = 4096 / sizeof(slot);

struct alert_record {
  std::uint64_t user;
  std::int32_t events;
  std::uint32_t owner;
};

struct waiter {
  std::atomic<std::uint32_t> word;  // see waiting.cc, invariant 1
  std::uint32_t request;
  std::uint64_t arrival;
  std::uint64_t nothing_up_to;  // it may have none of what was queued up to this place
  std::uint32_t process;
  std::uint16_t next;
  std::uint8_t used;
  std::uint8_t alerted;  // leaves with its own copy of the alert
  alert_record alert;
};

struct process {
  pid_t pid;  // 0: free
  std::uint32_t life;
  std::uint64_t birth;
  std::uint32_t due;      // sources, by bit, whose descriptors were reported to another process
  std::uint32_t sources;  // those that have a descriptor of their own
};

// A slot's number fits an epoll registration's name, and all slots the address space.
inline constexpr std::uint32_t kMostSlots = sizeof(void*) == 8 ? 1u << 27 : 1u << 24;
inline constexpr std::uint32_t kMostProcesses = 128;
inline constexpr std::uint32_t kMostWaiters = 4096;
inline constexpr std::uint32_t kBuckets = 2048;
inline constexpr std::uint32_t bucket_of(int fd) noexcept {
  return static_cast<std::uint32_t>(fd) % kBuckets;
}
inline constexpr std::uint32_t kNobody = UINT32_MAX;
// How long the death of another process may go unnoticed.
inline constexpr std::int64_t kTick = 50000000;
inline constexpr std::uint64_t kMagic = 0x3474726f70796175;

// Ends a walk along links that another process may have bent into a circle.
class walk_limit {
 public:
  explicit walk_limit(std::uint32_t most) noexcept : left_(most) {}
  template <class Index>
  Index operator()(Index next) noexcept {
    return left_ != 0 ? --left_, next : Index{0};
  }

 private:
  std::uint32_t left_;
};

struct alignas(64) shared_state {
  // What every send writes and every get too, in one cache line.
  host::biased_mutex lock;
  std::uint64_t order;  // the last place given away
  std::atomic<std::uint32_t> queued;
  slot_index head;
  slot_index tail;
  std::uint32_t used;
  slot_index free_head;
  std::uint32_t watched;       // slots that the kernel may report
  std::uint16_t first_waiter;  // 0: none; waiter 0 is never used
  std::uint16_t leader;
  // Truth values that others can write are bytes: of a bool only 0 and 1 may be read.
  std::uint8_t pollable;
  std::uint8_t bell_rung;            // the epoll set is readable for what lies in `queue`
  std::atomic<std::uint8_t> shared;  // more than one process uses the port; a hint without the lock
  std::uint8_t alert_on;

  // What is seldom written.
  alignas(64) std::uint64_t magic;
  std::uint64_t bytes;
  std::uint32_t life;  // raised each time the memory becomes a new port
  std::uint32_t most_slots;
  uid_t creator_uid;
  gid_t creator_gid;
  std::int64_t created;
  std::uint32_t high_water;          // the last slot that is used or in the free list
  std::atomic<std::uint32_t> freed;  // moves when a full port has room again
  std::uint32_t waiters_high;        // no waiter above this one is in use
  std::uint8_t had_descriptors;

  // What senders write alone, and what receivers do.
  alignas(64) std::uint64_t sent;
  std::uint64_t refused;  // for want of a slot
  alignas(64) std::uint64_t delivered;
  std::uint64_t denied;  // deliveries that the program did not want
  std::uint64_t cancelled;
  std::uint64_t arrivals;
  std::uint64_t looked_at;  // the place that was last given away when the kernel was last asked
  std::uint32_t looks;
  slot_index free_tail;  // while free_head names one
  alert_record alert;

  process processes[kMostProcesses];
  std::atomic<slot_index> buckets[kBuckets];
  waiter waiters[kMostWaiters];

  slot* slots() noexcept { return reinterpret_cast<slot*>(this + 1); }
  // Behind the slots, as many.
  association* associations(std::uint32_t most) noexcept {
    return reinterpret_cast<association*>(slots() + most + 1);
  }
  // Whatever another process has written there, within the tables; for slots see port::slot_at().
  waiter& waiter_at(std::uint32_t i) noexcept { return waiters[i % kMostWaiters]; }
  process& process_at(std::uint32_t i) noexcept { return processes[i % kMostProcesses]; }

  // Of kMostSlots at most.
  static std::size_t size_for(std::uint32_t most_slots) noexcept {
    const std::size_t bytes =
        sizeof(shared_state) + (std::size_t{most_slots} + 1) * (sizeof(slot) + sizeof(association));
    return (bytes + 4095) & ~std::size_t{4095};
  }
};

static_assert(offsetof(shared_state, magic) == 64, "sends and gets share one line");

}  // namespace quay::port
