// SPDX-License-Identifier: BSD-2-Clause
//
// What: threads that are known to sleep in a call.
// Contract: "asleep" is what the kernel says about the thread (its state in /proc and that it has
// not run between two looks), never a guess from time that went by.
// Locking: none; the thread publishes its id before the call, and its result is read after the
// join.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "kqueue.hpp"

namespace quay::test {

namespace detail {

struct thread_look {
  char state = '?';
  std::string switches;
  bool operator==(const thread_look&) const = default;
};

inline thread_look look_at(pid_t tid) {
  thread_look out;
  std::ifstream status("/proc/self/task/" + std::to_string(tid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("State:")) out.state = line.at(line.find_first_not_of(" \t", 6));
    if (line.find("ctxt_switches") != std::string::npos) out.switches += line;
  }
  return out;
}

}  // namespace detail

// True once thread `tid` sleeps in the kernel; false when it does not within kPatience, or when it
// has left its call instead.
inline bool falls_asleep(pid_t tid, const std::atomic<bool>& left) {
  constexpr int kQuietLooks = 20;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  detail::thread_look before = detail::look_at(tid);
  int quiet = 0;
  while (!left.load(std::memory_order_acquire) && std::chrono::steady_clock::now() < deadline) {
    ::sched_yield();
    const detail::thread_look now = detail::look_at(tid);
    quiet = now.state == 'S' && now == before ? quiet + 1 : 0;
    if (quiet == kQuietLooks) return true;
    before = now;
  }
  return false;
}

// Runs a call in a thread of its own. Join by result().
template <typename Result>
class thread_in_call {
 public:
  explicit thread_in_call(std::function<Result()> call)
      : thread_([this, call = std::move(call)] {
          tid_.store(static_cast<pid_t>(::syscall(SYS_gettid)), std::memory_order_release);
          result_ = call();
          returned_.store(true, std::memory_order_release);
        }) {}
  ~thread_in_call() {
    if (thread_.joinable()) thread_.join();
  }
  thread_in_call(const thread_in_call&) = delete;
  thread_in_call& operator=(const thread_in_call&) = delete;

  pid_t tid() const {
    pid_t tid;
    while ((tid = tid_.load(std::memory_order_acquire)) == 0) std::this_thread::yield();
    return tid;
  }
  // Returns at some early point of the call; at which one, moves with `pauses`.
  void is_under_way(int pauses) const {
    while (tid_.load(std::memory_order_acquire) == 0) {
    }
    for (std::atomic<int> left{pauses}; left > 0; --left) {
    }
  }
  bool falls_asleep() const { return test::falls_asleep(tid(), returned_); }
  bool returned() const { return returned_.load(std::memory_order_acquire); }
  pthread_t handle() { return thread_.native_handle(); }

  const Result& result() {
    if (thread_.joinable()) thread_.join();
    return result_;
  }

 private:
  std::atomic<pid_t> tid_{0};
  std::atomic<bool> returned_{false};
  Result result_{};
  std::thread thread_;
};

// A thread that waits in kevent() for whatever comes first.
class waiter : public thread_in_call<outcome> {
 public:
  explicit waiter(int kq, int room = 16)
      : thread_in_call([kq, room] { return submit_for(kq, {}, kPatience, room); }) {}
};

}  // namespace quay::test
