// SPDX-License-Identifier: BSD-2-Clause
//
// What: those who perform requests that cannot be done at once: the interface of the ring and of
//       the pool.
// Contract: begin() takes a request on, or says that it cannot, and then nothing has happened. Each
//           request that was taken ends in exactly one call of client::finished(), unless
//           withdraw() got it back.
// Locking: begin() and interrupt() are called without locks; withdraw() may be called under the
//          engine's. finished() is called without locks.
#pragma once

#include "aio/request.hpp"

namespace quay::aio {

class client {
 public:
  // `result`: bytes or -errno. The request is the client's again.
  virtual void finished(request& r, long result) noexcept = 0;
  // The backend that took it cannot perform it after all, and has not begun.
  virtual void declined(request& r) noexcept = 0;
  // The request of a token that was begun and has not finished.
  virtual request& under_way(std::uintptr_t token) noexcept = 0;

 protected:
  constexpr client() noexcept = default;
  ~client() = default;
};

enum class interruption : std::uint8_t {
  none,       // it goes on, or has ended by itself
  cancelled,  // it has ended, or ends at once, as cancelled
  shortened,  // the same, but bytes were moved before, which are its result
};

class backend {
 public:
  virtual bool begin(request& r) noexcept = 0;
  // Takes back a request that the kernel has not seen yet.
  virtual bool withdraw(request& r) noexcept = 0;
  // Asks the kernel to give up the request of that token.
  virtual interruption interrupt(std::uintptr_t token) noexcept = 0;

  virtual void before_fork() noexcept = 0;
  virtual void after_fork_in_parent() noexcept = 0;
  // The child has none of the threads and none of the requests.
  virtual void after_fork_in_child() noexcept = 0;

 protected:
  constexpr backend() noexcept = default;
  ~backend() = default;
};

// Requests in the order of their coming.
class job_queue {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  request* first() const noexcept { return first_; }
  void push(request& r) noexcept {
    r.queued = nullptr;
    r.waiting = true;
    (last_ != nullptr ? last_->queued : first_) = &r;
    last_ = &r;
  }
  request* pop() noexcept {
    request* r = first_;
    if (r == nullptr) return nullptr;
    first_ = r->queued;
    if (first_ == nullptr) last_ = nullptr;
    r->waiting = false;
    return r;
  }
  bool remove(request& r) noexcept {
    if (!r.waiting) return false;
    request* before = nullptr;
    for (request* at = first_; at != &r; at = at->queued) before = at;
    (before != nullptr ? before->queued : first_) = r.queued;
    if (last_ == &r) last_ = before;
    r.waiting = false;
    return true;
  }
  void clear() noexcept { first_ = last_ = nullptr; }

 private:
  request* first_ = nullptr;
  request* last_ = nullptr;
};

}  // namespace quay::aio
