// SPDX-License-Identifier: BSD-2-Clause
//
// What: the vocabulary of kqueue tests: a queue that closes itself, changes as expressions, calls
// whose results can be looked at as a whole.
// Contract: `poll` never waits; `await` waits up to a generous limit, so that a lost event is a
// failure and not a hang.
#pragma once

#include <errno.h>
#include <gtest/gtest.h>
#include <quay/quay.h>
#include <sys/event.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <vector>

#include "descriptor.hpp"
#include "objects.hpp"

namespace quay::test {

// Long enough for any machine; reached only when something is lost.
inline constexpr std::chrono::seconds kPatience{30};

inline timespec to_timespec(std::chrono::nanoseconds t) {
  return {static_cast<time_t>(t.count() / 1'000'000'000),
          static_cast<long>(t.count() % 1'000'000'000)};
}

// A queue descriptor. It is closed through quay_close(), which the library sees with and without
// hooks.
class queue {
 public:
  queue() = default;
  explicit queue(int fd) : fd_(checked(fd, "the making of a queue")) {}
  queue(queue&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  queue& operator=(queue&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~queue() { close(); }

  // NOLINTNEXTLINE(google-explicit-constructor): a descriptor is an int everywhere.
  operator int() const { return fd_; }
  void close() {
    if (fd_ >= 0) quay_close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

inline queue make_queue() { return queue(::kqueue()); }
inline queue make_queue(int dialect, int flags = 0) { return queue(quay_kqueue(dialect, flags)); }

// One entry of a changelist: change(fd, EVFILT_READ, EV_ADD).data(5).udata(&x)
struct change {
  struct kevent entry;

  change(uintptr_t ident, int filter, unsigned flags) {
    EV_SET(&entry, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), 0, 0,
           nullptr);
  }
  change& fflags(unsigned value) { return entry.fflags = value, *this; }
  change& data(intptr_t value) { return entry.data = value, *this; }
  change& udata(const void* value) { return entry.udata = const_cast<void*>(value), *this; }
  change& udata(uintptr_t value) { return entry.udata = reinterpret_cast<void*>(value), *this; }
};

inline change add(uintptr_t ident, int filter, unsigned more = 0) {
  return {ident, filter, EV_ADD | more};
}
inline change remove(uintptr_t ident, int filter) { return {ident, filter, EV_DELETE}; }
inline change enable(uintptr_t ident, int filter) { return {ident, filter, EV_ENABLE}; }
inline change disable(uintptr_t ident, int filter) { return {ident, filter, EV_DISABLE}; }
inline change trigger(uintptr_t ident, unsigned more = 0) {
  return change(ident, EVFILT_USER, 0).fflags(NOTE_TRIGGER | more);
}

using changes = std::vector<change>;
using events = std::vector<struct kevent>;

// Everything one call of kevent() gave.
struct outcome {
  int result = 0;
  int error = 0;  // errno, where result is -1
  test::events events;
};

namespace detail {

inline outcome call(int kq, const std::vector<change>& list, int room, const timespec* timeout) {
  std::vector<struct kevent> in;
  for (const change& c : list) in.push_back(c.entry);
  outcome out;
  out.events.resize(static_cast<size_t>(room));
  errno = 0;
  out.result = ::kevent(kq, in.empty() ? nullptr : in.data(), static_cast<int>(in.size()),
                        room == 0 ? nullptr : out.events.data(), room, timeout);
  out.error = out.result < 0 ? errno : 0;
  if (out.result > room)
    ADD_FAILURE() << "kevent() returned " << out.result << " with room for " << room;
  out.events.resize(static_cast<size_t>(std::clamp(out.result, 0, room)));
  return out;
}

}  // namespace detail

// Applies changes with no eventlist.
inline outcome alter(int kq, const changes& list) { return detail::call(kq, list, 0, nullptr); }

// Applies changes and scans, both in one call that does not wait.
inline outcome submit(int kq, const changes& list, int room = 16) {
  const timespec zero{};
  return detail::call(kq, list, room, &zero);
}

// The same with any timeout.
inline outcome submit_for(int kq, const changes& list, std::chrono::nanoseconds timeout,
                          int room = 16) {
  const timespec t = to_timespec(timeout);
  return detail::call(kq, list, room, &t);
}

// What is ready now. A call that fails is a failure of the test.
inline events poll(int kq, int room = 16) {
  outcome out = submit(kq, {}, room);
  EXPECT_GE(out.result, 0) << "kevent() failed with errno " << out.error;
  return std::move(out.events);
}

// What comes first; nothing only after kPatience.
inline events await(int kq, int room = 16) {
  outcome out = submit_for(kq, {}, kPatience, room);
  EXPECT_GE(out.result, 0) << "kevent() failed with errno " << out.error;
  return std::move(out.events);
}

// Does a user event come through the queue? Without a heap, for a child of a process with threads.
inline bool delivers(int kq) {
  struct kevent e;
  EV_SET(&e, 1, EVFILT_USER, EV_ADD, 0, 0, nullptr);
  if (::kevent(kq, &e, 1, nullptr, 0, nullptr) != 0) return false;
  EV_SET(&e, 1, EVFILT_USER, 0, NOTE_TRIGGER, 0, nullptr);
  const timespec zero{};
  struct kevent got {};
  return ::kevent(kq, &e, 1, &got, 1, &zero) == 1 && got.ident == 1 && got.filter == EVFILT_USER;
}

// Has the queue's own descriptor something to read, for poll(2)?
inline bool looks_readable(int kq) {
  pollfd p{kq, POLLIN, 0};
  return ::poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0;
}

// Waits through poll(2) on the queue's descriptor, which takes no event away.
inline bool becomes_readable(int kq) {
  pollfd p{kq, POLLIN, 0};
  return ::poll(&p, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1;
}

// Do close(), dup2() and their like tell the library what they did?
inline bool hooked() {
  quay_stats stats{};
  quay_stats_get(&stats, sizeof stats);
  return stats.hooked != 0;
}

#define QUAY_SKIP_UNLESS_HOOKED()                                                            \
  do {                                                                                       \
    if (!::quay::test::hooked())                                                             \
      GTEST_SKIP()                                                                           \
          << "needs the hooks library: nothing else can see close(), dup2() and their like"; \
  } while (false)

}  // namespace quay::test
