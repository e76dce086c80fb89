// SPDX-License-Identifier: BSD-2-Clause
//
// What: select() and pselect(), put in front of libc: with one of our descriptors among theirs they
//       are poll() in other words.
// Contract: select.hpp.
#include <sys/select.h>

#include "hooks/original.hpp"
#include "hooks/select.hpp"

namespace {

using quay::hooks::in_boundary_words;
using quay::hooks::original;
using quay::hooks::select_ours;

constinit original<int(int, fd_set*, fd_set*, fd_set*, timeval*)> libc_select{"select"};
constinit original<int(int, fd_set*, fd_set*, fd_set*, const timespec*, const sigset_t*)>
    libc_pselect{"pselect"};

[[gnu::constructor]] void look_up_originals() {
  libc_select.get();
  libc_pselect.get();
}

}  // namespace

QUAY_HOOK int select(int n, fd_set* reading, fd_set* writing, fd_set* other, timeval* timeout) {
  return select_ours(n, {reading, writing, other}, in_boundary_words(timeout), nullptr,
                     [=] { return libc_select.get()(n, reading, writing, other, timeout); });
}

QUAY_HOOK int pselect(int n, fd_set* reading, fd_set* writing, fd_set* other,
                      const timespec* timeout, const sigset_t* mask) {
  return select_ours(n, {reading, writing, other}, in_boundary_words(timeout), mask,
                     [=] { return libc_pselect.get()(n, reading, writing, other, timeout, mask); });
}
