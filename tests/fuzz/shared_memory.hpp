// SPDX-License-Identifier: BSD-2-Clause
//
// What: finds memory that the library shares with other processes, to write into it what a hostile one might.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace quay::fuzz {

struct mapping {
  unsigned char* base;
  std::size_t bytes;
};

// The shared writable mappings of this process whose name contains `name`.
inline std::vector<mapping> shared_mappings(const char* name) {
  std::vector<mapping> out;
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  char line[512];
  while (maps != nullptr && std::fgets(line, sizeof line, maps) != nullptr) {
    unsigned long from = 0;
    unsigned long to = 0;
    char rights[8] = {};
    if (std::sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3) continue;
    if (std::strcmp(rights, "rw-s") != 0 || std::strstr(line, name) == nullptr) continue;
    out.push_back({reinterpret_cast<unsigned char*>(from), to - from});
  }
  if (maps != nullptr) std::fclose(maps);
  return out;
}

}  // namespace quay::fuzz
