/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What: <sys/port_impl.h>, which illumos' programs include for one number.
 * Contract: the value is illumos', and the default of the tunable port_max_list. The kernel's own names are not here.
 */
#ifndef QUAY_ILLUMOS_SYS_PORT_IMPL_H_
#define QUAY_ILLUMOS_SYS_PORT_IMPL_H_

#include <sys/port.h>

/* the ports in one step of port_sendn(), and what programs bound their lists of events with */
#define PORT_MAX_LIST 8192

#endif /* QUAY_ILLUMOS_SYS_PORT_IMPL_H_ */
