// SPDX-License-Identifier: BSD-2-Clause
//
// What: the objects of the library in another process, as its catalogue describes them.
// Contract: core/catalogue.hpp. Nothing in there is believed: counts are limited, addresses may lead
//           nowhere, and then there is no object.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/catalogue.hpp"
#include "foreign_memory.hpp"

namespace quay::tool {

struct shown_field {
  std::string name;
  core::catalogue::form how;
  std::int64_t value;
  std::string text;  // of a named one
};

struct shown_object {
  std::uint64_t address = 0;
  std::vector<shown_field> fields;

  // 0 when there is no such field.
  std::int64_t operator[](std::string_view name) const;
};

class inventory {
 public:
  // Throws failure: no such process, not allowed, no catalogue there or one of another version.
  explicit inventory(pid_t pid);

  pid_t pid() const { return memory_.pid(); }
  // Takes a fresh look.
  void refresh();

  std::vector<std::string> kinds() const;
  // Objects that are in use; of a table of slots, those that say so.
  std::vector<shown_object> objects(const std::string& kind);
  // A table's slot, in use or not.
  std::optional<shown_object> slot(const std::string& kind, std::uint32_t number);
  // The numbers in an array of 32-bit slot numbers.
  std::vector<std::uint32_t> slot_numbers(std::uint64_t array, std::uint64_t room);

 private:
  using contents = core::catalogue::contents;
  using entry = core::catalogue::entry;

  int kind_number(const std::string& name) const;
  std::vector<entry> entries(int kind) const;
  // `in_use` is set when a field tells.
  std::optional<shown_object> object(int kind, std::uint64_t address, std::optional<bool>& in_use);

  foreign_memory memory_;
  std::uint64_t at_ = 0;
  std::vector<core::catalogue::kind> kinds_;
  std::vector<entry> entries_;
};

// Whether there is anything to look at.
bool has_catalogue(pid_t pid);

}  // namespace quay::tool
