// SPDX-License-Identifier: BSD-2-Clause
//
// What: an io_uring of one thread; see io_ring.hpp.
#include "host/io_ring.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "host/errno_guard.hpp"

namespace quay::host {
namespace {

constexpr unsigned kEntries = 64;
constexpr unsigned kCompletions = 1024;  // more than these wait in the kernel (NODROP)
constexpr std::uint32_t kNeeded =
    IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;

unsigned load(unsigned* word) noexcept {
  return std::atomic_ref(*word).load(std::memory_order_acquire);
}
void store(unsigned* word, unsigned value) noexcept {
  std::atomic_ref(*word).store(value, std::memory_order_release);
}

}  // namespace

int io_ring::open() noexcept {
  errno_guard keep;
  io_uring_params p{};
  p.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  p.cq_entries = kCompletions;
  fd_ = static_cast<int>(syscall(SYS_io_uring_setup, kEntries, &p));
  if (fd_ < 0) return errno;
  if ((p.features & kNeeded) != kNeeded) {
    close();
    return ENOSYS;
  }
  if (map(p)) return 0;
  close();
  return ENOMEM;
}

bool io_ring::map(const io_uring_params& p) noexcept {
  constexpr int kRights = PROT_READ | PROT_WRITE;
  constexpr int kHow = MAP_SHARED | MAP_POPULATE;
  const std::size_t submissions = p.sq_off.array + p.sq_entries * sizeof(unsigned);
  const std::size_t finished = p.cq_off.cqes + p.cq_entries * sizeof(io_uring_cqe);
  rings_size_ = submissions > finished ? submissions : finished;
  void* rings = mmap(nullptr, rings_size_, kRights, kHow, fd_, IORING_OFF_SQ_RING);
  if (rings == MAP_FAILED) return false;
  rings_ = rings;
  entries_size_ = p.sq_entries * sizeof(io_uring_sqe);
  void* entries = mmap(nullptr, entries_size_, kRights, kHow, fd_, IORING_OFF_SQES);
  if (entries == MAP_FAILED) return false;
  entries_ = static_cast<io_uring_sqe*>(entries);

  char* base = static_cast<char*>(rings);
  const auto at = [base](unsigned offset) { return reinterpret_cast<unsigned*>(base + offset); };
  sq_head_ = at(p.sq_off.head);
  sq_tail_ = at(p.sq_off.tail);
  sq_flags_ = at(p.sq_off.flags);
  sq_mask_ = *at(p.sq_off.ring_mask);
  sq_size_ = p.sq_entries;
  cq_head_ = at(p.cq_off.head);
  cq_tail_ = at(p.cq_off.tail);
  cq_mask_ = *at(p.cq_off.ring_mask);
  completions_ = reinterpret_cast<io_uring_cqe*>(base + p.cq_off.cqes);
  // Entries are used in their own order, so the indirection is written once.
  unsigned* array = at(p.sq_off.array);
  for (unsigned i = 0; i < sq_size_; ++i) array[i] = i;
  return true;
}

void io_ring::close() noexcept {
  errno_guard keep;
  if (entries_ != nullptr) munmap(entries_, entries_size_);
  if (rings_ != nullptr) munmap(rings_, rings_size_);
  if (fd_ >= 0 && enter(0, 0, 0, -1) >= 0) ::close(fd_);
  entries_ = nullptr;
  rings_ = nullptr;
  fd_ = -1;
  filled_ = 0;
}

int io_ring::enter(unsigned submit, unsigned least, unsigned flags, std::int64_t timeout) noexcept {
  errno_guard keep;
  constexpr std::int64_t kSecond = 1'000'000'000;
  __kernel_timespec limit{timeout / kSecond, timeout % kSecond};
  io_uring_getevents_arg arg{};
  if (timeout >= 0) arg.ts = reinterpret_cast<std::uintptr_t>(&limit);
  const bool timed = (flags & IORING_ENTER_GETEVENTS) != 0;
  const long taken =
      timed ? syscall(SYS_io_uring_enter, fd_, submit, least, flags | IORING_ENTER_EXT_ARG, &arg,
                      sizeof arg)
            : syscall(SYS_io_uring_enter, fd_, submit, least, flags, nullptr, std::size_t{0});
  return static_cast<int>(taken < 0 ? -errno : taken);
}

io_uring_sqe* io_ring::entry(std::uint64_t name) noexcept {
  const unsigned tail = *sq_tail_;  // written by the one thread that may be here
  if (tail - load(sq_head_) == sq_size_ && (submit() != 0 || tail - load(sq_head_) == sq_size_)) {
    return nullptr;
  }
  io_uring_sqe* e = &entries_[tail & sq_mask_];
  std::memset(e, 0, sizeof *e);
  e->user_data = name;
  // The kernel looks no earlier than at the next submit(), by when the entry is filled in.
  store(sq_tail_, tail + 1);
  ++filled_;
  return e;
}

int io_ring::submit() noexcept {
  if (filled_ == 0) return 0;
  const int taken = enter(filled_, 0, 0, -1);
  if (taken < 0) return taken;
  filled_ -= static_cast<unsigned>(taken);
  return 0;
}

bool io_ring::retract(std::uint64_t& name) noexcept {
  if (filled_ == 0) return false;
  --filled_;
  const unsigned last = *sq_tail_ - 1;
  name = entries_[last & sq_mask_].user_data;
  store(sq_tail_, last);
  return true;
}

int io_ring::wait(std::int64_t timeout) noexcept {
  const int result = enter(0, 1, IORING_ENTER_GETEVENTS, timeout);
  return result < 0 ? result : 0;
}

bool io_ring::take(result& out) noexcept {
  const unsigned head = *cq_head_;  // written by this thread only
  if (head == load(cq_tail_)) {
    if ((load(sq_flags_) & IORING_SQ_CQ_OVERFLOW) == 0) return false;
    enter(0, 0, IORING_ENTER_GETEVENTS, -1);
    if (head == load(cq_tail_)) return false;
  }
  const io_uring_cqe& c = completions_[head & cq_mask_];
  out = {c.user_data, c.res};
  store(cq_head_, head + 1);
  return true;
}

}  // namespace quay::host
