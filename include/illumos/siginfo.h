/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <siginfo.h>: where illumos has siginfo_t, struct sigevent and the SIGEV_* constants, SIGEV_PORT among them.
 * Contract: siginfo.h(3HEAD); Linux has all but SIGEV_PORT in <signal.h>.
 */
#ifndef QUAY_ILLUMOS_SIGINFO_H_
#define QUAY_ILLUMOS_SIGINFO_H_

#include <port.h>
#include <signal.h>

#endif /* QUAY_ILLUMOS_SIGINFO_H_ */
