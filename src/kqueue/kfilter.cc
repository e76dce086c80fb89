// SPDX-License-Identifier: BSD-2-Clause
//
// What: the registry of filters that programs register; see kfilter.hpp.
#include "kqueue/kfilter.hpp"

#include <sys/event.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "kqueue/loaded_filter.hpp"

namespace quay::kqueue {
namespace {

struct system_name {
  const char* name;
  int number;
};
constexpr system_name kSystemNames[] = {
    {"EVFILT_READ", EVFILT_READ},   {"EVFILT_WRITE", EVFILT_WRITE},
    {"EVFILT_AIO", EVFILT_AIO},     {"EVFILT_VNODE", EVFILT_VNODE},
    {"EVFILT_PROC", EVFILT_PROC},   {"EVFILT_SIGNAL", EVFILT_SIGNAL},
    {"EVFILT_TIMER", EVFILT_TIMER}, {"EVFILT_PROCDESC", EVFILT_PROCDESC},
    {"EVFILT_FS", EVFILT_FS},       {"EVFILT_LIO", EVFILT_LIO},
    {"EVFILT_USER", EVFILT_USER},   {"EVFILT_SENDFILE", EVFILT_SENDFILE},
    {"EVFILT_EMPTY", EVFILT_EMPTY}, {"EVFILT_EXCEPT", EVFILT_EXCEPT},
};

constexpr int kNumbers = kLastLoadedFilter - kFirstLoadedFilter + 1;
std::atomic<loaded_entry*> g_entries[kNumbers];
constinit core::mutex g_names{core::rank::registry};
int g_given QUAY_GUARDED_BY(g_names) = 0;

int system_filter_named(const char* name) noexcept {
  for (const system_name& s : kSystemNames) {
    if (std::strcmp(s.name, name) == 0) return s.number;
  }
  return 0;
}

loaded_entry* entry_named_locked(const char* name) noexcept QUAY_REQUIRES(g_names) {
  for (int k = 0; k < g_given; ++k) {
    loaded_entry* e = g_entries[k].load(std::memory_order_relaxed);
    if (e->notes.load() >= 0 && std::strcmp(e->name, name) == 0) return e;
  }
  return nullptr;
}

}  // namespace

core::mutex& filter_names_lock() noexcept { return g_names; }

loaded_entry* loaded_entry_of(int number) noexcept {
  if (number < kFirstLoadedFilter || number > kLastLoadedFilter) return nullptr;
  return g_entries[number - kFirstLoadedFilter].load(std::memory_order_acquire);
}

int register_filter(const char* name, const filterops& ops, int* number) noexcept {
  if (name == nullptr || *name == '\0') return EINVAL;
  const std::size_t length = std::strlen(name) + 1;
  // Made before the lock is taken; there are few registrations, and fewer that fail.
  auto* fresh = new (std::nothrow) loaded_entry{};
  char* copy = new (std::nothrow) char[length];
  int error = fresh == nullptr || copy == nullptr ? ENOMEM : 0;
  if (error == 0) {
    std::memcpy(copy, name, length);
    fresh->ops = ops;
    fresh->name = copy;
    core::guard hold(g_names);
    if (system_filter_named(name) != 0 || entry_named_locked(name) != nullptr) {
      error = EEXIST;
    } else if (g_given == kNumbers) {
      error = EINVAL;
    } else {
      if (number != nullptr) *number = kFirstLoadedFilter + g_given;
      g_entries[g_given++].store(fresh, std::memory_order_release);
    }
  }
  if (error != 0) {
    delete[] copy;
    delete fresh;
  }
  return error;
}

int unregister_filter(const char* name) noexcept {
  if (name == nullptr || *name == '\0' || system_filter_named(name) != 0) return EINVAL;
  core::guard hold(g_names);
  loaded_entry* e = entry_named_locked(name);
  if (e == nullptr) return ENOENT;
  int none = 0;
  return e->notes.compare_exchange_strong(none, loaded_entry::kClosed) ? 0 : EBUSY;
}

const char* name_of_filter(int number) noexcept {
  for (const system_name& s : kSystemNames) {
    if (s.number == number) return s.name;
  }
  const loaded_entry* e = loaded_entry_of(number);
  return e != nullptr && e->notes.load() >= 0 ? e->name : nullptr;
}

int filter_named(const char* name) noexcept {
  if (const int number = system_filter_named(name); number != 0) return number;
  core::guard hold(g_names);
  for (int k = 0; k < g_given; ++k) {
    const loaded_entry* e = g_entries[k].load(std::memory_order_relaxed);
    if (e->notes.load() >= 0 && std::strcmp(e->name, name) == 0) return kFirstLoadedFilter + k;
  }
  return 0;
}

}  // namespace quay::kqueue
