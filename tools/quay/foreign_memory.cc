// SPDX-License-Identifier: BSD-2-Clause
//
// What: see foreign_memory.hpp.
#include "foreign_memory.hpp"

#include <errno.h>
#include <fmt/format.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "command.hpp"

namespace quay::tool {

namespace {

failure refused(pid_t pid, int error) {
  if (error == ESRCH || error == ENOENT) return failure(fmt::format("no process {}", pid));
  if (error != EPERM && error != EACCES) {
    return system_failure(fmt::format("cannot read the memory of process {}", pid), error);
  }
  char scope = '0';
  std::ifstream("/proc/sys/kernel/yama/ptrace_scope") >> scope;
  const char* help = scope == '0' ? "be its user, or root with CAP_SYS_PTRACE"
                                  : "this system lets only root, or a parent, look into a process "
                                    "(/proc/sys/kernel/yama/ptrace_scope)";
  return failure(fmt::format("not allowed to look into process {}: {}", pid, help));
}

}  // namespace

std::vector<std::uint64_t> foreign_memory::mappings_of(const std::string& name) const {
  errno = 0;
  std::ifstream maps(fmt::format("/proc/{}/maps", pid_));
  if (!maps) throw refused(pid_, errno);
  const std::string wanted = fmt::format(" /memfd:{} (deleted)", name);
  std::vector<std::uint64_t> found;
  for (std::string line; std::getline(maps, line);) {
    if (line.size() > wanted.size() &&
        line.compare(line.size() - wanted.size(), wanted.size(), wanted) == 0) {
      found.push_back(std::stoull(line, nullptr, 16));
    }
  }
  // Who may not look sees an empty file or an error at its first byte.
  if (maps.bad()) throw refused(pid_, EACCES);
  return found;
}

const std::vector<char>* foreign_memory::page(std::uint64_t address) {
  const auto known = pages_.find(address);
  if (known != pages_.end()) return known->second.empty() ? nullptr : &known->second;
  std::vector<char>& fresh = pages_[address];
  fresh.resize(kPage);
  const iovec here{fresh.data(), kPage};
  const iovec there{reinterpret_cast<void*>(address), kPage};
  if (process_vm_readv(pid_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(kPage)) return &fresh;
  const int error = errno;
  fresh.clear();
  if (error == EFAULT) return nullptr;
  throw refused(pid_, error);
}

bool foreign_memory::read(std::uint64_t address, void* to, std::size_t bytes) {
  auto* out = static_cast<char*>(to);
  while (bytes > 0) {
    const std::size_t at = address % kPage;
    const std::vector<char>* from = page(address - at);
    if (from == nullptr) return false;
    const std::size_t n = std::min(bytes, kPage - at);
    std::memcpy(out, from->data() + at, n);
    out += n;
    address += n;
    bytes -= n;
  }
  return true;
}

std::string foreign_memory::text(std::uint64_t address, std::size_t most) {
  std::string found;
  while (found.size() < most) {
    const std::optional<char> next = read<char>(address++);
    if (!next.has_value() || *next == '\0') break;
    found += *next;
  }
  return found;
}

std::string program_of(pid_t pid) {
  std::string name;
  std::getline(std::ifstream(fmt::format("/proc/{}/comm", pid)), name);
  return name.empty() ? "?" : name;
}

std::string descriptor_of(pid_t pid, std::int64_t fd) {
  std::error_code hidden;
  return std::filesystem::read_symlink(fmt::format("/proc/{}/fd/{}", pid, fd), hidden).string();
}

}  // namespace quay::tool
