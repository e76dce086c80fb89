// SPDX-License-Identifier: BSD-2-Clause
//
// What: the memory of another process, read only, with the kernel's own rules for who may.
// Contract: process_vm_readv(2); ptrace(2), "Ptrace access mode checking". What is not mapped there
//           reads as absent, never as an error: the process goes on living meanwhile.
// Ownership: nothing of the process is held; pages that were read are kept until forget().
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace quay::tool {

class foreign_memory {
 public:
  explicit foreign_memory(pid_t pid) : pid_(pid) {}

  pid_t pid() const { return pid_; }
  // Where mappings of memory files of that name begin. Throws failure: no such process, or not
  // allowed.
  std::vector<std::uint64_t> mappings_of(const std::string& name) const;

  // False: not all of it is there. Throws failure when the kernel does not allow it.
  bool read(std::uint64_t address, void* to, std::size_t bytes);
  template <class T>
  std::optional<T> read(std::uint64_t address) {
    T value;
    if (!read(address, &value, sizeof value)) return std::nullopt;
    return value;
  }
  std::string text(std::uint64_t address, std::size_t most);
  // What is read from now on is what is there by then.
  void forget() { pages_.clear(); }

 private:
  static constexpr std::size_t kPage = 4096;
  const std::vector<char>* page(std::uint64_t address);

  pid_t pid_;
  std::map<std::uint64_t, std::vector<char>> pages_;  // empty: not mapped
};

// The name of its program, "?" when it cannot be found out.
std::string program_of(pid_t pid);
// What a descriptor of the process is: a path, "socket:[123]"; empty when that cannot be seen.
std::string descriptor_of(pid_t pid, std::int64_t fd);

}  // namespace quay::tool
