// SPDX-License-Identifier: BSD-2-Clause
//
// What: one event as text: the names of its bits, and what it says in words.
#pragma once

#include <sys/event.h>

#include <string>
#include <vector>

namespace quay::tool {

// What the event alone cannot tell about its descriptor.
enum class object_kind { other, listener, file };

std::string filter_name(int filter);  // "EVFILT_READ"; an unknown one as its number

// The names of the bits that have one: {"EV_CLEAR", "EV_EOF"}, and the filter's NOTE_*.
std::vector<std::string> flag_names(unsigned flags);
std::vector<std::string> fflag_names(int filter, unsigned fflags);

// "6 bytes to read", "expired 3 times", ...
std::string meaning(const struct kevent& event, object_kind kind);

}  // namespace quay::tool
