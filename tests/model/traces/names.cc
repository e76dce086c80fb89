// SPDX-License-Identifier: BSD-2-Clause
//
// What: tables of the names that occur in recorded traces.
#include "names.hpp"

#include <errno.h>
#include <fmt/format.h>
#include <sys/event.h>

#include <charconv>
#include <span>
#include <stdexcept>

namespace quay::traces {
namespace {

struct named_value {
  std::string_view name;
  unsigned long value;
};

#define NAMED(x) \
  { #x, static_cast<unsigned long>(x) }

constexpr named_value kFilters[] = {
    NAMED(EVFILT_READ), NAMED(EVFILT_WRITE),  NAMED(EVFILT_AIO),   NAMED(EVFILT_VNODE),
    NAMED(EVFILT_PROC), NAMED(EVFILT_SIGNAL), NAMED(EVFILT_TIMER), NAMED(EVFILT_USER),
};

constexpr named_value kFlags[] = {
    NAMED(EV_ADD),     NAMED(EV_DELETE), NAMED(EV_ENABLE),  NAMED(EV_DISABLE),
    NAMED(EV_ONESHOT), NAMED(EV_CLEAR),  NAMED(EV_RECEIPT), NAMED(EV_DISPATCH),
    NAMED(EV_NODATA),  NAMED(EV_EOF),    NAMED(EV_ERROR),
};

// Wider operations first: NOTE_FFCOPY is both bits of the two others.
constexpr named_value kFflags[] = {
    NAMED(NOTE_TRIGGER),
    NAMED(NOTE_FFCOPY),
    NAMED(NOTE_FFAND),
    NAMED(NOTE_FFOR),
};

constexpr named_value kErrors[] = {
    NAMED(EPERM),      NAMED(ENOENT),     NAMED(ESRCH),  NAMED(EINTR),  NAMED(EIO),
    NAMED(ENXIO),      NAMED(EBADF),      NAMED(EAGAIN), NAMED(ENOMEM), NAMED(EACCES),
    NAMED(EFAULT),     NAMED(EBUSY),      NAMED(EEXIST), NAMED(ENODEV), NAMED(EINVAL),
    NAMED(ENFILE),     NAMED(EMFILE),     NAMED(ENOTTY), NAMED(EPIPE),  NAMED(ENOSYS),
    NAMED(EOPNOTSUPP), NAMED(ECONNRESET), NAMED(ELOOP),
};

#undef NAMED

const named_value* find(std::span<const named_value> table, std::string_view name) {
  for (const named_value& entry : table) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

unsigned bits_of(std::span<const named_value> table, std::string_view names) {
  unsigned bits = 0;
  while (!names.empty()) {
    const std::string_view word = names.substr(0, names.find('|'));
    names.remove_prefix(std::min(names.size(), word.size() + 1));
    if (word.starts_with("0x")) {
      unsigned number = 0;
      std::from_chars(word.data() + 2, word.data() + word.size(), number, 16);
      bits |= number;
    } else if (const named_value* entry = find(table, word)) {
      bits |= static_cast<unsigned>(entry->value);
    } else {
      throw std::runtime_error(fmt::format("the trace uses an unknown name '{}'", word));
    }
  }
  return bits;
}

}  // namespace

int filter_value(std::string_view name) {
  if (const named_value* entry = find(kFilters, name)) return static_cast<int>(entry->value);
  int number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc{} || end != name.data() + name.size()) {
    throw std::runtime_error(fmt::format("the trace uses an unknown filter '{}'", name));
  }
  return number;
}

std::string filter_name(int filter) {
  for (const named_value& entry : kFilters) {
    if (static_cast<int>(entry.value) == filter) return std::string(entry.name);
  }
  return fmt::format("{}", filter);
}

unsigned flag_bits(std::string_view names) { return bits_of(kFlags, names); }

std::string flag_names(unsigned bits) {
  std::string out;
  for (const named_value& entry : kFlags) {
    if ((bits & entry.value) == 0) continue;
    out += fmt::format("{}{}", out.empty() ? "" : "|", entry.name);
    bits &= ~static_cast<unsigned>(entry.value);
  }
  if (bits != 0) out += fmt::format("{}{:#x}", out.empty() ? "" : "|", bits);
  return out.empty() ? "0" : out;
}

unsigned fflag_bits(std::string_view names) { return bits_of(kFflags, names); }

int errno_value(std::string_view name) {
  const named_value* entry = find(kErrors, name);
  if (entry == nullptr)
    throw std::runtime_error(fmt::format("the trace uses an unknown error '{}'", name));
  return static_cast<int>(entry->value);
}

std::string errno_name(int error) {
  for (const named_value& entry : kErrors) {
    if (static_cast<int>(entry.value) == error) return std::string(entry.name);
  }
  return fmt::format("errno {}", error);
}

}  // namespace quay::traces
