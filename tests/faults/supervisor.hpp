// SPDX-License-Identifier: BSD-2-Clause
//
// What: makes one chosen system call of one thread fail.
// Contract: seccomp's user notification: the kernel asks a supervisor before it performs a call of a list, whoever made
//           it: libc, the library by number, or an inlined instruction. The supervisor answers with an errno or lets it pass.
// Invariants: only the watched thread's calls while it is `armed` are counted; others and all others pass.
// Ownership: a supervisor is used once, in a process of its own: a filter cannot be taken away again.
#pragma once

#include <atomic>
#include <functional>
#include <span>

namespace quay::faults {

// A call that may fail, and how the kernel says it does.
struct failing_call {
  int number;
  const char* name;
  int errors[3];  // 0: none
};
std::span<const failing_call> failing_calls();

class supervisor {
 public:
  // Runs `body` in a thread whose calls are watched, and answers until it returns. False: the kernel offers no
  // notification here.
  bool run(const std::function<void()>& body);

  // For the body: the call number `nth` (from 0) from now on fails with its error number `choice`; nth < 0: none.
  void arm(int nth, int choice);
  // No more. True when a call was made to fail.
  bool disarm();

  int calls() const { return calls_; }                    // since armed
  const failing_call* failed() const { return failed_; }  // the one that was made to fail
  int error() const { return error_; }

 private:
  void answer(int listener);

  std::atomic<bool> armed_{false};
  std::atomic<int> nth_{-1};
  std::atomic<int> choice_{0};
  std::atomic<int> calls_{0};
  std::atomic<const failing_call*> failed_{nullptr};
  std::atomic<int> error_{0};
  std::atomic<int> watched_{0};
  std::atomic<int> listener_{-2};  // -1: there is none
  std::atomic<bool> over_{false};
};

}  // namespace quay::faults
