// SPDX-License-Identifier: BSD-2-Clause
//
// What: a thread that triggers user events, so that they come from another thread than the one that
// waits, as in life. Each trigger counts: the count is the event's fflags and data. Ownership: the
// thread ends with the object; the queue must outlive it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace quay::tool {

class triggers {
 public:
  struct plan {
    uintptr_t ident;
    void* udata;  // of the registration: some systems replace it with every change
    std::chrono::nanoseconds period;  // 0: once, at the start
  };

  triggers(int kq, std::vector<plan> plans);

 private:
  void run(const std::stop_token& stop);

  const int kq_;
  const std::vector<plan> plans_;
  std::mutex mutex_;  // only for waiting_, which only a stop ends early
  std::condition_variable_any waiting_;
  std::jthread thread_;  // last: the rest must exist before it starts and after it ended
};

}  // namespace quay::tool
