// SPDX-License-Identifier: BSD-2-Clause
//
// What: kevent() traced, for either layout of struct kevent.
#pragma once

#include <sys/event.h>

#include <algorithm>

#include "traced.hpp"

namespace quay::trace {

inline constexpr int kMostShown = 8;  // entries of a list

template <class Record>
void show_list(line& out, const Record* list, int count) {
  if (count <= 0 || list == nullptr) {
    out << (count > 0 ? "NULL" : "{}");
    return;
  }
  Record copied[kMostShown];
  const int shown = std::min(count, kMostShown);
  if (!fetch(copied, list, sizeof(Record) * static_cast<std::size_t>(shown))) {
    out.address(list);
    return;
  }
  out << "{";
  for (int i = 0; i < shown; ++i) {
    const Record& k = copied[i];
    out << (i == 0 ? "" : ", ") << k.ident << " ";
    const char* filter = tool::name_of_filter(k.filter);
    if (filter != nullptr) {
      out << filter << " ";
    } else {
      out << k.filter << " ";
    }
    out.bits(tool::kFlags, k.flags) << " ";
    out.bits(tool::notes_of_filter(k.filter), k.fflags) << " " << k.data << " ";
    out.address(k.udata);
  }
  out << (shown < count ? ", ...}" : "}");
}

inline void show_timeout(line& out, const timespec* timeout) {
  timespec copied{};
  if (timeout == nullptr || !fetch(&copied, timeout, sizeof copied)) {
    out.address(timeout);
    return;
  }
  out << "{" << copied.tv_sec << ", " << copied.tv_nsec << "}";
}

template <class Record>
int trace_kevent(call which, int kq, const Record* changes, int change_count, Record* events,
                 int event_count, const timespec* timeout) {
  using function = int(int, const Record*, int, Record*, int, const timespec*);
  return traced(
      which,
      [&](line& out) {
        out << kq << ", ";
        show_list(out, changes, change_count);
        out << ", " << event_count << ", ";
        show_timeout(out, timeout);
      },
      [&] {
        return original<function>(which)(kq, changes, change_count, events, event_count, timeout);
      },
      [&](line& out, int got) {
        if (got <= 0) return;
        out << " ";
        show_list(out, events, got);
      });
}

}  // namespace quay::trace
