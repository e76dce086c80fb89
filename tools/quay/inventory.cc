// SPDX-License-Identifier: BSD-2-Clause
//
// What: see inventory.hpp.
#include "inventory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "command.hpp"

namespace quay::tool {

namespace {

using core::catalogue;
using form = catalogue::form;

// More than these slots are not looked through.
constexpr std::uint32_t kMostSlots = 1u << 20;
constexpr std::size_t kMostText = 64;

template <std::size_t N>
std::string name_in(const char (&field)[N]) {
  return {field, strnlen(field, N)};
}

}  // namespace

std::int64_t shown_object::operator[](std::string_view name) const {
  for (const shown_field& f : fields) {
    if (f.name == name) return f.value;
  }
  return 0;
}

inventory::inventory(pid_t pid) : memory_(pid) {
  const std::vector<std::uint64_t> found = memory_.mappings_of(catalogue::kName);
  if (found.empty()) throw failure(fmt::format("process {} has not used quay", pid));
  at_ = found.front();
  refresh();
}

void inventory::refresh() {
  memory_.forget();
  kinds_.clear();
  entries_.clear();
  if (memory_.read<std::uint64_t>(at_ + offsetof(contents, magic)) != catalogue::kMagic) {
    throw failure(fmt::format("process {} has ended or is another program by now", pid()));
  }
  const auto version = memory_.read<std::uint32_t>(at_ + offsetof(contents, version));
  if (version != catalogue::kVersion) {
    throw failure(
        fmt::format("process {} uses another version of quay: take that one's tool", pid()));
  }
  const auto count = [this](std::size_t offset, std::uint32_t most) {
    return std::min(memory_.read<std::uint32_t>(at_ + offset).value_or(0), most);
  };
  kinds_.resize(count(offsetof(contents, kinds), catalogue::kMostKinds));
  entries_.resize(count(offsetof(contents, entries), catalogue::kMostEntries));
  memory_.read(at_ + offsetof(contents, kind_at), kinds_.data(), kinds_.size() * sizeof kinds_[0]);
  memory_.read(at_ + offsetof(contents, entry_at), entries_.data(),
               entries_.size() * sizeof entries_[0]);
  for (catalogue::kind& k : kinds_) k.fields = std::min(k.fields, catalogue::kMostFields);
}

std::vector<std::string> inventory::kinds() const {
  std::vector<std::string> names;
  for (const catalogue::kind& k : kinds_) names.push_back(name_in(k.name));
  return names;
}

int inventory::kind_number(const std::string& name) const {
  for (std::size_t n = 0; n < kinds_.size(); ++n) {
    if (name_in(kinds_[n].name) == name) return static_cast<int>(n);
  }
  return -1;
}

std::vector<inventory::entry> inventory::entries(int kind) const {
  std::vector<entry> found;
  for (const entry& e : entries_) {
    if (kind >= 0 && e.kind == static_cast<std::uint32_t>(kind) && e.object != 0)
      found.push_back(e);
  }
  return found;
}

std::optional<shown_object> inventory::object(int kind, std::uint64_t address,
                                              std::optional<bool>& in_use) {
  const catalogue::kind& k = kinds_[static_cast<std::size_t>(kind)];
  shown_object found{address, {}};
  for (std::uint32_t n = 0; n < k.fields; ++n) {
    const catalogue::field& f = k.field_at[n];
    std::uint64_t raw = 0;
    std::uint64_t base = address;
    if (f.through != 0) {
      if (f.through > n) return {};
      base = static_cast<std::uint64_t>(found.fields[f.through - 1u].value);
    }
    const bool absent = base == 0;
    if (f.bytes > sizeof raw || (!absent && !memory_.read(base + f.offset, &raw, f.bytes)))
      return {};
    if (f.how == form::in_use) in_use = in_use.value_or(false) || raw != 0;
    if (f.how == form::not_in_use) in_use = raw == 0;
    if (f.how == form::integer && f.bytes > 0 && f.bytes < sizeof raw) {
      const unsigned spare = 64 - 8u * f.bytes;
      raw = static_cast<std::uint64_t>(static_cast<std::int64_t>(raw << spare) >> spare);
    }
    std::string text;
    if (f.how == form::named) {
      text = memory_.text(memory_.read<std::uint64_t>(raw).value_or(0), kMostText);
    }
    found.fields.push_back({name_in(f.name), f.how, static_cast<std::int64_t>(raw), text});
  }
  return found;
}

std::vector<shown_object> inventory::objects(const std::string& kind) {
  std::vector<shown_object> found;
  const int number = kind_number(kind);
  for (const entry& e : entries(number)) {
    const bool table = e.stride != 0;
    const std::uint32_t slots =
        table ? std::min(memory_.read<std::uint32_t>(e.slots).value_or(0), kMostSlots) : 1;
    for (std::uint32_t n = table ? e.first_slot : 0; n < slots; ++n) {
      std::optional<bool> in_use;
      std::optional<shown_object> o = object(number, e.object + n * e.stride, in_use);
      // A table whose slots do not say so is reached by slot() only.
      if (table && !in_use.has_value()) break;
      if (o.has_value() && in_use.value_or(true)) found.push_back(std::move(*o));
    }
  }
  return found;
}

std::optional<shown_object> inventory::slot(const std::string& kind, std::uint32_t number) {
  const int k = kind_number(kind);
  for (const entry& e : entries(k)) {
    std::optional<bool> in_use;
    if (number < e.first_slot || number >= memory_.read<std::uint32_t>(e.slots).value_or(0)) {
      return {};
    }
    return object(k, e.object + number * e.stride, in_use);
  }
  return {};
}

std::vector<std::uint32_t> inventory::slot_numbers(std::uint64_t array, std::uint64_t room) {
  std::vector<std::uint32_t> found;
  for (std::uint64_t n = 0; array != 0 && n < std::min<std::uint64_t>(room, kMostSlots); ++n) {
    const auto number = memory_.read<std::uint32_t>(array + n * sizeof(std::uint32_t));
    if (!number.has_value()) break;
    if (*number != 0) found.push_back(*number);
  }
  return found;
}

bool has_catalogue(pid_t pid) {
  try {
    return !foreign_memory(pid).mappings_of(catalogue::kName).empty();
  } catch (const failure&) {
    return false;
  }
}

}  // namespace quay::tool
