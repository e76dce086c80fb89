// SPDX-License-Identifier: BSD-2-Clause
//
// What: how a call waits at a ring, and how it is woken.
// Contract: semantics/pipes-signalfd.md A3 (wake rules), A12.20, A12.21.
// Wakeups: see layout.hpp: flag, look again, sleep; publish, barrier, look at the flag.
#pragma once

#include <cerrno>

#include "pipe/system.hpp"

namespace quay::pipe {

// Wakes all who sleep there. The caller has published, and given its turn back or executed a full barrier since. Who is killed
// in here leaves kWaking behind: the next one wakes again.
inline void wake(sleeping_place& place) noexcept {
  std::uint32_t state = place.asleep.load(std::memory_order_relaxed);
  if (state == kNobody) return;
  state = kSleeping;
  if (!place.asleep.compare_exchange_strong(state, kWaking) && state == kNobody) return;
  place.bell.fetch_add(1);
  host::wake_shared(place.bell);
  state = kWaking;  // unless somebody has gone to sleep since
  place.asleep.compare_exchange_strong(state, kNobody);
}

// A call's claim on its end: see system::enter_sleep.
class presence {
 public:
  presence(system& sys, const subject& call) noexcept : sys_(sys), call_(call) {}
  ~presence() {
    if (counted_) sys_.leave(call_);
  }
  presence(const presence&) = delete;
  presence& operator=(const presence&) = delete;

  system::advice enter_sleep() noexcept { return sys_.enter_sleep(call_, counted_); }
  system& of() noexcept { return sys_; }
  const subject& call() const noexcept { return call_; }

 private:
  system& sys_;
  const subject& call_;
  bool counted_ = false;
};

// Waits, without any lock, until woken: 0 to look again, EAGAIN, or EINTR; the sleep is a point of
// cancellation. A wake-up is for all who sleep, so that nobody takes it with him. `soon` is watched for a
// while before sleeping; `missed` tells, once the flag is up, that a wake-up may have gone by.
// sleep::every_signal: the call has moved bytes already and would return them rather than go on;
// sleep::doubting: whom it waits for may be killed, and nobody would tell.
template <class Soon, class Missed>
int wait(presence& here, const direction& ring, sleeping_place& place, patience& mine,
         std::uint32_t other_cpu, host::sleep how, Soon soon, Missed missed) {
  const subject& call = here.call();
  const bool blocks = call.memory().nonblocking[call.end].load(std::memory_order_relaxed) == 0;
  const std::int64_t most = here.of().tune().spin_us.load(std::memory_order_relaxed) * 1000;
  if (blocks && mine.watch(here.of().os(), most, other_cpu, soon)) return 0;
  switch (here.enter_sleep()) {
    case system::advice::refuse:
      return EAGAIN;
    case system::advice::look_again:
      return 0;
    case system::advice::sleep:
      break;
  }
  const std::uint32_t bell = place.bell.load();
  place.asleep.store(kSleeping);
  ring.synchronize();
  return missed() ? 0 : host::sleep_shared(place.bell, bell, how);
}

}  // namespace quay::pipe
