// SPDX-License-Identifier: BSD-2-Clause
//
// What: <quay/kfilter.h>: registering filters, knote(), seltrue.
// Contract: that header; semantics/kqueue.md 5.12.
#include "kqueue/kfilter.hpp"

#include <cerrno>

#include "faces/process_system.hpp"

namespace {

int finish(int error) noexcept {
  if (error != 0) errno = error;
  return error;
}

int seltrue_attach(struct knote*) { return 0; }
void seltrue_detach(struct knote*) {}
int seltrue_event(struct knote* kn, long) {
  kn->kn_data = 0;
  return 1;
}

}  // namespace

extern "C" const struct filterops seltrue_filtops = {0, seltrue_attach, seltrue_detach,
                                                     seltrue_event};

int kfilter_register(const char* name, const struct filterops* ops, int* retfilter) {
  if (ops == nullptr || ops->f_attach == nullptr || ops->f_event == nullptr) return finish(EINVAL);
  quay::faces::process_system();  // which frees the names for a child of fork
  return finish(quay::kqueue::register_filter(name, *ops, retfilter));
}

int kfilter_unregister(const char* name) {
  quay::faces::process_system();
  return finish(quay::kqueue::unregister_filter(name));
}

void knote(struct klist* list, long hint) {
  for (struct knote* kn = list->slh_first; kn != nullptr;) {
    struct knote* const next = kn->kn_selnext.sle_next;
    quay::kqueue::notify(*kn, hint);
    kn = next;
  }
}
