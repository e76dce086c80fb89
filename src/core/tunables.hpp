// SPDX-License-Identifier: BSD-2-Clause
//
// What: the numbers a user may set (QUAY_TUNABLES, quay_tunable_set) and the counters that
//       quay_stats_get shows.
// Locking: all atomic, relaxed: no tunable or counter orders anything else.
#pragma once

#include <sys/single_threaded.h>

#include <atomic>
#include <cstdint>

#include "core/processor.hpp"

namespace quay::core {

struct tunables {
  std::atomic<long> kq_calloutmax{4096};     // timers in all queues (kern.kq_calloutmax)
  std::atomic<long> kq_checkloop{1000000};   // kept for its name; the scan here cannot loop
  std::atomic<long> so_error_in_fflags{0};   // 1: EV_EOF events consume and carry SO_ERROR
  std::atomic<long> aio_backend{0};          // how requests are performed: aio::engine::k…
  std::atomic<long> spin_us{50};             // longest watch before sleeping, microseconds
  std::atomic<long> port_max_events{65536};  // slots of one port (process.max-port-events)
  std::atomic<long> port_max_ids{8192};      // ports (project.max-port-ids)
  std::atomic<long> port_max_list{8192};     // ports in one step of port_sendn

  // Pipes: kern.ipc.*; sizes of a pipe are those in force when it was made.
  std::atomic<long> pipe_buf{4096};         // atomic writes, and the space that is "writable"
  std::atomic<long> small_pipe_size{8192};  // backward, and everything under memory pressure
  std::atomic<long> pipe_size{16384};       // forward, fresh
  std::atomic<long> big_pipe_size{65536};   // where growth ends
  std::atomic<long> pipe_mindirect{8192};   // blocking writes from here on wait for the reader
  std::atomic<long> piperesizeallowed{1};   // only 1 means yes
  std::atomic<long> maxpipekva{0};          // all rings together; set when first used
};

// What happened to the memory of pipes.
struct pipe_counters {
  std::atomic<std::uint64_t> fragment_retries{0};     // kern.ipc.pipefragretry
  std::atomic<std::uint64_t> allocation_failures{0};  // kern.ipc.pipeallocfail
  std::atomic<std::uint64_t> resize_failures{0};      // kern.ipc.piperesizefail
};

struct counters {
  std::atomic<std::uint64_t> queues{0};
  std::atomic<std::uint64_t> timers{0};
  std::atomic<std::uint64_t> lazy_disarms{0};
  std::atomic<std::uint64_t> identity_checks{0};
  std::atomic<std::uint64_t> stale_dropped{0};
  std::atomic<std::uint64_t> rebuilds{0};
  std::atomic<std::uint64_t> doorbells{0};
  std::atomic<std::uint64_t> sleeps{0};
  std::atomic<std::uint64_t> spin_hits{0};
  std::atomic<std::uint64_t> forks_survived{0};
  std::atomic<std::uint64_t> timer_programmings{0};
  std::atomic<std::uint64_t> epoll_ctls{0};
  std::atomic<std::uint64_t> ports{0};
};

// Counts; returns what the figure was before. A locked instruction only where there are threads.
template <class T, class By>
T add_to(std::atomic<T>& c, By by) noexcept {
  return __libc_single_threaded != 0 ? add_undivided(c, static_cast<T>(by))
                                     : c.fetch_add(static_cast<T>(by), std::memory_order_relaxed);
}
inline void bump(std::atomic<std::uint64_t>& c) noexcept { add_to(c, 1); }

}  // namespace quay::core
