// SPDX-License-Identifier: BSD-2-Clause
//
// What: the table of the numbers that mean something to us; see descriptors.hpp.
#include "core/descriptors.hpp"

namespace quay::core {

std::uint8_t* descriptor_table::demand(int fd) noexcept {
  const auto n = static_cast<std::uint32_t>(fd);
  if (fd < 0 || n >> kChunkBits >= kChunks) return nullptr;
  if (std::uint8_t* entry = find(fd); entry != nullptr) return entry;
  constexpr std::size_t kBytes = std::size_t{1} << kChunkBits;
  auto* fresh = static_cast<std::uint8_t*>(map_memory(kBytes));
  if (fresh == nullptr) return nullptr;
  std::uint8_t* expected = nullptr;
  if (!chunks_[n >> kChunkBits].compare_exchange_strong(expected, fresh,
                                                        std::memory_order_acq_rel)) {
    unmap_memory(fresh, kBytes);
  }
  return find(fd);
}

int descriptor_table::highest() const noexcept {
  for (std::uint32_t c = kChunks; c > 0; --c) {
    const std::uint8_t* chunk = chunks_[c - 1].load(std::memory_order_acquire);
    if (chunk == nullptr) continue;
    for (std::uint32_t i = 1u << kChunkBits; i > 0; --i) {
      const int fd = static_cast<int>(((c - 1) << kChunkBits) + i - 1);
      if (load(fd) != 0) return fd;
    }
  }
  return -1;
}

bool descriptor_table::assign(int fd, const descriptor_owner& owner) noexcept {
  std::uint8_t* entry = demand(fd);
  if (entry == nullptr) return false;
  for (int n = 0; n < enrolled(); ++n) {
    if (owners_[n] != &owner) continue;
    clear_owner(fd);
    std::atomic_ref(*entry).fetch_or(static_cast<std::uint8_t>(n + 1));
  }
  return true;
}

bool descriptor_table::watch(int fd) noexcept {
  std::uint8_t* entry = demand(fd);
  if (entry == nullptr) return false;
  if ((load(fd) & kWatched) == 0) std::atomic_ref(*entry).fetch_or(kWatched);
  return true;
}

// What is registered from here on is found by closed(), so the mark may go first.
void descriptor_table::closing(int fd) noexcept {
  std::uint8_t* entry = find(fd);
  if (entry == nullptr) return;
  std::atomic_ref(*entry).fetch_or(kClosing);
  std::atomic_ref(*entry).fetch_and(static_cast<std::uint8_t>(~kWatched));
  for (int n = 0; n < enrolled(); ++n) owners_[n]->closing(fd);
}

void descriptor_table::closed(int fd) noexcept {
  std::uint8_t* entry = find(fd);
  if (entry == nullptr) return;
  for (int n = 0; n < enrolled(); ++n) owners_[n]->closed(fd);
  std::atomic_ref(*entry).fetch_and(static_cast<std::uint8_t>(~kClosing));
}

void descriptor_table::unwatch_all() noexcept {
  for (auto& entry : chunks_) {
    std::uint8_t* chunk = entry.load(std::memory_order_relaxed);
    if (chunk == nullptr) continue;
    for (std::uint32_t i = 0; i < 1u << kChunkBits; ++i) {
      if (chunk[i] != 0) chunk[i] &= kOwner;
    }
  }
}

}  // namespace quay::core
