/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: constants as case labels, on the types of the fields that carry them.
 */
#include <sys/event.h>

int label_of(const struct kevent* event);
unsigned long label_of_ioctl(unsigned long request);

int label_of(const struct kevent* event) {
  switch (event->filter) {
    case EVFILT_READ:
      switch (event->flags) {
        case EV_ADD | EV_CLEAR:
        case EV_EOF:
        case EV_ERROR:
          return 1;
        default:
          return 2;
      }
    case EVFILT_PROC:
      switch (event->fflags) {
        case NOTE_EXIT:
        case NOTE_FORK:
        case NOTE_EXEC:
        case NOTE_CHILD:
          return 3;
        default:
          return 4;
      }
    case EVFILT_USER:
      switch (event->fflags & NOTE_FFCTRLMASK) {
        case NOTE_FFNOP:
        case NOTE_FFAND:
        case NOTE_FFOR:
        case NOTE_FFCOPY:
          return 5;
        default:
          return 6;
      }
    case EVFILT_TIMER:
      switch (event->fflags) {
        case NOTE_SECONDS:
        case NOTE_MSECONDS:
        case NOTE_USECONDS:
        case NOTE_NSECONDS:
        case NOTE_ABSTIME:
          return 7;
        default:
          return 8;
      }
    case EVFILT_FS:
      switch (event->fflags) {
        case VQ_MOUNT:
        case VQ_UNMOUNT:
          return 9;
        default:
          return 10;
      }
    default:
      return 0;
  }
}

unsigned long label_of_ioctl(unsigned long request) {
  switch (request) {
    case KFILTER_BYFILTER:
    case KFILTER_BYNAME:
      return 1;
    default:
      return 0;
  }
}
