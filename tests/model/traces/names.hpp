// SPDX-License-Identifier: BSD-2-Clause
//
// What: the names that recorded traces use for filters, flags and errors, and their values in this
// <sys/event.h>.
// Contract: a name that the header or this table lacks throws std::runtime_error; a trace is never
// read half.
#pragma once

#include <string>
#include <string_view>

namespace quay::traces {

// "EVFILT_READ", or a decimal number that no system uses.
int filter_value(std::string_view name);
std::string filter_name(int filter);

// "EV_ADD|EV_CLEAR|0x1234".
unsigned flag_bits(std::string_view names);
std::string flag_names(unsigned bits);

// "NOTE_TRIGGER|NOTE_FFOR|0xff".
unsigned fflag_bits(std::string_view names);

int errno_value(std::string_view name);
std::string errno_name(int error);

}  // namespace quay::traces
