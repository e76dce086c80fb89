// SPDX-License-Identifier: BSD-2-Clause
//
// What: EV_SET as C++ programs use it: what C does, and what only C++ has.
static void cpp_arguments();
#define QUAY_TESTS_EV_SET_MORE cpp_arguments
#include "ev_set_run.c"

namespace {

enum plain_number { kPlain = 3 };
enum class strict_number : int { strict = 4 };

// Never defined: an EV_SET that took its arguments by reference would not link.
struct with_constants {
  static const int kIdent = 12;
  static const short kFilter = EVFILT_USER;
  static const int kUdata = 13;
};

struct wrapped_descriptor {
  int number;
  operator int() const { return number; }
};

struct wrapped_pointer {
  int* target;
  operator int*() const { return target; }
};

}  // namespace

static void cpp_arguments() {
  struct kevent change;
  int object = 0;
  const int constant = 0;

  EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, nullptr);
  EXPECT(change.udata == nullptr);
  EV_SET(&change, 1, EVFILT_READ, EV_ADD, 0, 0, &constant);
  EXPECT(change.udata == &constant);

  EV_SET(&change, kPlain, EVFILT_READ, EV_ADD, 0, 0, kPlain);
  EXPECT(change.ident == 3 && reinterpret_cast<uintptr_t>(change.udata) == 3);
  EV_SET(&change, strict_number::strict, EVFILT_READ, EV_ADD, 0, 0, strict_number::strict);
  EXPECT(change.ident == 4 && reinterpret_cast<uintptr_t>(change.udata) == 4);

  EV_SET(&change, with_constants::kIdent, with_constants::kFilter, EV_ADD, 0,
         with_constants::kIdent, with_constants::kUdata);
  EXPECT(change.ident == 12 && change.filter == EVFILT_USER && change.data == 12);
  EXPECT(reinterpret_cast<uintptr_t>(change.udata) == 13);

  wrapped_descriptor descriptor = {9};
  wrapped_pointer pointer = {&object};
  EV_SET(&change, descriptor, EVFILT_READ, EV_ADD, 0, 0, pointer);
  EXPECT(change.ident == 9 && change.udata == &object);
}
