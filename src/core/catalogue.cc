// SPDX-License-Identifier: BSD-2-Clause
//
// What: writing the catalogue; see catalogue.hpp.
#include "core/catalogue.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "core/memory.hpp"

namespace quay::core {
namespace {

// Cut to what fits; the rest of `to` is zero already.
template <std::size_t N>
void put_name(char (&to)[N], const char* name) noexcept {
  std::memcpy(to, name, std::min(std::strlen(name), N - 1));
}

}  // namespace

catalogue::description::description(const char* kind_name, const void* object) noexcept
    : object_(object) {
  put_name(what_.name, kind_name);
}

catalogue::description& catalogue::description::add(const char* name, std::uint32_t offset,
                                                    std::size_t bytes, form how) noexcept {
  if (what_.fields == kMostFields) return *this;
  field& f = what_.field_at[what_.fields++];
  put_name(f.name, name);
  f.offset = offset;
  f.bytes = static_cast<std::uint16_t>(bytes);
  f.how = how;
  return *this;
}

void catalogue::open() noexcept {
  void* memory = map_named_memory(kName, sizeof(contents));
  if (memory == nullptr) return;
  contents_ = ::new (memory) contents;  // zero already, and so it stays
  contents_->version = kVersion;
  contents_->magic = kMagic;
}

// kMostKinds: there are too many. Two threads may write down the same kind: then it is there twice. A
// kind that has no fields yet is being written.
std::uint32_t catalogue::kind_number(const kind& k) noexcept {
  const std::uint32_t known =
      std::min(contents_->kinds.load(std::memory_order_acquire), kMostKinds);
  for (std::uint32_t n = 0; n < known; ++n) {
    kind& there = contents_->kind_at[n];
    if (std::atomic_ref(there.fields).load(std::memory_order_acquire) == 0) continue;
    if (std::strcmp(there.name, k.name) == 0) return n;
  }
  const std::uint32_t n = contents_->kinds.fetch_add(1, std::memory_order_acq_rel);
  if (n >= kMostKinds) return kMostKinds;
  kind& made = contents_->kind_at[n];
  std::memcpy(made.name, k.name, sizeof made.name);
  std::memcpy(made.field_at, k.field_at, sizeof made.field_at);
  std::atomic_ref(made.fields).store(k.fields, std::memory_order_release);
  return n;
}

void catalogue::show(const description& d, const void* first, std::size_t stride,
                     const std::uint32_t* slots, std::uint32_t first_slot) noexcept {
  if (contents_ == nullptr) return;
  const std::uint32_t number = kind_number(d.what_);
  if (number == kMostKinds) return;
  const std::uint32_t n = contents_->entries.fetch_add(1, std::memory_order_relaxed);
  if (n >= kMostEntries) return;
  entry& e = contents_->entry_at[n];
  e.kind = number;
  e.stride = stride;
  e.first_slot = first_slot;
  e.slots = reinterpret_cast<std::uintptr_t>(slots);
  // Until then a reader takes the entry for none.
  std::atomic_ref(e.object).store(reinterpret_cast<std::uintptr_t>(first),
                                  std::memory_order_release);
}

}  // namespace quay::core
