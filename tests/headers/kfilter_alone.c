/* SPDX-License-Identifier: BSD-2-Clause */
/* What: <quay/kfilter.h> compiles alone and first, and its macros need nothing else. */
#include <quay/kfilter.h>

int kfilter_alone(struct klist* list);

int kfilter_alone(struct klist* list) {
  KNOTE(list, 0);
  return seltrue_filtops.f_isfd;
}
