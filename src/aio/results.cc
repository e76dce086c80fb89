// SPDX-License-Identifier: BSD-2-Clause
//
// What: asking after requests: error and result, waiting, cancelling, telling.
// Contract: aio_error(3), aio_return(3), aio_suspend(3), aio_cancel(3) of POSIX and FreeBSD.
#include <pthread.h>

#include <cerrno>
#include <new>

#include "aio/control_block.hpp"
#include "aio/engine.hpp"
#include "host/transfer.hpp"

namespace quay::aio {
namespace {

// A function of the program and its argument, on the way into a thread of their own.
struct call {
  void (*function)(sigval);
  sigval value;
};

void* run_call(void* argument) {
  const call c = *static_cast<call*>(argument);
  delete static_cast<call*>(argument);
  c.function(c.value);
  return nullptr;
}

void start_call(const notification& tell) noexcept {
  auto* c = new (std::nothrow) call{tell.function, tell.value};
  if (c == nullptr) return;
  pthread_t thread;
  if (pthread_create(&thread, tell.attributes, run_call, c) != 0) {
    delete c;
    return;
  }
  int state = PTHREAD_CREATE_JOINABLE;
  if (tell.attributes != nullptr) pthread_attr_getdetachstate(tell.attributes, &state);
  if (state == PTHREAD_CREATE_JOINABLE) pthread_detach(thread);
}

// While one exists, the end of a request wakes those who sleep on the count of ends.
class listener {
 public:
  explicit listener(std::atomic<int>& count) noexcept : count_(count) { count_.fetch_add(1); }
  ~listener() { count_.fetch_sub(1); }
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

 private:
  std::atomic<int>& count_;
};

}  // namespace

void engine::tell_of(const notification& tell, int error) noexcept {
  switch (tell.how) {
    case notification::way::none:
      return;
    case notification::way::signal:
      return host::send_aio_signal(tell.signal, tell.value, tell.thread);
    case notification::way::thread:
      return start_call(tell);
    case notification::way::target:
      return targets_[tell.target]->finished(tell.ticket, tell.order, error);
  }
}

int engine::error(const aiocb& block) const noexcept {
  if (in_progress(block)) return EINPROGRESS;
  // It may have ended since.
  const control_block mine(&block);
  return mine.finished() ? mine.error() : EINVAL;
}

outcome engine::reap(aiocb& block) noexcept {
  control_block mine(&block);
  if (!mine.finished()) return {-1, EINVAL};
  const ssize_t result = mine.result();
  const int error = mine.error();
  renew(block);
  return {result, error};
}

int engine::suspend(const aiocb* const* blocks, int count, std::int64_t deadline,
                    bool all) noexcept {
  const listener here(suspended_);
  for (;;) {
    const std::uint32_t seen = finishes_.load();
    int wanted = 0;
    int waiting = 0;
    for (int i = 0; i < count; ++i) {
      if (blocks[i] == nullptr) continue;
      ++wanted;
      if (in_progress(*blocks[i])) ++waiting;
    }
    if (waiting == 0 || (!all && waiting < wanted)) return 0;
    const int slept = host::sleep_on(finishes_, seen, deadline);
    if (slept == -EINTR) return EINTR;
    if (slept == -ETIMEDOUT) return EAGAIN;
  }
}

// --- cancelling -----------------------------------------------------------------------------------

request* engine::next_on_locked(int fd, const aiocb* block, std::uint64_t after) noexcept {
  for (request* r = first_; r != nullptr; r = r->next) {
    if (r->serial <= after || r->descriptor != fd) continue;
    if (block == nullptr || r->block == block) return r;
  }
  return nullptr;
}

bool engine::take_back_locked(request& r) noexcept {
  if (r.at == stage::begun) {
    backend* by = r.by.load(std::memory_order_relaxed);
    if (by == nullptr || !by->withdraw(r)) return false;
  }
  remove_locked(r);
  return true;
}

void engine::await_end(std::uintptr_t token) noexcept {
  const listener here(suspended_);
  for (;;) {
    const std::uint32_t seen = finishes_.load();
    if (under_way(token).token.load() != token) return;
    host::sleep_on(finishes_, seen, INT64_MAX);
  }
}

outcome engine::cancel(int fd, const aiocb* block) noexcept {
  if (host::open_flags(fd) < 0) return {-1, EBADF};
  if (block != nullptr && block->aio_fildes != fd) return {-1, EINVAL};
  long result = AIO_ALLDONE;
  for (std::uint64_t after = 0;;) {
    request* r = nullptr;
    request* freed = nullptr;
    bool ours = false;
    std::uintptr_t token = 0;
    {
      core::guard hold(lock_);
      r = next_on_locked(fd, block, after);
      if (r == nullptr) return {result, 0};
      after = r->serial;
      token = r->token.load(std::memory_order_relaxed);
      ours = take_back_locked(*r);
      if (ours) freed = released_locked(fd);
    }
    interruption how = interruption::cancelled;
    if (ours) {
      if (r->moved > 0) how = interruption::shortened;
      end(*r, -ECANCELED);
      start_all(freed);
    } else {
      how = ring_.interrupt(token);
      if (how != interruption::none) await_end(token);
    }
    if (how != interruption::cancelled) {
      result = AIO_NOTCANCELED;
    } else if (result == AIO_ALLDONE) {
      result = AIO_CANCELED;
    }
  }
}

void engine::closing(int fd) noexcept {
  for (std::uint64_t after = 0;;) {
    request* r = nullptr;
    bool ours = false;
    bool interrupts = false;
    std::uintptr_t token = 0;
    {
      core::guard hold(lock_);
      r = next_on_locked(fd, nullptr, after);
      if (r == nullptr) return;
      after = r->serial;
      token = r->token.load(std::memory_order_relaxed);
      interrupts = r->stream;  // it may still need its number
      ours = take_back_locked(*r);
    }
    if (ours) {
      end(*r, -ECANCELED);
    } else if (interrupts && ring_.interrupt(token) != interruption::none) {
      await_end(token);
    }
  }
}

}  // namespace quay::aio
