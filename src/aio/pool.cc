// SPDX-License-Identifier: BSD-2-Clause
//
// What: the pool of threads; see pool.hpp.
#include "aio/pool.hpp"

#include <cerrno>

#include "host/linux_host.hpp"
#include "host/transfer.hpp"

namespace quay::aio {
namespace {

constexpr std::int64_t kIdle = 1'000'000'000;

long perform(const request& r) noexcept {
  if (r.owner != nullptr && !is_sync(r.op)) {
    const long moved = r.op == operation::read
                           ? r.owner->read(r.descriptor, r.parts, r.part_count)
                           : r.owner->write(r.descriptor, r.parts, r.part_count);
    if (moved != core::descriptor_owner::kAskKernel) return moved;
  }
  switch (r.op) {
    case operation::read:
      return host::move(host::transfer::in, r.descriptor, r.parts, r.part_count, r.offset);
    case operation::write:
      return host::move(host::transfer::out, r.descriptor, r.parts, r.part_count, r.offset);
    default:
      return host::flush(r.descriptor, r.op == operation::data_sync);
  }
}

}  // namespace

bool pool::begin(request& r) noexcept {
  bool more = false;
  {
    core::guard hold(lock_);
    // Those who wait, or have just been woken, see to as many jobs; only what exceeds that needs a
    // thread. It is counted before it exists, so that two submitters do not make one too many.
    more = unseen_ >= idle_ && threads_ < kMost;
    if (more) ++threads_;
    jobs_.push(r);
    ++unseen_;
  }
  if (!more) {
    work_.fetch_add(1);
    host::wake_one(work_);
    return true;
  }
  if (host::start_thread(run, this) == 0) return true;
  core::guard hold(lock_);
  --threads_;
  if (threads_ > 0 || !jobs_.remove(r)) return true;  // the others will come to it
  --unseen_;
  return false;
}

bool pool::withdraw(request& r) noexcept {
  core::guard hold(lock_);
  if (!jobs_.remove(r)) return false;
  --unseen_;
  return true;
}

void* pool::run(void* self) {
  static_cast<pool*>(self)->work();
  return nullptr;
}

void pool::work() noexcept {
  while (request* r = next()) client_.finished(*r, perform(*r));
}

request* pool::next() noexcept {
  for (bool patient = true;;) {
    std::uint32_t seen = 0;
    {
      core::guard hold(lock_);
      if (request* r = jobs_.pop(); r != nullptr) {
        --unseen_;
        return r;
      }
      if (!patient) {
        --threads_;
        return nullptr;
      }
      ++idle_;
      seen = work_.load();
    }
    const std::int64_t deadline = host::linux_host::instance().monotonic() + kIdle;
    patient = host::sleep_on(work_, seen, deadline) != -ETIMEDOUT;
    core::guard hold(lock_);
    --idle_;
  }
}

void pool::after_fork_in_child() noexcept {
  lock_.reset_after_fork();
  core::guard hold(lock_);
  jobs_.clear();
  threads_ = idle_ = unseen_ = 0;
}

}  // namespace quay::aio
