// SPDX-License-Identifier: BSD-2-Clause
//
// What: pages of the process's own, which the host layer gets.
// Contract: zeroed and touched as used; null when refused, with errno as it was.
#pragma once

#include <cstddef>

namespace quay::core {

// Address space that commits no memory before it is touched.
void* reserve_memory(std::size_t bytes) noexcept;
void* map_memory(std::size_t bytes) noexcept;
// Listed under `name` among the process's mappings.
void* map_named_memory(const char* name, std::size_t bytes) noexcept;
// What any of them gave, whole.
void unmap_memory(void* base, std::size_t bytes) noexcept;

}  // namespace quay::core
