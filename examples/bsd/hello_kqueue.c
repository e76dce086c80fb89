// SPDX-License-Identifier: BSD-2-Clause
//
// What: the program of the README: one queue that watches standard input and a timer.
// Contract: from the first #include on the text equals the README's; the test `readme_program`
// compares them.

#include <stdio.h>
#include <sys/event.h>
#include <unistd.h>

int main(void) {
  char text[512];
  struct kevent event, wanted[2];
  int kq = kqueue(), ticks = 0;
  EV_SET(&wanted[0], STDIN_FILENO, EVFILT_READ, EV_ADD, 0, 0, NULL);
  EV_SET(&wanted[1], 1, EVFILT_TIMER, EV_ADD, 0, 1000, NULL);  // every 1000 ms
  if (kevent(kq, wanted, 2, NULL, 0, NULL) < 0) return perror("kevent"), 1;
  while (ticks < 5 && kevent(kq, NULL, 0, &event, 1, NULL) == 1) {
    if (event.filter == EVFILT_TIMER) {
      printf("tick %d\n", ++ticks);
    } else {
      printf("%ld bytes to read\n", (long)event.data);
      if (read(STDIN_FILENO, text, sizeof text) <= 0) break;
    }
  }
  return 0;
}
