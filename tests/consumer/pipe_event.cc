// SPDX-License-Identifier: BSD-2-Clause
//
// What: a stranger's C++ program on the C face: a byte in a pipe arrives as a READ event.
// Contract: exit status 0 iff so.
#include <sys/event.h>
#include <unistd.h>

#include <iostream>

int main() {
  int ends[2];
  const int queue = kqueue();
  if (queue < 0 || pipe(ends) != 0) return 1;
  struct kevent change;
  EV_SET(&change, ends[0], EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, nullptr);
  if (write(ends[1], "quay", 4) != 4) return 1;
  struct kevent event;
  if (kevent(queue, &change, 1, &event, 1, nullptr) != 1) return 1;
  std::cout << event.data << " bytes to read\n";
  return event.data == 4 && event.filter == EVFILT_READ ? 0 : 1;
}
