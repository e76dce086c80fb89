// SPDX-License-Identifier: BSD-2-Clause
//
// What: threads that are cancelled in a call.
// Contract: join() tells whether the cancellation acted in the call, or the call returned.
#pragma once

#include <pthread.h>

#include <functional>

#include "threads.hpp"

namespace quay::test {

class cancellable_call {
 public:
  enum class start { at_once, when_cancelled };

  explicit cancellable_call(std::function<void()> call, start when = start::at_once)
      : call_(std::move(call)), go_(when == start::at_once) {
    EXPECT_EQ(::pthread_create(&thread_, nullptr, run, this), 0);
  }
  cancellable_call(const cancellable_call&) = delete;
  cancellable_call& operator=(const cancellable_call&) = delete;

  bool falls_asleep() const {
    while (tid_ == 0) std::this_thread::yield();
    return test::falls_asleep(tid_, returned_);
  }
  // A call that was to start when cancelled finds the cancellation pending.
  void cancel() {
    EXPECT_EQ(::pthread_cancel(thread_), 0);
    go_ = true;
  }
  bool join() {
    void* result = nullptr;
    EXPECT_EQ(::pthread_join(thread_, &result), 0);
    return result == PTHREAD_CANCELED && !returned_;
  }

 private:
  static void* run(void* self) {
    auto* me = static_cast<cancellable_call*>(self);
    me->tid_ = static_cast<pid_t>(::syscall(SYS_gettid));
    while (!me->go_) ::sched_yield();
    me->call_();
    int before = 0;
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    me->returned_ = true;
    return nullptr;
  }

  const std::function<void()> call_;
  std::atomic<bool> go_;
  std::atomic<pid_t> tid_{0};
  std::atomic<bool> returned_{false};
  pthread_t thread_{};
};

}  // namespace quay::test
