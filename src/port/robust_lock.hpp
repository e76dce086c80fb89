// SPDX-License-Identifier: BSD-2-Clause
//
// What: the lock of a port: lies in shared memory, survives the death of its holder.
// Contract: lock() says what the caller found; after `owner_died` the state must be repaired and
//           recovered() called before anything else is done with it.
// Locking: taken under locks of rank arena or under none, and none under it; system calls that cannot
//          block are made while it is held, nothing else. Its holder is inside the library
//          (core::enter_library): handlers of watched signals wait.
#pragma once

#include <pthread.h>

#include <cerrno>

#include "core/mutex.hpp"

namespace quay::port {

class QUAY_CAPABILITY("port") robust_lock {
 public:
  enum class taken { yes, owner_died, by_this_thread };

  // In fresh or abandoned memory that no other thread uses.
  void reset() noexcept {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex_, &kind);
    pthread_mutexattr_destroy(&kind);
  }
  // `by_this_thread`: a signal handler interrupted the holder; nothing was taken.
  taken lock() noexcept QUAY_NO_ANALYSIS {
    core::enter_library();
    const int error = pthread_mutex_lock(&mutex_);
    if (error == 0) return taken::yes;
    if (error == EOWNERDEAD) return taken::owner_died;
    core::leave_library();
    return taken::by_this_thread;
  }
  void recovered() noexcept { pthread_mutex_consistent(&mutex_); }
  void unlock() noexcept QUAY_NO_ANALYSIS {
    pthread_mutex_unlock(&mutex_);
    core::leave_library();
  }

 private:
  pthread_mutex_t mutex_;
};

}  // namespace quay::port
