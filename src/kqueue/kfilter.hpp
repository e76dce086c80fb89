// SPDX-License-Identifier: BSD-2-Clause
//
// What: filters that the program registers: their names and numbers, and the notes that run the
//       program's functions.
// Contract: semantics/kqueue.md 5.12; seed netbsd-kern_event.c, kfilter_register and what follows,
//           but numbers are never used again.
// Invariants:
//   1. A number is given once; its entry stays for the life of the process. An entry counts the
//      notes that use it; one without notes may be closed, and then takes no more.
//   2. The program's functions run with no lock of ours held. A queue whose mutex was let go for
//      one may have lost the note meanwhile: who comes back looks it up by its generation.
//   3. f_event never runs after f_detach began; f_detach runs once, after f_attach succeeded.
// Ownership: a loaded_note belongs to its note until that is dropped, then to the thread that dropped
//            it, which runs f_detach when it has let go of the queue (run_detaches).
// Locking: names by filter_names_lock() (rank registry); everything of a loaded_note by its queue's mutex.
#pragma once

#include <quay/kfilter.h>

#include <atomic>
#include <cstdint>

#include "kqueue/queue.hpp"

namespace quay::kqueue {

inline constexpr int kFirstLoadedFilter = 16;
inline constexpr int kLastLoadedFilter = INT16_MAX;

struct loaded_note;
using program_note = struct ::knote;  // its plain name is the function's

// Taken with the system's own at a fork.
core::mutex& filter_names_lock() noexcept;

// As the C functions: 0 or an errno.
int register_filter(const char* name, const filterops& ops, int* number) noexcept;
int unregister_filter(const char* name) noexcept;

// The filter of a number that was given; null when it was not, or was taken back.
filter* find_loaded_filter(std::int16_t number) noexcept;
// The same for a note that exists.
filter& loaded_filter_of(std::int16_t number) noexcept;
// A filter's name, the system's included; null when there is none. And the other way: 0 = none.
const char* name_of_filter(int number) noexcept;
int filter_named(const char* name) noexcept;

// Asks a note that its program says has changed.
void notify(program_note& kn, long hint) noexcept;

// Runs f_detach for what this thread dropped. Call without any lock, at the end of a public call.
extern constinit thread_local loaded_note* t_dropped __attribute__((tls_model("initial-exec")));
void run_detaches_now() noexcept;
inline void run_detaches() noexcept {
  if (t_dropped != nullptr) run_detaches_now();
}
// In a child of fork nobody else is inside a function of a filter.
void forget_other_threads(bool in_child) noexcept;

}  // namespace quay::kqueue
