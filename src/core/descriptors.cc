// SPDX-License-Identifier: BSD-2-Clause
//
// What: the table of the numbers that mean something to us; see descriptors.hpp.
#include "core/descriptors.hpp"

#include <limits.h>
#include <signal.h>

#include <cerrno>

#include "core/host.hpp"
#include "core/memory.hpp"
#include "core/mutex.hpp"

namespace quay::core {
namespace {

// Closes that signal handlers of this thread put off. When there are too many to remember each,
// every number is looked at.
struct put_off {
  static constexpr int kMost = 14;
  descriptor_table* table;
  std::atomic<int> count;
  std::atomic<int> numbers[kMost];
};
thread_local put_off g_put_off __attribute__((tls_model("initial-exec"))){};

// No handler runs in this thread as long as this lives, but those of faults, which cannot wait.
class handlers_held {
 public:
  handlers_held() noexcept {
    sigset_t most;
    sigfillset(&most);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS})
      sigdelset(&most, fault);
    pthread_sigmask(SIG_BLOCK, &most, &before_);
  }
  ~handlers_held() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  handlers_held(const handlers_held&) = delete;
  handlers_held& operator=(const handlers_held&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

long total_of(host& os, const iovec* parts, int count) noexcept {
  if (count < 0 || count > IOV_MAX) return -EINVAL;
  const std::size_t size = static_cast<std::size_t>(count) * sizeof(iovec);
  if (os.readable_prefix(parts, size) != size) return -EFAULT;
  std::size_t total = 0;
  for (int i = 0; i < count; ++i) {
    if (parts[i].iov_len > static_cast<std::size_t>(SSIZE_MAX) - total) return -EINVAL;
    total += parts[i].iov_len;
  }
  return static_cast<long>(total);
}

void pay_debts() noexcept {
  if (g_put_off.count.load(std::memory_order_relaxed) == 0) return;
  // A handler that closes or opens something would wait for the owners' locks, which this thread takes. Held off, none
  // adds to the list either.
  const handlers_held hold;
  descriptor_table* const table = g_put_off.table;
  const int count = g_put_off.count.exchange(0, std::memory_order_relaxed);
  if (count <= put_off::kMost) {
    for (int k = 0; k < count; ++k) {
      table->closed_before(g_put_off.numbers[k].load(std::memory_order_relaxed));
    }
    return;
  }
  // Too many to have been written down. What was not closed, and what has been assigned since, lives.
  for (int fd = table->highest(); fd >= 0; --fd) {
    if (table->is_closing(fd)) table->closed_before(fd);
  }
}

void descriptor_table::enroll(descriptor_owner& owner) noexcept {
  int n = 0;
  for (descriptor_owner* none = nullptr;
       !owners_[n].compare_exchange_strong(none, &owner, std::memory_order_release);
       none = nullptr) {
    ++n;
  }
  // Whoever took a later place found the earlier ones taken: the count may pass over them.
  int counted = enrolled_.load(std::memory_order_relaxed);
  while (counted <= n &&
         !enrolled_.compare_exchange_weak(counted, n + 1, std::memory_order_acq_rel)) {
  }
}

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

bool descriptor_table::assign(int fd, const descriptor_owner& owner, bool fresh) noexcept {
  std::uint8_t* entry = demand(fd);
  if (entry == nullptr) return false;
  for (int n = 0; n < enrolled(); ++n) {
    if (owner_at(n) != &owner) continue;
    clear_owner(fd);
    if (fresh) std::atomic_ref(*entry).fetch_and(static_cast<std::uint8_t>(~kClosing));
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
  if (holds_mutex()) return;
  std::atomic_ref(*entry).fetch_and(static_cast<std::uint8_t>(~kWatched));
  for (int n = 0; n < enrolled(); ++n) owner(n).closing(fd);
}

void descriptor_table::closed(int fd) noexcept {
  std::uint8_t* entry = find(fd);
  if (entry == nullptr) return;
  if (holds_mutex()) {
    g_put_off.table = this;
    // One instruction, so that a handler that interrupts this one takes another place.
    const int at = g_put_off.count.fetch_add(1, std::memory_order_relaxed);
    if (at < put_off::kMost) g_put_off.numbers[at].store(fd, std::memory_order_relaxed);
    owe_work();
    return;
  }
  for (int n = 0; n < enrolled(); ++n) owner(n).closed(fd);
  std::atomic_ref(*entry).fetch_and(static_cast<std::uint8_t>(~kClosing));
}

void descriptor_table::await_close(host& os, int fd) const noexcept {
  for (int i = 0; i < 2000 && is_closing(fd) && os.is_open(fd); ++i) pause();
}

void descriptor_table::closed_before(int fd) noexcept {
  std::uint8_t* entry = find(fd);
  if (entry == nullptr) return;
  // What has been assigned since is not what was closed.
  const descriptor_owner* const of_a_new_one = is_closing(fd) ? nullptr : owner_of(fd);
  for (int n = 0; n < enrolled(); ++n) {
    if (&owner(n) == of_a_new_one) {
      owner(n).closed(fd);
    } else {
      owner(n).closed_before(fd);
    }
  }
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
