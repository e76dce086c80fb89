// SPDX-License-Identifier: BSD-2-Clause
//
// What: the names of the numbers in a struct kevent, for everything here that shows them.
// Invariants: nothing allocates: `quay trace` uses these inside the traced program.
#pragma once

#include <quay/quay.h>
#include <sys/event.h>

#include <span>

namespace quay::tool {

struct bit {
  unsigned value;
  const char* name;
};

#define QUAY_BIT(name) \
  { name, #name }
inline constexpr bit kFlags[] = {
    QUAY_BIT(EV_ADD),       QUAY_BIT(EV_DELETE), QUAY_BIT(EV_ENABLE),  QUAY_BIT(EV_DISABLE),
    QUAY_BIT(EV_ONESHOT),   QUAY_BIT(EV_CLEAR),  QUAY_BIT(EV_RECEIPT), QUAY_BIT(EV_DISPATCH),
    QUAY_BIT(EV_KEEPUDATA), QUAY_BIT(EV_HUP),    QUAY_BIT(EV_NODATA),  QUAY_BIT(EV_FLAG1),
    QUAY_BIT(EV_ERROR),     QUAY_BIT(EV_EOF),
};
inline constexpr bit kDescriptorNotes[] = {QUAY_BIT(NOTE_LOWAT), QUAY_BIT(NOTE_FILE_POLL),
                                           QUAY_BIT(NOTE_OOB), QUAY_BIT(QUAY_NOTE_NODATA)};
inline constexpr bit kTimerNotes[] = {QUAY_BIT(NOTE_SECONDS), QUAY_BIT(NOTE_MSECONDS),
                                      QUAY_BIT(NOTE_USECONDS), QUAY_BIT(NOTE_NSECONDS),
                                      QUAY_BIT(NOTE_ABSTIME)};
inline constexpr bit kFileNotes[] = {
    QUAY_BIT(NOTE_DELETE), QUAY_BIT(NOTE_WRITE),    QUAY_BIT(NOTE_EXTEND),
    QUAY_BIT(NOTE_ATTRIB), QUAY_BIT(NOTE_LINK),     QUAY_BIT(NOTE_RENAME),
    QUAY_BIT(NOTE_REVOKE), QUAY_BIT(NOTE_OPEN),     QUAY_BIT(NOTE_CLOSE),
    QUAY_BIT(NOTE_READ),   QUAY_BIT(NOTE_TRUNCATE), QUAY_BIT(NOTE_CLOSE_WRITE)};
inline constexpr bit kProcessNotes[] = {QUAY_BIT(NOTE_EXIT),     QUAY_BIT(NOTE_FORK),
                                        QUAY_BIT(NOTE_EXEC),     QUAY_BIT(NOTE_TRACK),
                                        QUAY_BIT(NOTE_TRACKERR), QUAY_BIT(NOTE_CHILD)};
inline constexpr bit kMountNotes[] = {QUAY_BIT(VQ_MOUNT), QUAY_BIT(VQ_UNMOUNT)};
inline constexpr bit kUserNotes[] = {QUAY_BIT(NOTE_TRIGGER)};
#undef QUAY_BIT

// Null: none of these.
constexpr const char* name_of_filter(int filter) {
  constexpr struct {
    int filter;
    const char* name;
  } kFilters[] = {
#define QUAY_FILTER(name) {name, #name}
      QUAY_FILTER(EVFILT_READ),  QUAY_FILTER(EVFILT_WRITE),  QUAY_FILTER(EVFILT_EXCEPT),
      QUAY_FILTER(EVFILT_EMPTY), QUAY_FILTER(EVFILT_AIO),    QUAY_FILTER(EVFILT_LIO),
      QUAY_FILTER(EVFILT_VNODE), QUAY_FILTER(EVFILT_PROC),   QUAY_FILTER(EVFILT_PROCDESC),
      QUAY_FILTER(EVFILT_FS),    QUAY_FILTER(EVFILT_SIGNAL), QUAY_FILTER(EVFILT_TIMER),
      QUAY_FILTER(EVFILT_USER),
#undef QUAY_FILTER
  };
  for (const auto& each : kFilters) {
    if (each.filter == filter) return each.name;
  }
  return nullptr;
}

constexpr std::span<const bit> notes_of_filter(int filter) {
  switch (filter) {
    case EVFILT_READ:
    case EVFILT_WRITE:
    case EVFILT_EXCEPT:
      return kDescriptorNotes;
    case EVFILT_VNODE:
      return kFileNotes;
    case EVFILT_PROC:
    case EVFILT_PROCDESC:
      return kProcessNotes;
    case EVFILT_FS:
      return kMountNotes;
    case EVFILT_TIMER:
      return kTimerNotes;
    case EVFILT_USER:
      return kUserNotes;
    default:
      return {};
  }
}

}  // namespace quay::tool
