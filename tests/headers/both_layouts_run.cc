// SPDX-License-Identifier: BSD-2-Clause
//
// What: both layouts of struct kevent in one program and on one queue: this half has the classic
//       one, both_layouts_run_ext.cc the extended.
#include "both_layouts.h"

#include <sys/event.h>
#include <unistd.h>

#include <vector>

#include "expect.h"

namespace {

constexpr timespec kNow = {0, 0};

int add_user_event(int kq, uintptr_t ident, void* udata) {
  struct kevent change;
  EV_SET(&change, ident, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, udata);
  return kevent(kq, &change, 1, nullptr, 0, nullptr);
}

int trigger_user_event(int kq, uintptr_t ident) {
  struct kevent change;
  EV_SET(&change, ident, EVFILT_USER, 0, NOTE_TRIGGER, 0, nullptr);
  return kevent(kq, &change, 1, nullptr, 0, nullptr);
}

// The linker keeps one instance of a template for each mangled name. Were the two types mangled
// alike, one half would run on the other's stride.
int stride() {
  std::vector<struct kevent> events(2);
  events.push_back(events.front());
  return static_cast<int>(reinterpret_cast<char*>(&events.at(1)) -
                          reinterpret_cast<char*>(&events.at(0)));
}

void sizes_stay_apart() {
  EXPECT(sizeof(struct kevent) == 32);
  EXPECT(ext_size() == 64);
  EXPECT(stride() == 32);
  EXPECT(ext_stride() == 64);
}

void classic_change_arrives_as_extended_event(int kq) {
  int mark = 0;
  EXPECT(add_user_event(kq, 1, &mark) == 0);
  EXPECT(ext_trigger_user_event(kq, 1) == 0);

  seen_event seen[2] = {};
  EXPECT(ext_take_events(kq, seen, 2) == 1);
  EXPECT(seen[0].ident == 1 && seen[0].filter == EVFILT_USER && seen[0].data == 0);
  for (uint64_t word : seen[0].ext) EXPECT(word == 0);
}

void extended_change_arrives_as_classic_event(int kq) {
  int mark = 0;
  const uint64_t words[4] = {0, 0, 0x1122334455667788, UINT64_MAX};
  EXPECT(ext_add_user_event(kq, 2, &mark, words) == 0);
  EXPECT(trigger_user_event(kq, 2) == 0);

  // Two slots: an event written with the other stride would show in the second.
  struct kevent events[2];
  EV_SET(&events[1], 99, 0, 0, 0, 99, &mark);
  EXPECT(kevent(kq, nullptr, 0, events, 2, &kNow) == 1);
  EXPECT(events[0].ident == 2 && events[0].filter == EVFILT_USER);
  EXPECT(events[1].ident == 99 && events[1].data == 99 && events[1].udata == &mark);
}

void extended_words_come_back(int kq) {
  const uint64_t words[4] = {0, 0, 0x1122334455667788, UINT64_MAX};
  EXPECT(ext_add_user_event(kq, 3, nullptr, words) == 0);
  EXPECT(ext_trigger_user_event(kq, 3) == 0);

  seen_event seen[2] = {};
  EXPECT(ext_take_events(kq, seen, 2) == 1);
  EXPECT(seen[0].ident == 3);
  EXPECT(seen[0].ext[2] == words[2] && seen[0].ext[3] == words[3]);
}

}  // namespace

int main() {
  const int kq = kqueue();
  EXPECT(kq >= 0);
  sizes_stay_apart();
  classic_change_arrives_as_extended_event(kq);
  extended_change_arrives_as_classic_event(kq);
  extended_words_come_back(kq);
  close(kq);
  return EXPECT_RESULT();
}
