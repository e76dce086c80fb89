// SPDX-License-Identifier: BSD-2-Clause
//
// What: the calls that are traced, and the ledger in which the processes of a trace add up what they made.
// Ownership: the memory is made by `quay trace -c`, which prints it when the program has ended, and mapped by the
//            traced processes by the descriptor that QUAY_TRACE_LEDGER names.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace quay::trace {

#define QUAY_TRACED_CALLS(X) \
  X(kqueue)                  \
  X(kqueue1)                 \
  X(kqueuex)                 \
  X(quay_kqueue)             \
  X(kevent)                  \
  X(quay_kevent_ext)         \
  X(port_create)             \
  X(port_create1)            \
  X(port_associate)          \
  X(port_dissociate)         \
  X(port_send)               \
  X(port_sendn)              \
  X(port_get)                \
  X(port_getn)               \
  X(port_alert)              \
  X(port_dispatch)           \
  X(quay_signalfd)           \
  X(quay_pipe2)              \
  X(quay_read)               \
  X(quay_readv)              \
  X(quay_write)              \
  X(quay_writev)             \
  X(quay_close)              \
  X(read)                    \
  X(readv)                   \
  X(write)                   \
  X(writev)

enum class call {
#define QUAY_CALL(name) name,
  QUAY_TRACED_CALLS(QUAY_CALL)
#undef QUAY_CALL
};

inline constexpr const char* kCallNames[] = {
#define QUAY_CALL(name) #name,
    QUAY_TRACED_CALLS(QUAY_CALL)
#undef QUAY_CALL
};
#undef QUAY_TRACED_CALLS
inline constexpr std::size_t kCalls = sizeof kCallNames / sizeof *kCallNames;

struct ledger {
  struct entry {
    std::atomic<std::uint64_t> calls;
    std::atomic<std::uint64_t> errors;
    std::atomic<std::uint64_t> nanoseconds;
  };
  entry entries[kCalls];
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// The environment by which the tool talks to the library.
inline constexpr const char* kLedgerVariable =
    "QUAY_TRACE_LEDGER";  // a descriptor; absent: print lines
inline constexpr const char* kOutputVariable =
    "QUAY_TRACE_OUTPUT";                                           // a file; absent: standard error
inline constexpr const char* kStartVariable = "QUAY_TRACE_START";  // monotonic nanoseconds

}  // namespace quay::trace
