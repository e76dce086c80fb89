// SPDX-License-Identifier: BSD-2-Clause
//
// What: kqueue's calls, put in front of the library's.
#include <fcntl.h>

#include "kevent_call.hpp"

namespace {

using quay::trace::call;
using quay::trace::line;
using quay::trace::original;
using quay::trace::traced;

constexpr quay::tool::bit kOpenFlags[] = {{O_CLOEXEC, "O_CLOEXEC"},
                                          {O_NONBLOCK, "O_NONBLOCK"},
                                          {QUAY_PRIVATE, "QUAY_PRIVATE"},
                                          {KQUEUE_CLOEXEC, "KQUEUE_CLOEXEC"},
                                          {KQUEUE_CPONFORK, "KQUEUE_CPONFORK"}};
constexpr const char* kDialects[] = {"FREEBSD", "NETBSD", "DRAGONFLY", "OPENBSD"};

void nothing(line&, int) {}

}  // namespace

int kqueue() {
  return traced(
      call::kqueue, [](line&) {}, [] { return original<int()>(call::kqueue)(); }, nothing);
}

int kqueue1(int flags) {
  return traced(
      call::kqueue1, [&](line& out) { out.bits(kOpenFlags, static_cast<unsigned>(flags)); },
      [&] { return original<int(int)>(call::kqueue1)(flags); }, nothing);
}

int kqueuex(unsigned flags) {
  return traced(
      call::kqueuex, [&](line& out) { out.bits(kOpenFlags, flags); },
      [&] { return original<int(unsigned)>(call::kqueuex)(flags); }, nothing);
}

int quay_kqueue(int dialect, int flags) {
  return traced(
      call::quay_kqueue,
      [&](line& out) {
        if (dialect >= 0 && dialect < 4) {
          out << "QUAY_DIALECT_" << kDialects[dialect];
        } else {
          out << dialect;
        }
        (out << ", ").bits(kOpenFlags, static_cast<unsigned>(flags));
      },
      [&] { return original<int(int, int)>(call::quay_kqueue)(dialect, flags); }, nothing);
}

int kevent(int kq, const struct kevent* changes, int change_count, struct kevent* events,
           int event_count, const struct timespec* timeout) {
  return quay::trace::trace_kevent(call::kevent, kq, changes, change_count, events, event_count,
                                   timeout);
}
