// SPDX-License-Identifier: BSD-2-Clause
//
// What: POSIX asynchronous I/O: submits requests, performs them at once where that is possible, has
//       others perform the rest, and tells of their ends.
// Contract: aio(7) of POSIX, aio(4) of FreeBSD; semantics/kqueue.md 5.10, semantics/ports.md 4.6.
// Invariants:
//   1. A result is stored before anybody is told of it: whoever has heard finds aio_error() final.
//   2. After the stamp (control_block.hpp) the engine does not touch the program's block.
//   3. A request begins when nothing before it forbids that: requests on a stream and appending
//      writes keep their order, a sync waits for the writes before it. Whatever ends looks whom it
//      has released.
//   4. What another system owns is moved by its owner, in a thread: the ring would move the kernel's
//      idea of it.
//   5. A request that could be performed at once takes no slot, no lock and no thread.
// Ownership: requests and lists, while they are under way.
// Locking: lock_ (rank aio) guards the flight list. Targets, workers, signals and functions of the
//          program are called without it.
// Wakeups: finishes_ is raised by every end; whoever suspends sleeps on it.
#pragma once

#include <aio.h>

#include "aio/pool.hpp"
#include "aio/request.hpp"
#include "aio/ring.hpp"
#include "core/arena.hpp"
#include "core/descriptors.hpp"
#include "core/tunables.hpp"

namespace quay::aio {

// What a call returns: a value, or -1 with an errno.
struct outcome {
  long value;
  int error;
};

class engine final : public core::descriptor_owner, private client {
 public:
  // Values of the tunable aio_backend.
  static constexpr long kAny = 0;
  static constexpr long kRing = 1;     // not at once; threads only where the ring is refused
  static constexpr long kThreads = 2;  // not at once, and not by the ring
  static constexpr int kMostTargets = 2;

  engine(core::descriptor_table& descriptors, core::tunables& tune, bool hooked) noexcept;
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  // Makes a target known; returns its number for notification::target.
  std::uint8_t enroll(core::completion_target& target) noexcept;

  // Returns an errno: 0 when the request is accepted, and perhaps finished already.
  int submit(aiocb& block, operation op, bool vectored, notification tell,
             core::slot_index list = core::kNil) noexcept;
  // The request of a list member that was refused: aio_error() tells why.
  void fail(aiocb& block, int error) noexcept;
  int error(const aiocb& block) const noexcept;  // EINPROGRESS, 0, an errno; EINVAL: unknown
  outcome reap(aiocb& block) noexcept;
  // AIO_CANCELED …; null: everything on the descriptor.
  outcome cancel(int fd, const aiocb* block) noexcept;
  // Until one, or all, of the blocks are not in progress. Returns 0, EAGAIN (the deadline) or EINTR.
  int suspend(const aiocb* const* blocks, int count, std::int64_t deadline, bool all) noexcept;

  // A list whose end is told: submit its members with its number, then close it. Returns an errno.
  int open_list(notification tell, core::slot_index& list) noexcept;
  void close_list(core::slot_index list) noexcept { leave_list(list); }

  // The engine and the requests under way.
  void show(core::catalogue& c) const noexcept QUAY_NO_ANALYSIS;

  // The engine owns no number that a program could use.
  long read(int, const iovec*, int) noexcept override { return -EBADF; }
  long write(int, const iovec*, int) noexcept override { return -EBADF; }
  int stat(int, struct stat&) noexcept override { return -EBADF; }
  int ioctl(int, unsigned long, void*) noexcept override { return -EBADF; }
  int fcntl(int, int, void*) noexcept override { return -EBADF; }
  int poll(int, short) noexcept override { return -EBADF; }
  void duplicated(int, int) noexcept override {}
  // What has not begun on the number is cancelled: it must not meet the number's next file.
  void closing(int fd) noexcept override;
  void closed(int) noexcept override {}

  void before_fork() noexcept override QUAY_NO_ANALYSIS;
  void after_fork_in_parent() noexcept override QUAY_NO_ANALYSIS;
  void after_fork_in_child() noexcept override QUAY_NO_ANALYSIS;

 private:
  // What an attempt to do it at once gave.
  struct attempt {
    bool over;       // `result` is the request's
    long result;     // bytes or -errno; not over: bytes that are moved already
    bool by_thread;  // the file cannot tell whether it would block
  };

  int check(const aiocb& block, operation op, bool vectored) const noexcept;
  int expect(const aiocb& block, operation op, notification& tell) noexcept;
  void forget(std::uint8_t target, const core::completion_ticket& ticket,
              const aiocb& block) noexcept;
  void renew(aiocb& block) noexcept;
  bool is_direct(int fd) noexcept;
  attempt try_now(const aiocb& block, operation op, const iovec* parts, int count,
                  std::size_t bytes) noexcept;
  int begin_later(aiocb& block, operation op, const iovec* parts, int count, bool vectored,
                  const attempt& tried, const notification& tell, core::slot_index list) noexcept;
  bool start(request& r) noexcept;
  void start_all(request* chain) noexcept;

  void finished(request& r, long result) noexcept override;
  void declined(request& r) noexcept override;
  request& under_way(std::uintptr_t token) noexcept override;
  // Stores and tells the result of a request that is off the flight list.
  void end(request& r, long result) noexcept;
  void release(request& r) noexcept;
  void raise() noexcept;
  void tell_of(const notification& tell, int error) noexcept;
  void leave_list(core::slot_index list) noexcept;

  bool in_progress(const aiocb& block) const noexcept;
  bool must_wait_locked(const request& r) const noexcept QUAY_REQUIRES(lock_);
  void append_locked(request& r) noexcept QUAY_REQUIRES(lock_);
  void remove_locked(request& r) noexcept QUAY_REQUIRES(lock_);
  request* released_locked(int fd) noexcept QUAY_REQUIRES(lock_);
  bool take_back_locked(request& r) noexcept QUAY_REQUIRES(lock_);
  request* next_on_locked(int fd, const aiocb* block, std::uint64_t after) noexcept
      QUAY_REQUIRES(lock_);
  void await_end(std::uintptr_t token) noexcept;

  core::descriptor_table& descriptors_;
  core::tunables& tune_;
  const bool hooked_;
  core::completion_target* targets_[kMostTargets + 1] = {};  // [0] stays null; set while starting
  core::arena<request> requests_;
  core::arena<list_record> lists_;
  pool pool_;
  ring ring_;
  core::mutex lock_{core::rank::aio};
  request* first_ QUAY_GUARDED_BY(lock_) = nullptr;  // flight list
  request* last_ QUAY_GUARDED_BY(lock_) = nullptr;
  std::uint64_t serial_ QUAY_GUARDED_BY(lock_) = 0;
  int held_ QUAY_GUARDED_BY(lock_) = 0;
  std::atomic<int> writes_under_way_{0};    // a look without the lock: may a write be tried at once
  std::atomic<std::uint32_t> finishes_{0};  // raised by every end
  std::atomic<int> suspended_{0};           // threads that may sleep on it
  std::atomic<std::uint32_t> plain_[64] = {};  // hints: descriptors that are not O_DIRECT
};

}  // namespace quay::aio
