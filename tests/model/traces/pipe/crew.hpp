// SPDX-License-Identifier: BSD-2-Clause
//
// What: the threads that make a sequence's calls, and when all of them have come to rest.
// Contract: a call is outstanding from begin() until take() returns its outcome.
#pragma once

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace quay::traces {

// A call's return value, its errno if it failed, and whether SIGPIPE came while it ran.
struct outcome {
  long value = 0;
  int error = 0;
  bool sigpipe = false;
};

class hand {
 public:
  hand();
  ~hand();
  hand(const hand&) = delete;
  hand& operator=(const hand&) = delete;

  void begin(std::function<long()> call);
  bool busy() const { return busy_.load(); }
  std::optional<outcome> take();
  void signal(int number) { pthread_kill(thread_.native_handle(), number); }
  // What the kernel's scheduler has counted for the thread, with its state: the same twice means
  // that it slept throughout.
  std::string rest() const;

 private:
  void run();

  std::mutex lock_;
  std::condition_variable news_;
  std::function<long()> call_;
  bool quit_ = false;
  bool fresh_ = false;
  outcome last_;
  std::atomic<bool> busy_{false};
  std::atomic<pid_t> id_{0};
  // Open for as long as the thread lives: a file opened while a sequence plays would take the number
  // of an end that the sequence has closed.
  int stat_ = -1;
  int counted_ = -1;
  std::thread thread_;
};

// Waits until every outstanding call has returned or sleeps.
void settle(const std::vector<hand*>& hands);

// Handlers for SIGUSR1 (interrupts), SIGUSR2 (restarts) and SIGPIPE (counted for the thread).
void install_handlers();

}  // namespace quay::traces
