// SPDX-License-Identifier: BSD-2-Clause
//
// What: kevent() as the faces call it, whatever layout the caller's struct kevent has.
// Contract: semantics/kqueue.md section 2.
#pragma once

#include <cstddef>
#include <ctime>

#include "core/note.hpp"

namespace quay::kqueue {

class system;

struct layout {
  std::size_t size;
  void (*load)(const void* from, core::event& to);
  void (*store)(void* to, const core::event& from);
};

struct lists {
  const void* changes;
  int change_count;
  void* events;
  int event_count;
};

// What the call returns: entries filled, or -1 with an errno (0: errno stays as it is).
struct outcome {
  int value;
  int error;
};

// A cancellation point when there is room for events.
outcome kevent(system& sys, int fd, const layout& shape, const lists& io, const timespec* timeout);

}  // namespace quay::kqueue
