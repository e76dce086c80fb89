// SPDX-License-Identifier: BSD-2-Clause
//
// What: the table of filters and the refusals; see filters.hpp.
#include "kqueue/filters/filters.hpp"

#include <sys/event.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "kqueue/filters/user.hpp"

namespace quay::kqueue {

filter* const kFilters[kFilterNumbers] = {
    &read_filter,      // -1
    &write_filter,     // -2
    &aio_filter,       // -3
    &vnode_filter,     // -4
    &proc_filter,      // -5
    &signal_filter,    // -6
    &timer_filter,     // -7
    &procdesc_filter,  // -8
    &fs_filter,        // -9
    &aio_filter,       // -10 LIO
    &user_filter,      // -11
    nullptr,           // -12 SENDFILE
    &empty_filter,     // -13
    nullptr,           // -14
    &except_filter,    // -15
    &child_filter,     // -16 kChildFilter
};
static_assert(EVFILT_READ == -1 && EVFILT_WRITE == -2 && EVFILT_VNODE == -4 && EVFILT_PROC == -5 &&
              EVFILT_SIGNAL == -6 && EVFILT_PROCDESC == -8 && EVFILT_FS == -9 &&
              EVFILT_TIMER == -7 && EVFILT_USER == -11 && EVFILT_EMPTY == -13 &&
              EVFILT_EXCEPT == -15);

namespace {

// A refusal by an attach function comes after the note was made: a posted entry shows it emptied.
int refuse_note(core::event& change, int error) noexcept {
  change.fflags = 0;
  change.data = 0;
  return error;
}

}  // namespace

// The names NetBSD knows, by position as in kFilters. Its table lists the first seven whether they
// can be registered or not.
namespace {
constexpr const char* kNames[kFilterNumbers] = {
    "EVFILT_READ",   "EVFILT_WRITE", "EVFILT_AIO",   "EVFILT_VNODE", "EVFILT_PROC",
    "EVFILT_SIGNAL", "EVFILT_TIMER", nullptr,        "EVFILT_FS",    nullptr,
    "EVFILT_USER",   nullptr,        "EVFILT_EMPTY",
};
constexpr std::size_t kAlwaysListed = 7;
}  // namespace

const char* name_of_filter(const dialect& d, std::int32_t number) noexcept {
  const auto index = static_cast<std::uint32_t>(~number);
  if (index >= kFilterNumbers) return nullptr;
  return index < kAlwaysListed || (d.filters >> index & 1) != 0 ? kNames[index] : nullptr;
}

int filter_named(const dialect& d, const char* name) noexcept {
  for (std::int32_t number = -1; number >= -static_cast<std::int32_t>(kFilterNumbers); --number) {
    const char* known = name_of_filter(d, number);
    if (known != nullptr && std::strcmp(known, name) == 0) return number;
  }
  return 0;
}

int refuse(core::event& change, queue& q) noexcept {
  const dialect& d = q.rules();
  const bool adds = (change.flags & EV_ADD) != 0;
  switch (change.filter) {
    case EVFILT_AIO:
      if (d.aio_refusal == EINVAL) return EINVAL;
      return adds ? refuse_note(change, d.aio_refusal) : ENOENT;
    default:
      return EINVAL;
  }
}

}  // namespace quay::kqueue
