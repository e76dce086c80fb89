// SPDX-License-Identifier: BSD-2-Clause
//
// What: the process's event ports: which descriptor is which port, and what closing, duplicating
//       and forking mean to them.
// Contract: semantics/ports.md 2.1, 2.10, section 5 and 7.
// Invariants: a number names a port while its entry does and the lives agree; port::numbers are
//             counted, and with the last one the process leaves the port.
// Ownership: ports and entries live as long as the process; a port nobody else can have is recycled.
// Locking: registry_ (rank arena) guards the list and every change of entries; a port's lock may
//          be taken under it. Entries are read without.
#pragma once

#include <cerrno>

#include "core/descriptors.hpp"
#include "core/growable.hpp"
#include "core/mutex.hpp"
#include "port/port.hpp"
#include "port/sources/mq.hpp"
#include "port/sources/program.hpp"
#include "port/sources/timer.hpp"

namespace quay::port {

class system final : public core::descriptor_owner {
 public:
  system(core::host& os, core::descriptor_table& descriptors, core::tunables& tune,
         core::counters& count, bool hooked) noexcept;
  system(const system&) = delete;
  system& operator=(const system&) = delete;

  // Make a port, or take up one that another process sent; the descriptor or -errno.
  int open(bool close_on_exec, bool private_port) noexcept;
  int send_port(int socket, int fd) noexcept;  // errno
  int receive_port(int socket) noexcept;

  // The port behind a number, null when it is none.
  port* at(int fd) const noexcept {
    const entry* e = fd >= 0 ? find(fd) : nullptr;
    return e != nullptr ? e->owner.load(std::memory_order_acquire) : nullptr;
  }
  // The same for a number nobody announced; and why it is none: EBADF or EBADFD.
  port* adopt(int fd) noexcept;
  port* find_or_adopt(int fd) noexcept {
    port* p = at(fd);
    return p != nullptr ? p : adopt(fd);
  }
  // The port that port::opening() named, null when it has been closed since.
  port* opened_as(std::uint64_t opening) noexcept;
  // Of a number that is no port.
  int why_not(int fd) noexcept {
    return env_.descriptors.is_closing(fd) || !env_.os.is_open(fd) ? EBADF : EBADFD;
  }

  port* meant_by(int fd) noexcept;  // of a file operation
  long read(int fd, const iovec* parts, int count) noexcept override;
  long write(int fd, const iovec* parts, int count) noexcept override;
  int stat(int fd, struct stat& out) noexcept override;
  int ioctl(int fd, unsigned long request, void* argument) noexcept override;
  int fcntl(int fd, int command, void* argument) noexcept override;
  int poll(int fd, short events) noexcept override;
  int answer(int fd, core::file_call what) noexcept override;

  void changed(int fd) noexcept override;
  void closing(int fd) noexcept override;
  void closed(int fd) noexcept override;
  void closed_before(int fd) noexcept override;
  void duplicated(int from, int to) noexcept override;

  void before_fork() noexcept override QUAY_NO_ANALYSIS;
  void after_fork_in_parent() noexcept override QUAY_NO_ANALYSIS;
  void after_fork_in_child() noexcept override QUAY_NO_ANALYSIS;

  environment& env() noexcept { return env_; }
  timer_source& timers() noexcept { return timers_; }
  mq_source& queues() noexcept { return queues_; }
  program_source& programs() noexcept { return programs_; }

  struct totals {
    std::uint64_t ports, queued, waiters, sent, delivered, denied, cancelled, refused;
  };
  totals sum() noexcept;
  // Every port that is made from then on.
  void show_in(core::catalogue& c) noexcept { catalogue_ = &c; }

 private:
  struct entry {
    std::atomic<port*> owner{nullptr};
  };
  static constexpr std::uint32_t kChunkBits = 10;
  static constexpr std::uint32_t kChunkEntries = 1u << kChunkBits;
  static constexpr std::uint32_t kChunks = 1u << 14;

  entry* find(int fd) const noexcept {
    const auto n = static_cast<std::uint32_t>(fd);
    if (n >> kChunkBits >= kChunks) return nullptr;
    entry* chunk = chunks_[n >> kChunkBits].load(std::memory_order_acquire);
    return chunk != nullptr ? &chunk[n & (kChunkEntries - 1)] : nullptr;
  }
  entry* demand(int fd) noexcept;
  int make_locked(bool close_on_exec, bool private_port) noexcept QUAY_REQUIRES(registry_);
  port* recycle_or_make_locked(std::uint32_t most_slots) noexcept QUAY_REQUIRES(registry_);
  bool give_locked(int fd, port& p, bool fresh = true) noexcept QUAY_REQUIRES(registry_);
  port* take_locked(int fd) noexcept QUAY_REQUIRES(registry_);
  void lose_locked(int fd) noexcept QUAY_REQUIRES(registry_);
  void tell_departures() noexcept;

  // A port that the process has left: its sources are told when no lock is held.
  struct departure {
    std::uint64_t opening;
    int fd;
    bool last;
  };

  program_source programs_;
  environment env_;
  timer_source timers_;
  mq_source queues_;
  core::catalogue* catalogue_ = nullptr;  // set while starting
  core::mutex registry_{core::rank::arena};
  std::atomic<entry*> chunks_[kChunks] = {};
  core::growable<port*> ports_ QUAY_GUARDED_BY(registry_);
  core::growable<departure> departures_ QUAY_GUARDED_BY(registry_);
  std::uint32_t departed_ QUAY_GUARDED_BY(registry_) = 0;
  std::uint32_t made_ QUAY_GUARDED_BY(registry_) = 0;
  long open_ QUAY_GUARDED_BY(registry_) = 0;
};

}  // namespace quay::port
