// SPDX-License-Identifier: BSD-2-Clause
//
// What: the two layouts of struct kevent, and how changes are read from them and events written.
// Contract: semantics/headers.md. The faces assert that these are the header's.
// Invariants: here and not in the faces, so that a scan stores without a call.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/note.hpp"
#include "core/queue.hpp"

namespace quay::kqueue {

struct [[gnu::may_alias]] classic_event {
  std::uintptr_t ident;
  std::int16_t filter;
  std::uint16_t flags;
  std::uint32_t fflags;
  std::intptr_t data;
  void* udata;
};

// FreeBSD 12's.
struct [[gnu::may_alias]] wide_event {
  std::uintptr_t ident;
  std::int16_t filter;
  std::uint16_t flags;
  std::uint32_t fflags;
  std::int64_t data;
  void* udata;
  std::uint64_t ext[4];
};

template <class Layout>
inline constexpr bool kIsWide = false;
template <>
inline constexpr bool kIsWide<wide_event> = true;

// Whether the header's struct kevent is that layout.
template <class Kevent, class Layout>
consteval bool is_layout_of() noexcept {
  if constexpr (kIsWide<Layout>) {
    if (offsetof(Kevent, ext) != offsetof(Layout, ext)) return false;
  }
  return sizeof(Kevent) == sizeof(Layout) && offsetof(Kevent, ident) == offsetof(Layout, ident) &&
         offsetof(Kevent, filter) == offsetof(Layout, filter) &&
         offsetof(Kevent, flags) == offsetof(Layout, flags) &&
         offsetof(Kevent, fflags) == offsetof(Layout, fflags) &&
         offsetof(Kevent, data) == offsetof(Layout, data) &&
         offsetof(Kevent, udata) == offsetof(Layout, udata);
}

template <class Layout>
void load(const Layout& from, core::event& to) noexcept {
  to.ident = from.ident;
  to.udata = from.udata;
  to.data = from.data;
  to.fflags = from.fflags;
  to.filter = from.filter;
  to.flags = from.flags;
  for (int k = 0; k < 4; ++k) {
    if constexpr (kIsWide<Layout>) {
      to.ext[k] = from.ext[k];
    } else {
      to.ext[k] = 0;
    }
  }
}

template <class Layout>
void store(Layout& to, const core::event& from) noexcept {
  to.ident = from.ident;
  to.filter = from.filter;
  to.flags = from.flags;
  to.fflags = from.fflags;
  to.data = static_cast<decltype(to.data)>(from.data);
  to.udata = from.udata;
  if constexpr (kIsWide<Layout>) {
    for (int k = 0; k < 4; ++k) to.ext[k] = from.ext[k];
  }
}

// Where a scan puts its events.
struct sink : core::event_list {
  void* at;
  bool wide;  // the layout
  int room;   // entries that may be written

  [[gnu::always_inline]] void put(const core::event& e) noexcept {
    wide ? put_as<wide_event>(e) : put_as<classic_event>(e);
    ++filled;
  }
  bool holds(std::uintptr_t ident, std::int16_t filter) const noexcept {
    return wide ? holds_as<wide_event>(ident, filter) : holds_as<classic_event>(ident, filter);
  }

 private:
  template <class Layout>
  [[gnu::cold]] bool holds_as(std::uintptr_t ident, std::int16_t filter) const noexcept {
    const auto* const end = static_cast<const Layout*>(at);
    return std::any_of(end - filled, end, [=](const Layout& each) {
      return each.ident == ident && each.filter == filter;
    });
  }
  template <class Layout>
  [[gnu::always_inline]] void put_as(const core::event& e) noexcept {
    auto* to = static_cast<Layout*>(at);
    store(*to, e);
    at = to + 1;
  }
};

}  // namespace quay::kqueue
