// SPDX-License-Identifier: BSD-2-Clause
//
// What: event ports for tests: short words for the calls, events as values that print themselves,
//       child processes that report success.
// Contract: `taken` looks without waiting; `arrivals` waits as long as a test may.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <port.h>
#include <quay/quay.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "descriptor.hpp"
#include "kqueue.hpp"
#include "objects.hpp"

inline void PrintTo(const port_event_t& e, std::ostream* out) {
  *out << "{source " << e.portev_source << ", events " << e.portev_events << ", object "
       << e.portev_object << ", user " << e.portev_user << "}";
}

namespace quay::test {

inline constexpr time_t kPatienceSeconds = 20;
inline constexpr int kNeverOpenPort = 1000000;

inline void* cookie(uintptr_t n) { return reinterpret_cast<void*>(n); }

class test_port {
 public:
  explicit test_port(int flags = O_CLOEXEC) : fd_(checked(::port_create1(flags), "port_create1")) {}
  ~test_port() { close(); }
  test_port(const test_port&) = delete;
  test_port& operator=(const test_port&) = delete;
  // NOLINTNEXTLINE(google-explicit-constructor): a descriptor is an int everywhere.
  operator int() const { return fd_; }
  int close() { return fd_ >= 0 ? ::quay_close(std::exchange(fd_, -1)) : 0; }

 private:
  int fd_;
};

struct fetched {
  int result = 0;
  int error = 0;
  uint_t count = 0;
  std::vector<port_event_t> events;
};

inline void PrintTo(const fetched& f, std::ostream* out) {
  *out << f.result << " (" << (f.result < 0 ? std::strerror(f.error) : "success") << "), "
       << f.count << " events " << testing::PrintToString(f.events);
}

inline fetched getn(int port, uint_t max, uint_t want, timespec* timeout) {
  fetched out;
  std::vector<port_event_t> list(max + 1);
  out.count = want;
  errno = 0;
  out.result = ::port_getn(port, list.data(), max, &out.count, timeout);
  out.error = errno;
  list.resize(std::min(out.count, max));
  out.events = list;
  return out;
}

inline fetched getn_for(int port, uint_t max, uint_t want, time_t seconds, long ns = 0) {
  timespec timeout{seconds, ns};
  return getn(port, max, want, &timeout);
}

// Everything that is there.
inline std::vector<port_event_t> taken(int port) { return getn_for(port, 256, 1, 0).events; }
// At least `want`.
inline std::vector<port_event_t> arrivals(int port, uint_t want = 1) {
  return getn_for(port, 256, want, kPatienceSeconds).events;
}
inline uint_t queued(int port) {
  uint_t n = 0;
  ::port_getn(port, nullptr, 0, &n, nullptr);
  return n;
}

MATCHER_P3(Is, source, events, user, "") {
  return arg.portev_source == source && arg.portev_events == static_cast<int>(events) &&
         arg.portev_user == cookie(user);
}
MATCHER_P4(Is, source, events, object, user, "") {
  return arg.portev_source == source && arg.portev_events == static_cast<int>(events) &&
         arg.portev_object == static_cast<uintptr_t>(object) && arg.portev_user == cookie(user);
}
MATCHER(Works, "succeeds") {
  if (arg == 0) return true;
  *result_listener << std::strerror(errno);
  return false;
}
MATCHER_P(Fails, error, std::string("fails with ") + std::strerror(error)) {
  const int got = errno;
  if (arg == -1 && got == error) return true;
  *result_listener << (arg == -1 ? std::strerror(got) : "it succeeds");
  return false;
}

inline int associate(int port, int fd, int events, uintptr_t user = 0) {
  return ::port_associate(port, PORT_SOURCE_FD, static_cast<uintptr_t>(fd), events, cookie(user));
}
inline int dissociate(int port, int fd) {
  return ::port_dissociate(port, PORT_SOURCE_FD, static_cast<uintptr_t>(fd));
}

// Runs `what` in a child; true when it returned true.
inline bool in_child(const std::function<bool()>& what) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(what() ? 0 : 1);
  int status = -1;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace quay::test
