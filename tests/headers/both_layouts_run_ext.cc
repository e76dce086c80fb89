// SPDX-License-Identifier: BSD-2-Clause
//
// What: the half of both_layouts_run that sees the extended struct kevent.
#define QUAY_KEVENT_EXT
#include <string.h>
#include <sys/event.h>

#include <vector>

#include "both_layouts.h"

int ext_add_user_event(int kq, uintptr_t ident, void* udata, const uint64_t ext[4]) {
  struct kevent change;
  EV_SET(&change, ident, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, udata);
  memcpy(change.ext, ext, sizeof(change.ext));
  return kevent(kq, &change, 1, nullptr, 0, nullptr);
}

int ext_trigger_user_event(int kq, uintptr_t ident) {
  struct kevent change;
  EV_SET(&change, ident, EVFILT_USER, 0, NOTE_TRIGGER, 0, nullptr);
  return kevent(kq, &change, 1, nullptr, 0, nullptr);
}

int ext_take_events(int kq, struct seen_event* seen, int room) {
  const timespec now = {0, 0};
  std::vector<struct kevent> events(static_cast<size_t>(room));
  const int n = kevent(kq, nullptr, 0, events.data(), room, &now);
  for (int i = 0; i < n; ++i) {
    const struct kevent& event = events.at(static_cast<size_t>(i));
    seen[i].ident = event.ident;
    seen[i].filter = event.filter;
    seen[i].fflags = event.fflags;
    seen[i].data = event.data;
    seen[i].udata = event.udata;
    memcpy(seen[i].ext, event.ext, sizeof(event.ext));
  }
  return n;
}

int ext_size() { return sizeof(struct kevent); }

int ext_stride() {
  std::vector<struct kevent> events(2);
  events.push_back(events.front());
  return static_cast<int>(reinterpret_cast<char*>(&events.at(1)) -
                          reinterpret_cast<char*>(&events.at(0)));
}
