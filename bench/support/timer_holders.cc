// SPDX-License-Identifier: BSD-2-Clause
//
// What: the helper processes of timer_holders.hpp.

#include "timer_holders.hpp"

#include <fcntl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace quay::bench {
namespace {

// Makes up to `wanted` timers and says how many: the system's own limits may stop it earlier.
std::uint64_t hold_timers(std::size_t wanted, std::uint64_t seed) {
  quick_random random(seed);
  std::uint64_t made = 0;
  while (made < wanted) {
    const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0) break;
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(kFarMs / 1000 + random.below(kFarMs / 1000));
    when.it_value.tv_nsec = static_cast<long>(random.below(1'000'000'000));
    if (timerfd_settime(fd, 0, &when, nullptr) < 0) break;
    ++made;
  }
  return made;
}

}  // namespace

timer_holders::timer_holders(std::size_t wanted, std::size_t per_process) {
  if (wanted == 0) return;
  int ends[2];
  check(pipe2(ends, O_CLOEXEC), "pipe2");
  life_reader_ = unique_fd(ends[0]);
  life_writer_ = unique_fd(ends[1]);
  while (count_ < wanted) {
    const std::size_t before = count_;
    add_helper(std::min(wanted - count_, per_process));
    if (count_ == before) break;
  }
}

void timer_holders::add_helper(std::size_t wanted) {
  int ends[2];
  check(pipe2(ends, O_CLOEXEC), "pipe2");
  unique_fd report_reader(ends[0]);
  unique_fd report_writer(ends[1]);
  const pid_t helper = check(fork(), "fork");
  if (helper == 0) {
    life_writer_.reset();
    const std::uint64_t made = hold_timers(wanted, static_cast<std::uint64_t>(getpid()));
    char byte;
    if (::write(report_writer.get(), &made, sizeof made) == sizeof made) {
      while (::read(life_reader_.get(), &byte, 1) < 0 && errno == EINTR) {
      }
    }
    _exit(0);
  }
  helpers_.push_back(helper);
  report_writer.reset();
  std::uint64_t made = 0;
  if (::read(report_reader.get(), &made, sizeof made) != sizeof made) fail("helper process");
  count_ += made;
}

timer_holders::~timer_holders() {
  life_writer_.reset();
  for (const pid_t helper : helpers_) waitpid(helper, nullptr, 0);
}

}  // namespace quay::bench
